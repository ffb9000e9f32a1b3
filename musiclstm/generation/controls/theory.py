"""Names of notes, scales and chords, and the pitch classes that they stand for."""

from __future__ import annotations

import re
from typing import NamedTuple

from musiclstm.errors import UserError

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11),  # natural, with the raised sixth and seventh that minor music has
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}
SHORT = {"": "major", "m": "minor", "min": "minor", "maj": "major", "pentatonic": "major pentatonic"}
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "maj": (0, 4, 7),
    "m": (0, 3, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "min7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "9": (0, 2, 4, 7, 10),
    "add9": (0, 2, 4, 7),
}
NO_CHORD = ("N", "-")
_SIGNS = str.maketrans({"♯": "#", "♭": "b", "_": " "})


class Key(NamedTuple):
    name: str
    tonic: int  # pitch class
    classes: frozenset[int]
    triad: frozenset[int]  # on the tonic, of what the scale has


class Chord(NamedTuple):
    name: str
    classes: frozenset[int]  # the bass of a slash chord among them


def pitch_class(name: str) -> int | None:
    """The pitch class of a note such as `F#` or `Bb`; None for anything else."""
    found = re.fullmatch(r"([A-Ga-g])(#{0,2}|b{0,2})", name)
    if found is None:
        return None
    return (LETTERS[found[1].lower()] + found[2].count("#") - found[2].count("b")) % 12


def parse_key(text: str) -> Key:
    """`C major`, `F# dorian`, `Am`. Raises UserError."""
    words = text.translate(_SIGNS).split()
    found = re.fullmatch(r"([A-Ga-g][#b]*)(m|min|maj)?", words[0]) if words else None
    tonic = pitch_class(found[1]) if found else None
    scale = " ".join([(found[2] or "") if found else "", *words[1:]]).strip().lower()
    scale = SHORT.get(scale, scale)
    if tonic is None or found is None or scale not in SCALES:
        raise UserError(f"key={text} is not known: give a note and a scale of {', '.join(SCALES)}, as `F# dorian`")
    steps = SCALES[scale]
    third = 4 if 4 in steps else 3
    fifth = next((step for step in ((7, 8) if third == 4 else (7, 6)) if step in steps), 7)
    classes, triad = (frozenset((tonic + step) % 12 for step in some) for some in (steps, {0, third, fifth}))
    return Key(f"{found[1][0].upper()}{found[1][1:]} {scale}", tonic, classes, triad & classes)


def parse_chord(text: str) -> Chord | None:
    """`C`, `F#m7b5`, `C/E`; None for no chord, `N` or `-`. Raises UserError."""
    if text in NO_CHORD:
        return None
    body, slash, bass = text.translate(_SIGNS).partition("/")
    found = re.fullmatch(r"([A-G](?:#|b)?)(.*)", body)
    root, low = pitch_class(found[1]) if found else None, pitch_class(bass)
    if found is None or root is None or found[2] not in QUALITIES or (slash and low is None):
        qualities = " ".join(filter(None, QUALITIES))
        raise UserError(f"chords: {text} is not known: give a root such as F# and one of {qualities} or nothing, or N")
    classes = frozenset((root + step) % 12 for step in QUALITIES[found[2]])
    return Chord(text, classes if low is None else classes | {low})


def parse_pitch(text: str) -> int | None:
    """The MIDI number of `C4` (60), or of the number itself; None for what is none from 0 to 127."""
    text = text.strip().translate(_SIGNS)
    found = re.fullmatch(r"([A-Ga-g])(#{0,2}|b{0,2})(-?\d+)", text)
    if found is not None:
        pitch = LETTERS[found[1].lower()] + found[2].count("#") - found[2].count("b") + 12 * (int(found[3]) + 1)
    elif text.isdecimal():
        pitch = int(text)
    else:
        return None
    return pitch if 0 <= pitch <= 127 else None


def pitch_name(pitch: int) -> str:
    """The name of a MIDI number: C4 for 60."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"
