"""What a musician asks for, kept in every piece: masks and biases on what any trained model writes."""

from musiclstm.generation.controls.plan import Plan
from musiclstm.generation.controls.reading import Controls, read_controls
from musiclstm.generation.controls.settings import PARSERS

__all__ = ["CONTROLS", "Controls", "Plan", "read_controls"]

CONTROLS = tuple(PARSERS)
"""The names of all settings."""
