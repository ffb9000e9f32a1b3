"""Settings made up by chance that make sense together: what `generate_valid` asks of the generator.

Nothing here is impossible by itself; what is impossible together is avoided as far as a person would see it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido

from benchmarks.judge_terms import Spell, numbers, scale

GRID = ("voices", "remi", "frames")  # tokenizers that keep bars and not seconds
NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = (
    *("major", "minor") * 4,
    *("dorian", "phrygian", "lydian", "mixolydian", "aeolian", "locrian", "harmonic minor"),
    *("major pentatonic", "minor pentatonic", "blues", "whole tone", "chromatic"),
)
DIATONIC = {
    "major": ((0, ""), (2, "m"), (4, "m"), (5, ""), (7, ""), (9, "m"), (7, "7"), (0, "maj7"), (11, "dim"), (5, "6")),
    "minor": ((0, "m"), (3, ""), (5, "m"), (8, ""), (10, ""), (7, ""), (7, "7"), (0, "m7"), (2, "dim")),
}
QUALITIES = ("", "m", "7", "maj7", "m7", "dim", "dim7", "m7b5", "aug", "sus2", "sus4", "6", "m6", "9", "add9", "maj")
METERS = ("4/4", "4/4", "3/4", "6/8", "2/4", "5/4", "7/8", "12/8", "3/2")
EVEN = {"4/4": (4, 8, 16), "3/4": (3, 6, 12), "6/8": (2, 6, 12), "2/4": (2, 4, 8), "12/8": (4, 12)}  # parts of a bar
SOLO = ("violin", "flute", "acoustic grand piano", "cello", "trumpet", "church organ", "oboe", "clarinet", 11, 52, 127)
LONGEST = 8  # bars of a piece
GIVEN_BARS = 2


def random_settings(draw: random.Random, tokenizer: str, folder: Path) -> dict[str, Any]:
    """One to five constraints and what they need beside them, some of them in sections; given notes go to `folder`."""
    names = ["key", "pitch_range", "instruments", "polyphony", "density", "velocity", "bars"]
    names += ["chords", "rhythm", "notes", "no_repeat", "ending"]
    if tokenizer in GRID:
        names += ["tempo", "meter"]
    chosen = set(draw.sample(names, draw.randint(1, 5)))
    if "ending" in chosen:
        chosen = (chosen | {"key", "bars"}) - {"chords"}
    if "notes" in chosen:  # they are of 4/4 at 120, and of any chord
        chosen -= {"rhythm", "density", "chords", "ending", "tempo", "meter", "instruments", "no_repeat"}
    if "rhythm" in chosen:
        chosen -= {"density"}
    if tokenizer in GRID and chosen & {"rhythm", "density"}:
        chosen.add("meter")
    settings = {name: MADE[name](draw) for name in names if name in chosen and name in MADE}
    if {"key", "chords"} <= chosen:
        settings["key"] = f"{draw.choice(NAMES)} {draw.choice(('major', 'minor'))}"
    if "meter" in chosen and chosen & {"rhythm"}:
        settings["meter"] = draw.choice(tuple(EVEN))
    if "instruments" in chosen:
        settings["instruments"] = _instruments(draw, tokenizer, drums=not chosen & {"ending", "density", "rhythm"})
    if "chords" in chosen:
        settings["chords"] = _chords(draw, settings.get("key"))
    if "rhythm" in chosen:
        settings["rhythm"] = _rhythm(draw, settings.get("meter"))
    if "notes" in chosen:
        settings["notes"] = str(_given(draw, settings, folder, tokenizer))
        settings["polyphony"] = max(2, settings.get("polyphony", 4))
        if tokenizer == "voices" and draw.random() < 0.5:
            settings["voice"] = draw.randint(1, 4)
    if draw.random() < 0.4:
        settings = _in_sections(draw, settings)
    return settings


def _range(draw: random.Random) -> str:
    low = draw.randint(36, 66)
    high = low + draw.randint(12, 30)
    if draw.random() < 0.5:
        return f"{low}-{high}"
    return f"{NAMES[low % 12]}{low // 12 - 1}-{NAMES[high % 12]}{high // 12 - 1}"


def _density(draw: random.Random) -> Any:
    if draw.random() < 0.4:
        return draw.randint(2, 8)
    low = draw.randint(0, 4)
    return f"{low}-{low + draw.randint(1, 6)}"


def _velocity(draw: random.Random) -> str:
    low = draw.randint(10, 80)
    return f"{low}-{low + draw.randint(15, 45)}"


def _instruments(draw: random.Random, tokenizer: str, *, drums: bool) -> list[Any]:
    if tokenizer in ("performance", "frames"):
        return [draw.choice(SOLO)]
    chosen: list[Any] = draw.sample(SOLO, draw.randint(1, 3))
    return [*chosen, "drums"] if tokenizer == "remi" and drums and draw.random() < 0.3 else chosen


def _chords(draw: random.Random, key: str | None) -> str:
    def one() -> str:
        if draw.random() < 0.08:
            return draw.choice(("N", "-"))
        if key is None:
            return draw.choice(NAMES) + draw.choice(QUALITIES)
        tonic, kind = key.split()
        step, quality = draw.choice(DIATONIC[kind])
        return NAMES[(NAMES.index(tonic) + step) % 12] + quality

    bars = [[one() for _ in range(draw.choice((1, 1, 2)))] for _ in range(draw.randint(1, 4))]
    if len(bars) > 1 and draw.random() < 0.5:
        return " | ".join(" ".join(bar) for bar in bars)
    return " ".join(bar[0] for bar in bars)


def _rhythm(draw: random.Random, meter: str | None) -> str:
    parts = draw.choice(EVEN[meter] if meter else (4, 8))
    marks = [draw.choice("x..") for _ in range(parts)]
    marks[draw.randrange(parts)] = "x"
    return "".join(marks)


def _given(draw: random.Random, settings: dict[str, Any], folder: Path, tokenizer: str) -> Path:
    """A file of one melody that keeps to the key, the range and the velocity asked for, and that the tokenizer can say.

    A sixteenth is no whole number of the 10 ms of a performance, and frames join a pitch that comes twice in a row.
    """
    lengths = (2, 2, 4, 6) if tokenizer == "performance" else (1, 2, 2, 4, 6)
    low, high = numbers(settings.get("pitch_range", "55-79"), Spell.PITCH)
    classes = scale(settings.get("key", "C major"))
    pitches = [pitch for pitch in range(int(low), int(high) + 1) if pitch % 12 in classes]
    softest, loudest = numbers(settings.get("velocity", "70-90"), Spell.PLAIN)
    file = mido.MidiFile(ticks_per_beat=4)
    track = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=4, denominator=4)])
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    left, silent, before = 16 * GIVEN_BARS, 0, -1
    while left:
        length = min(left, draw.choice(lengths))
        left -= length
        if draw.random() < 0.25 and left:
            silent += length
            continue
        pitch = before = draw.choice([pitch for pitch in pitches if tokenizer != "frames" or pitch != before])
        velocity = int(softest + loudest) // 2
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=silent))
        track.append(mido.Message("note_off", note=pitch, time=length))
        silent = 0
    file.tracks.append(track)
    path = folder / f"given-{draw.getrandbits(48):012x}.mid"
    file.save(path)
    return path


def _in_sections(draw: random.Random, settings: dict[str, Any]) -> dict[str, Any]:
    """The same, with one or two of the settings changing at some bar."""
    bars = settings.get("bars", GIVEN_BARS if "notes" in settings else LONGEST)
    may = {"key", "pitch_range", "polyphony", "density", "velocity", "tempo", "meter", "chords"} & set(settings)
    if "notes" in settings:
        may -= {"key", "pitch_range", "velocity"}
    if "chords" in settings:
        may -= {"key"} if "key" not in settings else {"key", "chords"}
    if "rhythm" in settings or "density" in settings:
        may -= {"meter"}
    if bars < 4 or not may:
        return settings
    last = draw.randint(2, bars - 2)  # a single short bar at the beginning would read as a pickup
    settings = dict(settings)
    before: dict[str, Any] = {"bars": f"1-{last}"}
    after: dict[str, Any] = {"bars": draw.choice((f"{last + 1}-", f"{last + 1}-{bars}"))}
    for name in draw.sample(sorted(may), min(len(may), draw.choice((1, 1, 2)))):
        again = _chords(draw, None) if name == "chords" else MADE[name](draw)
        after[name] = max(2, again) if name == "polyphony" else again
        if name in ("density", "chords") or draw.random() < 0.5:
            before[name] = settings.pop(name)
    settings["sections"] = [section for section in (before, after) if len(section) > 1]
    return settings


MADE: dict[str, Callable[[random.Random], Any]] = {
    "key": lambda draw: f"{draw.choice(NAMES)} {draw.choice(SCALES)}",
    "pitch_range": _range,
    "polyphony": lambda draw: draw.randint(1, 6),
    "density": _density,
    "velocity": _velocity,
    "tempo": lambda draw: draw.choice((draw.randint(40, 200), round(draw.uniform(40, 200), 1))),
    "meter": lambda draw: draw.choice(METERS),
    "bars": lambda draw: draw.randint(2, LONGEST),
    "no_repeat": lambda draw: draw.randint(1, 4),
    "ending": lambda draw: "tonic",
}
"""The settings that can be made without looking at the others."""
