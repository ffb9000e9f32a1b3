"""Whether a piece keeps what was asked for, by the definitions of the constraints alone.

This shares no code with the generator, so that a mistake in one is not a mistake in both. Settings are those of a
control file, as a plain dict:

    piece = read(Path("piece.mid").read_bytes())
    judge(piece, {"key": "C major", "sections": [{"bars": "9-16", "key": "A minor"}]})   # {"key": ["bar 3, ...", ...]}
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks.judge_reading import DRUMS, Bar, Note, Piece, all_bars, bar_length, read
from benchmarks.judge_terms import Spell, chord_bars, numbers, programs, scale, tonic_triad

MICROSECONDS = 60_000_000  # in a minute


def judge(piece: Piece, settings: Mapping[str, Any], tokenizer: str = "remi") -> dict[str, list[str]]:
    """What a piece does against its settings: for each constraint asked for, the violations in words.

    `tokenizer` matters where the settings mean something else for it: in `performance` chords hold for every note,
    and only in `remi` do given notes have instruments. Raises ValueError for settings that make no sense.
    """
    return Judge(piece, settings, tokenizer).run()


class Judge:
    """The constraints on one piece."""

    def __init__(self, piece: Piece, settings: Mapping[str, Any], tokenizer: str) -> None:
        self.piece, self.tokenizer = piece, tokenizer
        self.whole = {name: value for name, value in settings.items() if name != "sections"}
        self.sections = [(numbers_of_bars(section["bars"]), section) for section in settings.get("sections", [])]
        for _, section in self.sections:
            unknown = set(section) - set(RULES) - {"bars"}
            if unknown or {"notes", "ending"} & set(section):
                raise ValueError(f"a section has {sorted(section)}, not all of which may vary")
        unknown = set(self.whole) - set(RULES) - {"voice"}
        if unknown:
            raise ValueError(f"no rule for {sorted(unknown)}")
        most = int(self.whole["bars"]) if "bars" in self.whole else 0  # silent bars at the end are part of the piece
        bars = takewhile(lambda bar: bar.start < piece.end or bar.number <= most, all_bars(piece.meters))
        self.full = [bar for bar in bars if bar.number > 0]
        self.closing = next((bar for bar in self.full if bar.number == most), None)
        """The last bar that was asked for."""
        self.last = piece.bar_at(piece.notes[-1].onset).number if piece.notes else 0
        """The bar in which the last note begins."""
        self.pitched = [note for note in piece.notes if note.program != DRUMS]

    def run(self) -> dict[str, list[str]]:
        asked = {name for name in self.whole if name in RULES}
        asked |= {name for _, section in self.sections for name in section if name != "bars"}
        return {name: list(RULES[name](self)) for name in RULES if name in asked}

    def value(self, name: str, bar: int) -> tuple[Any, int]:
        """What holds in a bar, None where nothing does, and the bar from which on it holds (1 for the whole piece)."""
        for (first, last), section in self.sections:
            if name in section and first <= bar and (last is None or bar <= last):
                return section[name], first
        return self.whole.get(name), 1

    def spans(self, name: str) -> Iterator[tuple[Any, int, list[Bar]]]:
        """Each value of a constraint with its first bar and the full bars in which it holds."""
        spans: dict[int, tuple[Any, int, list[Bar]]] = {}
        for bar in self.full:
            value, first = self.value(name, bar.number)
            if value is not None:
                at = next((i for i, ((a, b), s) in enumerate(self.sections) if name in s and _within(bar, a, b)), -1)
                spans.setdefault(at, (value, first, []))[2].append(bar)
        yield from spans.values()

    def notes_under(self, name: str, *, drums: bool = False) -> Iterator[tuple[Note, Any, str]]:
        """The notes for which a constraint holds when they begin, its value, and the note in words."""
        for note in self.piece.notes if drums else self.pitched:
            bar = self.piece.bar_at(note.onset)
            value, _ = self.value(name, bar.number)
            if value is not None:
                yield note, value, f"bar {bar.number}, {note.onset - bar.start} quarters in, pitch {note.pitch}"

    def onsets(self, bar: Bar) -> list[Note]:
        return [note for note in self.piece.notes if bar.start <= note.onset < bar.end]

    def key(self) -> Iterator[str]:
        for note, value, where in self.notes_under("key"):
            if note.pitch % 12 not in scale(value):
                yield f"{where} is not in {value}"

    def pitch_range(self) -> Iterator[str]:
        for note, value, where in self.notes_under("pitch_range"):
            low, high = numbers(value, Spell.PITCH)
            if not low <= note.pitch <= high:
                yield f"{where} is not within {value}"

    def instruments(self) -> Iterator[str]:
        for note, value, where in self.notes_under("instruments", drums=True):
            if note.program not in programs(value):
                yield f"{where} is played by {note.program}, not by {value}"
        if self.tokenizer == "voices" and "instruments" in self.whole and not self.sections:
            order = programs(self.whole["instruments"])
            tracks = {note.track: note.program for note in self.piece.notes}
            left = iter([*order, *[order[-1]] * 16])
            if not all(program in left for _, program in sorted(tracks.items())):
                yield f"the tracks play {list(tracks.values())}, not {order} in this order"

    def polyphony(self) -> Iterator[str]:
        onsets = [note.onset for note in self.pitched]
        ends = sorted(note.end for note in self.pitched)
        for note, value, where in self.notes_under("polyphony"):
            sounding = bisect_right(onsets, note.onset) - bisect_right(ends, note.onset)
            if sounding > int(value):
                yield f"{where}: {sounding} notes sound, at most {value} may"

    def density(self) -> Iterator[str]:
        for value, _, bars in self.spans("density"):
            low, high = numbers(value, Spell.PLAIN)
            begun = 0
            for i, bar in enumerate(bars, 1):
                if bar.number > self.last and not self.closing:
                    break  # the piece had ended
                count = len(self.onsets(bar))
                begun += count
                closed = bar.number < (self.closing.number if self.closing else self.last)
                if "-" in str(value) or isinstance(value, list):
                    if count > high or (count < low and closed):
                        yield f"bar {bar.number}: {count} notes begin, not {value}"
                else:
                    off, tolerance = begun - low * i, max(1, low / 2)
                    if off > tolerance or (off < -tolerance and closed):
                        yield f"bar {bar.number}: {begun} notes in {i} bars, not {value} a bar"

    def velocity(self) -> Iterator[str]:
        for note, value, where in self.notes_under("velocity", drums=True):
            low, high = numbers(value, Spell.PLAIN)
            if not low <= note.velocity <= high:
                yield f"{where} has velocity {note.velocity}, not {value}"

    def tempo(self) -> Iterator[str]:
        for bar in self.piece.bars:
            value, _ = self.value("tempo", bar.number)
            if value is None:
                continue
            heard = [tempo for at, tempo in self.piece.tempos if at <= bar.start][-1:]
            heard += [tempo for at, tempo in self.piece.tempos if bar.start < at < bar.end]
            if any(abs(tempo - MICROSECONDS / float(value)) > 1 for tempo in heard):
                said = ", ".join(f"{MICROSECONDS / tempo:.3f}" for tempo in heard)
                yield f"bar {bar.number}: the tempo is {said}, not {value}"

    def meter(self) -> Iterator[str]:
        for bar in self.full:
            value, _ = self.value("meter", bar.number)
            if value is not None and ("/".join(map(str, bar.meter)) != str(value) or not bar.whole):
                yield f"bar {bar.number}: {bar.meter[0]}/{bar.meter[1]}{'' if bar.whole else ' cut off'}, not {value}"

    def bars(self) -> Iterator[str]:
        wanted = int(self.whole["bars"])
        if self.last != wanted:
            yield f"the last note begins in bar {self.last}, not in bar {wanted}"
        if self.closing is not None and self.piece.end > self.closing.end - self.piece.pickup:
            yield f"a note sounds to quarter {self.piece.end}: the end is at {self.closing.end - self.piece.pickup}"

    def chords(self) -> Iterator[str]:
        for note, value, where in self.notes_under("chords"):
            bar = self.piece.bar_at(note.onset)
            at = note.onset - bar.start
            if bar.number == 0 or (self.tokenizer != "performance" and at % _beat(bar.meter)):
                continue
            progression = chord_bars(value)
            parts = progression[(bar.number - self.value("chords", bar.number)[1]) % len(progression)]
            name, pitches = parts[int(at * len(parts) / bar_length(bar.meter))]
            if pitches is not None and note.pitch % 12 not in pitches:
                yield f"{where} is not in the chord {name}"

    def rhythm(self) -> Iterator[str]:
        end = self.closing.end - self.piece.pickup if self.closing else None
        for value, _, bars in self.spans("rhythm"):
            pattern = re.sub(r"\s", "", str(value))
            for bar in bars:
                if bar.number > self.last and not self.closing:
                    break  # the piece had ended
                part = bar_length(bar.meter) / len(pattern)
                wanted = {bar.start + i * part for i, mark in enumerate(pattern) if mark in "xX"}
                found = {note.onset for note in self.onsets(bar)}
                for onset in sorted(found - wanted):
                    yield f"bar {bar.number}: a note begins {onset - bar.start} quarters in, against {value}"
                if bar.number < self.last or self.closing:
                    for onset in sorted(wanted - found):
                        if onset < bar.end and (end is None or onset < end):
                            yield f"bar {bar.number}: no note begins {onset - bar.start} quarters in, against {value}"

    def notes(self) -> Iterator[str]:
        given = self.whole["notes"]
        given = given if isinstance(given, Piece) else read(Path(given).read_bytes())
        part = 4 if self.tokenizer == "remi" else 3

        def facts(note: Note) -> tuple[Any, ...]:
            return (note.onset, note.end, note.pitch, note.program)[:part]

        if self.whole.get("voice") is None:
            missing = Counter(map(facts, given.notes)) - Counter(map(facts, self.piece.notes))
            for onset, end, pitch, *_ in sorted(missing):
                yield f"quarter {onset} to {end}: pitch {pitch} was given and is not there"
        else:  # a voice without notes has no track, so the voices before it may be missing
            tracks = sorted({note.track for note in self.piece.notes})
            wanted = sorted(map(facts, _track(given, int(self.whole["voice"]) - 1)))
            if not any(
                sorted(facts(note) for note in self.piece.notes if note.track == track) == wanted
                for track in tracks[: int(self.whole["voice"])]
            ):
                yield f"no track has the given notes, and only those, as voice {self.whole['voice']}"
        if "bars" not in self.whole and given.bars:
            end = given.bars[-1].end
            if self.piece.end > end:
                yield f"the piece sounds to quarter {self.piece.end}, beyond the given bars, which end at {end}"

    def no_repeat(self) -> Iterator[str]:
        content = {
            bar.number: sorted((n.onset - bar.start, n.pitch, n.end - n.onset) for n in self.onsets(bar))
            for bar in self.full
        }
        for bar in self.full:
            value, _ = self.value("no_repeat", bar.number)
            for before in range(max(1, bar.number - int(value or 0)), bar.number):
                if content[bar.number] and content[bar.number] == content[before]:
                    yield f"bar {bar.number} is bar {before} over again"

    def ending(self) -> Iterator[str]:
        if str(self.whole["ending"]) != "tonic":
            raise ValueError(f"ending {self.whole['ending']}")
        if not self.pitched:
            yield "no note to end on"
            return
        time = self.pitched[-1].onset
        value, _ = self.value("key", self.piece.bar_at(time).number)
        tonic, triad = tonic_triad(value)
        last = sorted(note.pitch for note in self.pitched if note.onset <= time < note.end)
        if last[0] % 12 != tonic or any(pitch % 12 not in triad for pitch in last):
            yield f"the last sonority is {last}, not the tonic triad of {value} on its root"


RULES = {
    name: getattr(Judge, name)
    for name in (
        *("key", "pitch_range", "instruments", "polyphony", "density", "velocity", "tempo", "meter", "bars"),
        *("chords", "rhythm", "notes", "no_repeat", "ending"),
    )
}


def numbers_of_bars(value: Any) -> tuple[int, int | None]:
    """The first and last bar of `9-16`, `5` or `9-` (to the end: None)."""
    found = re.fullmatch(r"\s*(\d+)\s*(-?)\s*(\d*)\s*", str(value))
    if not found:
        raise ValueError(f"no range of bars: {value}")
    first, dash, last = found.groups()
    return int(first), int(last) if last else None if dash else int(first)


def _within(bar: Bar, first: int, last: int | None) -> bool:
    return first <= bar.number and (last is None or bar.number <= last)


def _beat(meter: tuple[int, int]) -> Fraction:
    return Fraction(3, 2) if meter in ((6, 8), (9, 8), (12, 8)) else Fraction(4, meter[1])


def _track(piece: Piece, index: int) -> list[Note]:
    """The notes of the only track, or of that with an index."""
    tracks = sorted({note.track for note in piece.notes})
    track = tracks[0] if len(tracks) == 1 else tracks[index]
    return [note for note in piece.notes if note.track == track]
