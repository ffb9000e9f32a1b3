"""How a piece lies on paper: in bars where it keeps to its meter, in seconds where not, broken into systems."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from musiclstm.score import Score, bar_ticks

SYSTEM_SECONDS = 24.0  # what one system holds at its usual width
MAX_SYSTEMS = 8  # a longer piece gets wider, then denser, systems instead of more of them
_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)  # seconds between labels


@dataclass(frozen=True)
class Timeline:
    """Where the ticks of `score` lie on paper. One unit of x is a tick if `metric`, else a second.

    `systems` are the (left, right) edges of the rows; `bars` the x of the bar lines, `numbers` their bar numbers
    (1 is the first full bar, 0 a pickup), and `beats` the x of the beats between; all empty unless `metric`.
    """

    score: Score
    metric: bool
    systems: list[tuple[float, float]]
    bars: np.ndarray
    numbers: np.ndarray
    beats: np.ndarray

    def x(self, ticks: Any) -> np.ndarray:
        """The x of each tick."""
        return np.asarray(ticks, np.float64) if self.metric else self.score.seconds(ticks)

    def clock(self, left: float, right: float, most: int) -> tuple[np.ndarray, list[str]]:
        """x and text ('1:05') of at most `most` time labels from `left` to `right`, well apart, at round seconds."""
        begin, end = (float(v) for v in (self.score.seconds([left, right]) if self.metric else (left, right)))
        step = next((s for s in _STEPS if (end - begin) / s <= max(most - 1, 1)), _STEPS[-1])
        seconds = np.arange(np.ceil(begin / step - 1e-9), np.floor(end / step + 1e-9) + 1) * step
        where = self.score.ticks(seconds) if self.metric else seconds
        kept: list[int] = []
        for i, x in enumerate(where):  # a sudden fast tempo crowds them
            if not kept or x - where[kept[-1]] > 0.5 * (right - left) / most:
                kept.append(i)
        return where[kept], [clock_text(seconds[i], tenths=step < 1) for i in kept]


def clock_text(seconds: float, *, tenths: bool = False) -> str:
    """`seconds` as 1:05, 1:05.5 or 1:00:05."""
    seconds = round(seconds, 1) if tenths else float(round(seconds))
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:04.1f}" if tenths else f"{rest:02.0f}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def follows_meter(score: Score) -> bool:
    """Whether the onsets keep to the beats that the file states, as a piano recorded without a click does not.

    The onsets are wound around a circle once for every 1/1, 1/2 .. 1/8 of a quarter note; music on a grid piles up
    on one side of one of the circles, however loosely it is played. With few onsets the file is believed.
    """
    onsets = np.unique(score.notes["start"]) / score.ticks_per_quarter
    if len(onsets) < 32:
        return True
    return bool(max(abs(np.exp(2j * np.pi * k * onsets).mean()) for k in (1, 2, 3, 4, 6, 8)) > 0.2)


def lay_out(score: Score, until: int = 0) -> Timeline:
    """The Timeline of `score`, up to its last note or the tick `until`, whichever is later."""
    end = max(score.end, until)
    if follows_meter(score):
        return _in_bars(score, end)
    length = max(float(score.seconds(end)), 1.0)
    rows = _rows(length)
    row = length / rows
    row = row if rows == 1 else float(np.ceil(row / 5) * 5)
    none = np.zeros(0)
    systems = [(i * row, (i + 1) * row) for i in range(int(np.ceil(length / row - 1e-9)))]
    return Timeline(score, False, systems, none, none.astype(np.int64), none)


def _rows(seconds: float) -> int:
    if seconds <= 1.35 * SYSTEM_SECONDS:  # two half-empty rows read worse than one that is a little full
        return 1
    return min(int(np.ceil(seconds / SYSTEM_SECONDS)), MAX_SYSTEMS)


def _in_bars(score: Score, end: int) -> Timeline:
    lengths = [bar_ticks(int(m["numerator"]), int(m["denominator"]), score.ticks_per_quarter) for m in score.meters]
    end = end or 4 * lengths[0]
    edges = score.bar_starts(end + 2 * max(lengths))
    edges = edges[: int(np.searchsorted(edges, end)) + 1]  # the last edge closes the last bar
    bars = edges[:-1]
    pickup = int(score.first_bar > 0)

    rows = _rows(float(score.seconds(edges[-1])))
    count = -(-len(bars) // rows)
    if rows > 1 and count >= 4:
        count = -(-count // 4) * 4  # phrases are of four bars more often than not
    breaks = [0, *range(count + pickup, len(bars), count), len(bars)]
    systems = [(float(edges[a]), float(edges[b])) for a, b in pairwise(breaks)]

    in_force = np.maximum(np.searchsorted(score.meters["tick"], bars, "right") - 1, 0)
    beat = 4.0 * score.ticks_per_quarter / score.meters["denominator"][in_force]
    counts = np.ceil(np.diff(edges) / beat - 1e-9).astype(np.int64)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    beats = (np.repeat(bars, counts) + within * np.repeat(beat, counts))[within > 0]
    return Timeline(score, True, systems, bars.astype(np.float64), np.arange(len(bars)) + 1 - pickup, beats)
