"""What each setting may be: from what a person writes to a value that says it exactly."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from musiclstm.errors import UserError
from musiclstm.general_midi import PROGRAM_NAMES
from musiclstm.generation.controls.theory import Chord, parse_chord, parse_key, parse_pitch
from musiclstm.midi import read_score
from musiclstm.score import DRUMS, Score
from musiclstm.tokenizers.fitting import FASTEST, SLOWEST

MANY = 1 << 40  # more notes than any bar has
_USUAL = {"piano": 0, "organ": 16, "guitar": 24, "bass": 32, "strings": 48, "choir": 52}
_TO = r"\s*(?:-|\.\.|to)\s*"


class Span(NamedTuple):
    """Both ends included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


@dataclass(frozen=True)
class Density:
    """How many notes begin in each bar, from `low` to `high`, or on average `average`."""

    low: int = 0
    high: int = MANY
    average: float | None = None


@dataclass(frozen=True)
class Notes:
    """Notes that have to occur."""

    score: Score
    name: str

    def __str__(self) -> str:
        return self.name


def _whole(name: str, least: int = 1) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        number = _number(value)
        if number is None or number != int(number) or number < least:
            raise UserError(f"{name}={value} is not possible: give a whole number of at least {least}")
        return int(number)

    return parse


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None  # nor what is not a number


def _text(name: str, value: Any, wanted: str) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise UserError(f"{name}={value} is not possible: give {wanted}")
    return str(value).strip()


def _key(value: Any) -> Any:
    return parse_key(_text("key", value, "a note and a scale, as `C major`"))


def _pitch_range(value: Any) -> Span:
    wanted = "two notes from the lower to the higher, as C3-C5 or 48-72"
    text = _text("pitch_range", value, wanted)
    found = re.fullmatch(rf"(.*\d){_TO}([A-Ga-g].*|\d+)", text) or re.fullmatch(r"(.+?)()", text)
    ends = [parse_pitch(end) for end in (found.groups() if found else ()) if end]
    low, high = (ends[0], ends[-1]) if ends else (None, None)
    if low is None or high is None or low > high:
        raise UserError(f"pitch_range={value} is not possible: give {wanted}, within C-1-G9 or 0-127")
    return Span(low, high)


def parse_program(value: Any) -> int:
    """The program of a General MIDI name, a number from 0 to 127, or `drums`. Raises UserError."""
    number = _number(value)
    if number is not None and number in range(DRUMS):
        return int(number)
    name = re.sub(r"[\s_-]+", " ", str(value)).strip().lower()
    if name == "drums":
        return DRUMS
    known = [re.sub(r"[\s-]+", " ", each).lower() for each in PROGRAM_NAMES]
    if name in known:
        return known.index(name)
    if name in _USUAL:
        return _USUAL[name]
    alike = [i for i, each in enumerate(known) if name and name in each] if number is None else []
    if len(alike) == 1:
        return alike[0]
    offered = ", ".join(PROGRAM_NAMES[i] for i in alike[:8]) or "Violin, Flute, Acoustic Grand Piano ..."
    raise UserError(
        f"instruments: {value} is not known: give General MIDI names ({offered}), numbers from 0 to 127, or drums"
    )


def _instruments(value: Any) -> tuple[int, ...]:
    if isinstance(value, str):
        value = value.split(",")
    values = list(value) if isinstance(value, Iterable) else [value]
    if not values:
        raise UserError("instruments is empty: give General MIDI names, numbers from 0 to 127, or drums")
    return tuple(parse_program(each) for each in values)


def _density(value: Any) -> Density:
    wanted = "how many notes begin in a bar, as 4-8, or on average, as 6"
    number = _number(value)
    if number is not None and number > 0:
        return Density(average=number)
    found = re.fullmatch(rf"(\d+){_TO}(\d+)", _text("density", value, wanted)) if number is None else None
    if found is None or int(found[1]) > int(found[2]) or int(found[2]) == 0:
        raise UserError(f"density={value} is not possible: give {wanted}")
    return Density(int(found[1]), int(found[2]))


def _velocity(value: Any) -> Span:
    wanted = "velocities from 1 to 127, as 40-90"
    found = re.fullmatch(rf"(\d+)(?:{_TO}(\d+))?", _text("velocity", value, wanted))
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= low <= high <= 127:
        raise UserError(f"velocity={value} is not possible: give {wanted}")
    return Span(low, high)


def _tempo(value: Any) -> float:
    number = _number(value)
    if number is None or not SLOWEST <= number <= FASTEST:
        raise UserError(f"tempo={value} is not possible: give quarter notes a minute from {SLOWEST} to {FASTEST}")
    return number


def _meter(value: Any) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)\s*/\s*(\d+)", _text("meter", value, "one such as 3/4"))
    if found is None or not 1 <= int(found[1]) <= 255 or int(found[2]) not in (1, 2, 4, 8, 16, 32, 64):
        raise UserError(f"meter={value} is not possible: give one such as 3/4 or 6/8")
    return int(found[1]), int(found[2])


def _chords(value: Any) -> tuple[tuple[Chord | None, ...], ...]:
    if isinstance(value, (list, tuple)):
        value = ("|" if any(" " in str(bar).strip() for bar in value) else " ").join(map(str, value))
    wanted = "chords such as `C Am F G`, one a bar, or `C Am | F | G`"
    text = _text("chords", value, wanted).strip("|")
    bars = [bar.split() for bar in text.split("|")] if "|" in text else [[name] for name in text.split()]
    if not bars or not all(bars):
        raise UserError(f"chords={value} is not possible: give {wanted}, with N where there is none")
    return tuple(tuple(parse_chord(name) for name in bar) for bar in bars)


def _rhythm(value: Any) -> tuple[bool, ...]:
    wanted = "the bar in equal parts, x where a note begins and . where none does, as x..x..x."
    text = re.sub(r"[\s|]", "", _text("rhythm", value, wanted)).lower()
    if not re.fullmatch(r"[x.\-]+", text) or "x" not in text:
        raise UserError(f"rhythm={value} is not possible: give {wanted}, at least one x")
    return tuple(mark == "x" for mark in text)


def _notes(value: Any) -> Notes:
    if isinstance(value, Notes):
        return value
    if isinstance(value, Score):
        score, name = value, "(a score)"
    elif isinstance(value, (str, os.PathLike)):
        try:
            score, name = read_score(value), os.fspath(value)
        except UserError as error:
            raise UserError(f"notes={error}; give a file of music that other programs can open") from None
    else:
        raise UserError(f"notes={value} is not possible: give a file of music or a Score")
    if len(score) == 0:
        raise UserError(f"notes={name} has no notes: give a file that has some")
    return Notes(score, name)


def _ending(value: Any) -> str:
    if value != "tonic":
        raise UserError(f"ending={value} is not known: give tonic")
    return "tonic"


PARSERS: dict[str, Callable[[Any], Any]] = {
    "key": _key,
    "pitch_range": _pitch_range,
    "instruments": _instruments,
    "polyphony": _whole("polyphony"),
    "density": _density,
    "velocity": _velocity,
    "tempo": _tempo,
    "meter": _meter,
    "bars": _whole("bars"),
    "chords": _chords,
    "rhythm": _rhythm,
    "notes": _notes,
    "voice": _whole("voice"),
    "no_repeat": _whole("no_repeat"),
    "ending": _ending,
}
"""Every setting and what makes a value of what was given; each raises UserError for what it may not be."""

FIXED = ("bars", "notes", "voice", "ending")
"""Those that hold for a whole piece; all others may vary by section."""
