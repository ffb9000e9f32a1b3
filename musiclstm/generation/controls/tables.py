"""The arrays that a plan looks up while music is written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.score import bar_ticks

ALL = np.ones(128, bool)


@dataclass
class Bars:
    """The bars of a tokenizer: the length of each meter in steps, and which steps are beats; M meters."""

    meters: list[tuple[int, int]]
    lengths: np.ndarray
    """(M,)"""
    on_beat: np.ndarray
    """(M, longest + 1) bool: a note that begins at this position belongs to the chord that holds."""
    last_beat: np.ndarray
    """(M, longest + 1): the last beat before a position, 0 where there is none."""

    @classmethod
    def on_grid(cls, meters: list[tuple[int, int]], steps_per_quarter: int) -> Bars:
        lengths = np.array([bar_ticks(*meter, steps_per_quarter) for meter in meters])
        position = np.arange(int(lengths.max()) + 1)
        units = [(3, 8) if n in (6, 9, 12) and d == 8 else (1, d) for n, d in meters]
        on_beat = np.stack([position * d % (4 * steps_per_quarter * n) == 0 for n, d in units])
        return cls(meters, lengths, on_beat, _last_before(on_beat))

    @classmethod
    def in_seconds(cls, length: int) -> Bars:
        """Bars of one length, in which every step belongs to its chord and the last beat is a quarter of one long."""
        position = np.arange(length + 1)
        beats = position % (length // 4) == 0
        return cls([(4, 4)], np.array([length]), np.ones((1, length + 1), bool), _last_before(beats[None]))


def _last_before(marks: np.ndarray) -> np.ndarray:
    """For each position of (rows, positions) the last mark before it, 0 where there is none."""
    index = np.where(marks, np.arange(marks.shape[1]), 0)
    before = np.maximum.accumulate(index, axis=1)
    return np.concatenate([np.zeros((len(marks), 1), np.int64), before[:, :-1]], axis=1)


@dataclass
class Tables:
    """What holds where. S segments of bars in which no setting changes, R rows of tokens.

    A thing that is not asked for has its flag False, and its tables are not looked at.
    """

    bars: Bars
    size: int  # of the vocabulary
    segment_of: np.ndarray
    """(top + 1,): the segment by bar + 1; all later bars are of the last."""
    rows: np.ndarray
    """(R, V) bool: the tokens that may be said, of those that begin notes."""
    base: np.ndarray
    """(S,): the row where no chord holds."""
    pitches: np.ndarray
    """(R, 128) bool: the pitches that may begin."""
    asked: frozenset[str]
    # chords
    chord_from: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    cycle: np.ndarray = field(default_factory=lambda: np.ones(1, np.int64))
    parts: np.ndarray = field(default_factory=lambda: np.ones((1, 1), np.int64))  # (S, cycle)
    chord_row: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 1), np.int64))  # (S, cycle, parts)
    # rhythm
    rhythm_row: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))  # (S, length + 1), -1 no fit
    struck_at: np.ndarray = field(default_factory=lambda: np.ones((1, 1), bool))  # (rhythms, position): x
    before: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))  # (rhythms, position): x before it
    following: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))  # the first x not before it
    last_x: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))  # the last before it
    # by segment
    polyphony: np.ndarray = field(default_factory=lambda: np.full(1, MANY))
    meters: np.ndarray = field(default_factory=lambda: np.ones((1, 1), bool))  # (S, M)
    repeat: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    density_of: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # (S,): index of the four below
    fewest: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # (D,)
    most: np.ndarray = field(default_factory=lambda: np.full(1, MANY))
    average: np.ndarray = field(default_factory=lambda: np.full(1, np.nan))
    density_from: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    # the end
    last_bar: int | None = None  # its index
    whole_last_bar: bool = False  # the last bar is not shortened by a pickup: that of `notes` which need it
    needs_last_note: bool = False  # a note has to begin in the last bar
    triad: np.ndarray = field(default_factory=lambda: ALL)  # (128,) bool, of the last sonority
    tonic: np.ndarray = field(default_factory=lambda: ALL)  # its lowest note

    def has(self, *names: str) -> bool:
        """Whether any of these settings is asked for anywhere."""
        return not self.asked.isdisjoint(names)

    def segments(self, bar: np.ndarray) -> np.ndarray:
        """The segment of each bar, same shape."""
        return self.segment_of.take(bar + 1, mode="clip")

    def row_at(
        self, segment: np.ndarray, bar: np.ndarray, position: np.ndarray, length: np.ndarray, meter: np.ndarray
    ) -> np.ndarray:
        """The row in force at a position of a bar, same shape as each of these."""
        row = self.base.take(segment)
        if "chords" not in self.asked:
            return row
        turn = (bar - self.chord_from.take(segment)) % self.cycle.take(segment)
        part = self.parts[segment, turn] * position // length
        return np.where(self.bars.on_beat[meter, position], self.chord_row[segment, turn, part], row)
