"""MIDI files and pretty_midi objects to `Score` and back."""

from musiclstm.midi.reading import (
    EXTENSIONS,
    MIDI_EXTENSIONS,
    NOTATION_EXTENSIONS,
    Reading,
    read_midi,
    read_midi_bytes,
    read_score,
)
from musiclstm.midi.writing import from_pretty_midi, to_pretty_midi, write_midi

__all__ = [
    "EXTENSIONS",
    "MIDI_EXTENSIONS",
    "NOTATION_EXTENSIONS",
    "Reading",
    "from_pretty_midi",
    "read_midi",
    "read_midi_bytes",
    "read_score",
    "to_pretty_midi",
    "write_midi",
]
