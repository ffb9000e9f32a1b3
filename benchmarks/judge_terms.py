"""The words of the settings, as `judge` understands them: keys, chords, pitches, instruments."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11),  # natural, with the sixth and the seventh raised or not
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
QUALITIES = {
    "": (0, 4, 7),
    "maj": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "9": (0, 4, 7, 10, 2),
    "add9": (0, 4, 7, 2),
}
INSTRUMENTS = {  # some of General MIDI's, by number from 0
    "acoustic grand piano": 0,
    "harpsichord": 6,
    "celesta": 8,
    "glockenspiel": 9,
    "vibraphone": 11,
    "marimba": 12,
    "church organ": 19,
    "accordion": 21,
    "acoustic bass": 32,
    "violin": 40,
    "viola": 41,
    "cello": 42,
    "contrabass": 43,
    "trumpet": 56,
    "trombone": 57,
    "tuba": 58,
    "french horn": 60,
    "oboe": 68,
    "bassoon": 70,
    "clarinet": 71,
    "flute": 73,
    "recorder": 74,
    "drums": 128,
}
NAME = r"([A-Ga-g])([#b]*)"


class Spell(Enum):
    """How the ends of a range are written."""

    PLAIN = "numbers"
    PITCH = "MIDI numbers or names with an octave, of which C4 is 60"


def scale(key: Any) -> set[int]:
    """The pitch classes of a key such as `F# dorian`."""
    tonic, steps = _key(key)
    return {(tonic + step) % 12 for step in steps}


def tonic_triad(key: Any) -> tuple[int, set[int]]:
    """The tonic of a key and the pitch classes of the triad on it, of which the third and fifth are the scale's."""
    tonic, steps = _key(key)
    third = 4 if 4 in steps else 3
    fifth = 7 if 7 in steps else 6 if third == 3 else 8
    return tonic, {tonic, (tonic + third) % 12, (tonic + fifth) % 12}


def _key(key: Any) -> tuple[int, tuple[int, ...]]:
    found = re.fullmatch(NAME + r"\s+(.+)", str(key).strip())
    if not found or found[3].strip().lower() not in SCALES:
        raise ValueError(f"no key: {key}")
    return _pitch_class(found[1], found[2]), SCALES[found[3].strip().lower()]


def _pitch_class(letter: str, accidentals: str) -> int:
    return (LETTERS[letter.upper()] + accidentals.count("#") - accidentals.count("b")) % 12


def chord_bars(value: Any) -> list[list[tuple[str, set[int] | None]]]:
    """The bars of a progression, each with its chords in equal parts: their names and pitch classes, None for any."""
    text = str(value)
    bars = [bar.split() for bar in text.split("|")] if "|" in text else [[name] for name in text.split()]
    bars = [bar for bar in bars if bar]  # a bar line at either end
    if not bars:
        raise ValueError(f"no chords: {value}")
    return [[(name, _chord(name)) for name in bar] for bar in bars]


def _chord(name: str) -> set[int] | None:
    if name in ("N", "-"):
        return None
    found = re.fullmatch(NAME + r"([^/]*)(?:/" + NAME + ")?", name)
    if not found or found[3] not in QUALITIES:
        raise ValueError(f"no chord: {name}")
    root = _pitch_class(found[1], found[2])
    pitches = {(root + step) % 12 for step in QUALITIES[found[3]]}
    return pitches | {_pitch_class(found[4], found[5])} if found[4] else pitches


def numbers(value: Any, spelled: Spell) -> tuple[float, float]:
    """The two ends of a range: `40-90`, `C3-C5`, a list of two; a single number is both."""
    one = r"\s*([A-Ga-g][#b]*-?\d+|\d+)\s*" if spelled is Spell.PITCH else r"\s*(\d+(?:\.\d+)?)\s*"
    text = "-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    found = re.fullmatch(f"{one}(?:-{one})?", text)
    if not found:
        raise ValueError(f"no range of {spelled.value}: {value}")
    low, high = found[1], found[2] if found[2] is not None else found[1]
    return _number(low), _number(high)


def _number(text: str) -> float:
    found = re.fullmatch(NAME + r"(-?\d+)", text)
    if not found:
        return float(text)
    accidentals = found[2].count("#") - found[2].count("b")
    return 12 * (int(found[3]) + 1) + LETTERS[found[1].upper()] + accidentals


def programs(value: Any) -> list[int]:
    """The programs of a list, or of names with commas between them, in order."""
    names = value if isinstance(value, (list, tuple)) else str(value).split(",")
    found = []
    for name in names:
        text = str(name).strip().lower()
        if not text.isdigit() and text not in INSTRUMENTS:
            raise ValueError(f"give the number of an instrument, not {name}")
        found.append(int(text) if text.isdigit() else INSTRUMENTS[text])
    return found
