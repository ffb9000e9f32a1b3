"""A piece of music as columns: the one representation between files, store, tokenizers and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

NOTE = np.dtype(
    [
        ("start", "<i4"),  # ticks
        ("end", "<i4"),  # ticks, exclusive
        ("track", "<u2"),  # the voice or instrument line that the note stands in
        ("program", "u1"),  # General MIDI 0..127, or DRUMS
        ("pitch", "u1"),  # MIDI 0..127
        ("velocity", "u1"),  # 1..127
    ]
)
TEMPO = np.dtype([("tick", "<i4"), ("microseconds", "<i4")])  # microseconds per quarter note
METER = np.dtype([("tick", "<i4"), ("numerator", "u1"), ("denominator", "u1")])
PEDAL = np.dtype([("start", "<i4"), ("end", "<i4"), ("track", "<u2")])  # sustain pedal held down

DRUMS = 128
"""The `program` of percussion, which in MIDI is a channel and not a program."""

DEFAULT_TEMPO = 500_000  # 120 quarter notes a minute: what MIDI means where a file says nothing
MAX_TEMPO = 0xFFFFFF  # microseconds per quarter note: a MIDI file has three bytes for it
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64, 128)  # of meters


def _default_tempos() -> np.ndarray:
    return np.array([(0, DEFAULT_TEMPO)], TEMPO)


def _default_meters() -> np.ndarray:
    return np.array([(0, 4, 4)], METER)


@dataclass(frozen=True, eq=False)
class Score:
    """Notes with the tempo, meter and pedal that they stand under. Times are in ticks.

    `notes` is an array of `NOTE` sorted by (start, track, program, pitch, end). `tempos` and `meters` are
    sorted by tick and begin at tick 0. `first_bar` is the tick at which the first full bar begins: above 0
    where the piece opens with a pickup, and always shorter than a bar.
    """

    notes: np.ndarray
    ticks_per_quarter: int = 480
    tempos: np.ndarray = field(default_factory=_default_tempos)
    meters: np.ndarray = field(default_factory=_default_meters)
    pedals: np.ndarray = field(default_factory=lambda: np.zeros(0, PEDAL))
    first_bar: int = 0

    def __len__(self) -> int:
        return len(self.notes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Score) and (
            self.ticks_per_quarter == other.ticks_per_quarter
            and self.first_bar == other.first_bar
            and np.array_equal(self.notes, other.notes)
            and np.array_equal(self.tempos, other.tempos)
            and np.array_equal(self.meters, other.meters)
            and np.array_equal(self.pedals, other.pedals)
        )

    def replace(self, **changes: Any) -> Score:
        """A copy with the named fields changed."""
        return replace(self, **changes)

    @property
    def end(self) -> int:
        """The tick at which the last note ends; 0 without notes."""
        return int(self.notes["end"].max()) if len(self.notes) else 0

    @property
    def duration(self) -> float:
        """Seconds from tick 0 to the end of the last note."""
        return float(self.seconds(self.end))

    def seconds(self, ticks: Any) -> np.ndarray:
        """The time in seconds of each tick, under the tempo map. Same shape as `ticks`, float64."""
        ticks = np.asarray(ticks, np.float64)
        if len(self.tempos) == 1:
            return ticks * (int(self.tempos["microseconds"][0]) / (1e6 * self.ticks_per_quarter))
        starts, rates, elapsed = self._tempo_map()
        index = np.maximum(np.searchsorted(starts, ticks, "right") - 1, 0)
        return elapsed[index] + (ticks - starts[index]) * rates[index]

    def ticks(self, seconds: Any) -> np.ndarray:
        """The tick (float64, not rounded) at each time in seconds: the inverse of `seconds`."""
        seconds = np.asarray(seconds, np.float64)
        starts, rates, elapsed = self._tempo_map()
        index = np.maximum(np.searchsorted(elapsed, seconds, "right") - 1, 0)
        return starts[index] + (seconds - elapsed[index]) / rates[index]

    def _tempo_map(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        starts = self.tempos["tick"].astype(np.float64)
        rates = self.tempos["microseconds"] / (1e6 * self.ticks_per_quarter)  # seconds per tick
        elapsed = np.concatenate([[0.0], np.cumsum(np.diff(starts) * rates[:-1])])
        return starts, rates, elapsed

    def bar_starts(self, until: int | None = None) -> np.ndarray:
        """Ticks of the bar lines from 0 up to `until` (exclusive; the end of the last note by default).

        A pickup counts as a bar of its own; a change of meter begins a bar where it stands.
        """
        until = self.end if until is None else until
        begins = np.minimum(np.append(self.meters["tick"], until), max(until, 1))  # a meter may stand far behind
        lines: list[np.ndarray] = [np.zeros(1, np.int64)]
        for i, meter in enumerate(self.meters):
            length = bar_ticks(int(meter["numerator"]), int(meter["denominator"]), self.ticks_per_quarter)
            first = int(meter["tick"]) + (self.first_bar if i == 0 else 0)
            lines.append(np.arange(first, int(begins[i + 1]), length, dtype=np.int64))
        starts = np.concatenate(lines)  # in order, 0 perhaps twice
        return starts[np.append(True, starts[1:] != starts[:-1]) & (starts < max(until, 1))]


def bar_ticks(numerator: int, denominator: int, ticks_per_quarter: int) -> int:
    """Ticks in a bar of `numerator`/`denominator`, at least 1."""
    return max(1, round(numerator * 4 * ticks_per_quarter / denominator))


def as_meter(ticks: int, ticks_per_quarter: int, denominator: int) -> tuple[int, int] | None:
    """The meter whose bar lasts `ticks`, with `denominator` or a multiple of it; None where there is none."""
    length = Fraction(ticks, 4 * ticks_per_quarter)
    denominator = max(denominator, length.denominator)
    numerator = length * denominator
    exists = numerator.denominator == 1 and 1 <= numerator <= 255 and denominator in DENOMINATORS
    return (int(numerator), denominator) if exists else None


def changes(events: np.ndarray) -> np.ndarray:
    """`events` by tick, without those that another at the same tick follows and those that change nothing."""
    events = events[np.argsort(events["tick"], kind="stable")]
    events = events[np.append(events["tick"][1:] != events["tick"][:-1], True)]
    changed = np.ones(len(events), bool)
    for name in (events.dtype.names or ())[1:]:
        changed[1:] &= events[name][1:] == events[name][:-1]
    changed[1:] = ~changed[1:]
    return events[changed]


def sort_notes(notes: np.ndarray) -> np.ndarray:
    """`notes` in the order that every Score keeps: start, track, program, pitch, end, velocity."""
    # two whole numbers to sort by are quicker than six columns, and files are nearly in order
    first = (notes["start"].astype(np.int64) << 31) | (notes["track"].astype(np.int64) << 15)
    first |= (notes["program"].astype(np.int64) << 7) | notes["pitch"]
    if (first[1:] > first[:-1]).all():
        return np.take(notes, np.arange(len(notes)))  # as notes.copy(), which goes field by field
    order = np.argsort(first, kind="stable")
    ordered = first[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort([(notes["end"].astype(np.int64) << 7) | notes["velocity"], first])
    return np.take(notes, order)


def make_notes(
    start: Any, end: Any, pitch: Any, velocity: Any = 80, program: Any = 0, track: Any = 0, *, ordered: bool = False
) -> np.ndarray:
    """An array of `NOTE` from columns (scalars are repeated), sorted unless `ordered` says that it is."""
    start = np.asarray(start)
    notes = np.zeros(len(start), NOTE)
    for name, column in zip(NOTE.names or (), (start, end, track, program, pitch, velocity), strict=True):
        notes[name] = column
    return notes if ordered else sort_notes(notes)


def cut_overlaps(notes: np.ndarray, *, by_track: bool = False) -> np.ndarray:
    """Notes of which no two of one pitch and program (and track, with `by_track`) sound at once.

    Of notes that begin together the longest stays, then the loudest; a note that sounds on when its pitch
    begins again ends there. Only so is a MIDI file's pairing of note-on and note-off unambiguous.
    """
    if len(notes) == 0:
        return notes
    voice = notes["program"].astype(np.int64) * 128 + notes["pitch"]
    if by_track:
        voice += notes["track"].astype(np.int64) * (129 * 128)
    order = np.lexsort([-notes["velocity"].astype(np.int64), -notes["end"].astype(np.int64), notes["start"], voice])
    notes, voice = notes[order], voice[order]
    again = np.zeros(len(notes), bool)
    again[1:] = (voice[1:] == voice[:-1]) & (notes["start"][1:] == notes["start"][:-1])
    notes, voice = notes[~again], voice[~again]
    same = voice[1:] == voice[:-1]
    notes["end"][:-1] = np.where(same, np.minimum(notes["end"][:-1], notes["start"][1:]), notes["end"][:-1])
    return sort_notes(notes)


def extend_by_pedal(score: Score) -> Score:
    """`score` with every note held until its track's sustain pedal is lifted; the pedals are then gone."""
    notes = score.notes.copy()
    for track in np.unique(score.pedals["track"]):
        pedals = score.pedals[score.pedals["track"] == track]
        pedals = pedals[np.argsort(pedals["start"], kind="stable")]
        mine = np.flatnonzero((notes["track"] == track) & (notes["program"] != DRUMS))
        ends = notes["end"][mine]
        index = np.searchsorted(pedals["start"], ends, "right") - 1  # the last pedal begun by the note's end
        held = (index >= 0) & (pedals["end"][index] > ends)
        notes["end"][mine] = np.where(held, pedals["end"][index], ends)
    return score.replace(notes=cut_overlaps(notes, by_track=True), pedals=np.zeros(0, PEDAL))
