"""How each tokenizer begins notes, moves on and ends: what a plan has to know to keep a constraint in its tokens."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from musiclstm.generation.controls.writers.base import Writer

if TYPE_CHECKING:
    from musiclstm.tokenizers.base import Tokenizer

__all__ = ["Writer", "make_writer"]

_HOMES = {
    "voices": "VoicesWriter",
    "frames": "FramesWriter",
    "performance": "PerformanceWriter",
    "remi": "RemiWriter",
}


def make_writer(tokenizer: Tokenizer) -> Writer | None:
    """The writer for a tokenizer; None where there is none, as for those of MidiTok."""
    if tokenizer.name not in _HOMES:
        return None
    kind: Callable[[Tokenizer], Writer] = getattr(import_module(f"{__name__}.{tokenizer.name}"), _HOMES[tokenizer.name])
    return kind(tokenizer)
