"""A score on the grid of written notes: its bars, and where in them its notes begin and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musiclstm.errors import UserError
from musiclstm.rendering.engraving.meters import UNITS
from musiclstm.score import DRUMS, Score, as_meter, bar_ticks, cut_overlaps

MAX_BARS = 10_000
_MIXED = 0.1  # of the quarters may be divided in ways that are hard to read
_TRIPLET = 0.6  # a beat becomes triplets where they miss what was played by so much less than 16ths do


@dataclass(frozen=True)
class Bar:
    """A bar from `start` to `end`, in units; its first beat is `lead` units into a full bar, where it is a pickup."""

    start: int
    end: int
    numerator: int
    denominator: int
    number: int
    lead: int = 0

    @property
    def meter(self) -> tuple[int, int]:
        return self.numerator, self.denominator


@dataclass(frozen=True)
class Gridded:
    """Notes with times in units, of which `units` make a quarter, and the bars around them.

    exact: whether all notes begin and end where the score has them.
    """

    notes: np.ndarray
    units: int
    bars: list[Bar]
    exact: bool


def to_grid(score: Score, exact: bool | None = None) -> Gridded:
    """`score` on a grid of 24 units a quarter, or more where its notes need them.

    With `exact` all notes stay where they are, if the grid has room for them. Without it, and by default where too
    many quarters divide into neither 32nds nor 16th triplets, as when music was played, they move to 16ths or
    triplets, whichever are nearer in each quarter; where only the ends are so, only the ends. As in a MIDI file a note
    ends where its pitch begins again in the same part. Raises UserError beyond MAX_BARS.
    """
    score = score.replace(notes=cut_overlaps(score.notes, by_track=True))
    lines = score.bar_starts()
    if len(lines) > MAX_BARS:
        raise UserError(f"{len(lines):,} bars, and at most {MAX_BARS:,} become a score; give a part of the music")
    least = max(UNITS, 3 * int(score.meters["denominator"].max()) // 4)
    times = np.concatenate([score.notes["start"], score.notes["end"], lines]).astype(np.int64)
    fits = [u for u in (UNITS, 2 * UNITS, 4 * UNITS) if u >= least and not (times * u % score.ticks_per_quarter).any()]
    units = fits[0] if fits else least
    start, end = (score.notes[name] / score.ticks_per_quarter for name in ("start", "end"))
    pitched = score.notes["program"] != DRUMS
    keep = [bool(fits) and exact is not False] * 2
    if keep[0] and exact is None:
        keep = [_divides(start * units, units)] * 2
        keep[1] &= _divides(np.concatenate([start, end[pitched]]) * units, units)
    first, last = quantise(start, end, units)
    notes = score.notes.copy()
    notes["start"] = np.rint(start * units) if keep[0] else first
    notes["end"] = np.rint(end * units) if keep[1] else last
    notes["end"] = np.where(notes["end"] > notes["start"], notes["end"], notes["start"] + units // 4)
    meters = score.meters.copy()
    step = 1 if fits else units // 8
    meters["tick"] = np.rint(meters["tick"] * (units / score.ticks_per_quarter / step)) * step
    pickup = round(score.first_bar * units / score.ticks_per_quarter / step) * step
    placed = Score(cut_overlaps(notes, by_track=True), units, meters=meters, first_bar=pickup)
    return Gridded(placed.notes, units, _bars(placed), keep[1])


def _divides(times: np.ndarray, units: int) -> bool:
    """Whether nearly all quarters divide into 32nds or into 16th triplets."""
    times = np.rint(times).astype(np.int64)
    quarters, index = np.unique(times // units, return_inverse=True)
    plain, triplets = (np.bincount(index, times * n % units != 0) == 0 for n in (8, 6))
    return bool(np.count_nonzero(~plain & ~triplets) <= max(_MIXED * len(quarters), 2))


def quantise(start: np.ndarray, end: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in quarters, to the nearest 16th or eighth of a triplet, whichever fits their quarter, in units."""
    quarter = np.floor(start).astype(np.int64)
    size = int(max(end.max(initial=0), 0)) + 2
    triplets = np.zeros(size, bool)
    missed = [np.bincount(quarter, np.abs(start - np.round(start * n) / n), size) for n in (4, 3)]
    # an onset between the eighths is needed to hear a triplet
    inside = np.bincount(quarter, np.abs(start * 2 - np.round(start * 2)) > 0.2, size)
    triplets[:] = (missed[1] < _TRIPLET * missed[0]) & (inside > 0)

    def nearest(times: np.ndarray) -> np.ndarray:
        step = np.where(triplets[np.floor(times).astype(np.int64)], units // 3, units // 4)
        return np.asarray(np.round(times * units / step).astype(np.int64) * step)

    first = nearest(start)
    least = np.where(triplets[first // units], units // 3, units // 4)
    return first, np.maximum(nearest(end), first + least)


def _bars(score: Score) -> list[Bar]:
    """The bars of a score whose ticks are units. With a pickup the last bar is shorter by it, where it can be."""
    starts = score.bar_starts()
    meters = score.meters[np.searchsorted(score.meters["tick"], starts, "right") - 1].tolist()
    pickup = score.first_bar
    bars: list[Bar] = []
    for i, (start, (_, numerator, denominator)) in enumerate(zip(starts.tolist(), meters, strict=True)):
        full = bar_ticks(numerator, denominator, score.ticks_per_quarter)
        last = i + 1 == len(starts)
        end = start + full if last else int(starts[i + 1])
        number = len(bars) + (pickup == 0)
        if i == 0 and 0 < pickup < full:
            end = pickup if last else end
            bars.append(Bar(start, end, numerator, denominator, 0, lead=max(full - (end - start), 0)))
            continue
        if last and 0 < pickup < full and score.end <= end - pickup:
            end -= pickup
        elif end - start != full:
            shorter = as_meter(end - start, score.ticks_per_quarter, denominator)
            numerator, denominator = shorter or (numerator, denominator)
        bars.append(Bar(start, end, numerator, denominator, number))
    return bars
