"""Where drums stand on a staff."""

from __future__ import annotations

from typing import NamedTuple

from musiclstm.general_midi import drum_kind


class Place(NamedTuple):
    """A line or space, as the treble clef names it, and the shape of the head as MusicXML names it."""

    step: str
    octave: int
    head: str = "normal"


# after Weinberg, "Guidelines for Drumset Notation" (1994)
_PLACES = {
    35: Place("E", 4),
    36: Place("F", 4),
    37: Place("C", 5, "x"),
    38: Place("C", 5),
    39: Place("C", 5, "slash"),
    40: Place("C", 5),
    41: Place("G", 4),
    43: Place("A", 4),
    45: Place("B", 4),
    47: Place("D", 5),
    48: Place("E", 5),
    50: Place("F", 5),
    44: Place("D", 4, "x"),
    46: Place("G", 5, "circle-x"),
    51: Place("F", 5, "x"),
    53: Place("F", 5, "diamond"),
    59: Place("F", 5, "x"),
    56: Place("E", 5, "triangle"),
    54: Place("E", 5, "x"),
}
_KINDS = {"Hi-hat": Place("G", 5, "x"), "Cymbals": Place("A", 5, "x"), "Percussion": Place("B", 5, "triangle")}


def on_staff(pitch: int) -> Place:
    """Where the drum that `pitch` strikes is written."""
    return _PLACES.get(pitch) or _KINDS.get(drum_kind(pitch), Place("C", 5))
