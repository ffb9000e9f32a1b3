"""Where a piece repeats itself: the step that came after the last two quarters where the piece had them before.

A recurrent state cannot hold a section word for word, and music repeats sections. As in the match models of lossless
compression (Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data Compression"), a model is told what
followed those quarters where they stood last, and decides what to make of it. Only the piece itself is searched, and
of it the last 128 quarters: so memory stays constant, and nothing is copied from the training pieces.

Here is how the place is found, for any tokenizer on a grid that can hash its steps; what is told of it is the
tokenizer's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from musiclstm.tokenizers.grammar import ONE, ZERO, put_rows, row_starts, select_rows, widened

CONTEXT = 2  # quarters that must be the same
MEMORY = 128  # quarters back
LENGTHS = (2, 3, 4, 6, 8, 16)  # quarters in agreement; more than the last look the same to the model
GROWTH = 64  # columns
NONE = -1

AGREEMENTS = len(LENGTHS) + 2
"""Values of the feature that says for how long the piece has repeated itself: 0 not at all, 1 no more, as the present
step has turned away, and then by `LENGTHS`."""

State = TypeVar("State")
Line = TypeVar("Line")


class PlaceState(NamedTuple):
    """Of B pieces. A step has its column in `keys` at its number modulo the memory; there are as many as needed."""

    keys: np.ndarray
    """The hash of what led to each step, 0 where there is none: int64, (B, W)."""
    recent: np.ndarray
    """The hashes of the last steps, as many as must be the same: int64, (B, C)."""
    place: np.ndarray
    """The earlier step that the present one may repeat, or NONE; (B,)."""
    length: np.ndarray
    """For how many steps the two have agreed, up to the longest of `LENGTHS`; 0 where there is none; (B,)."""


class Places:
    """Finds the step that followed the present context where that stood last: over whole pieces, or step by step."""

    def __init__(self, steps_per_quarter: int) -> None:
        self.context, self.memory = CONTEXT * steps_per_quarter, MEMORY * steps_per_quarter
        lengths = np.array(LENGTHS) * steps_per_quarter
        self.longest = int(lengths[-1])
        self.agreement = np.append(
            0, np.searchsorted(lengths, np.arange(1, self.longest + 1), "right") + 1
        )  # by length
        self.factors = hash_factors(self.context, seed=1)

    def read(self, hashes: np.ndarray, known: int, place: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """For each of the S steps hashed (int64, (S,)) and the one after, place and length: int64, (S + 1,).

        Those of step `known` are given; those of earlier ones are not worked out again.
        """
        steps = len(hashes)
        places, lengths = np.full(steps + 1, NONE), np.zeros(steps + 1, np.int64)
        if steps >= self.context:
            windows = np.lib.stride_tricks.sliding_window_view(hashes, self.context)
            keys = (windows * self.factors).sum(1)  # (S - C + 1,)
            order = np.argsort(keys, kind="stable")
            same = keys[order[1:]] == keys[order[:-1]]
            later, earlier = order[1:][same], order[:-1][same]
            near = later - earlier <= self.memory
            places[self.context + later[near]] = self.context + earlier[near]
        places[known], lengths[known] = place, length
        new = np.arange(known + 1, steps + 1)
        goes_on = (places[new] >= 0) & (places[new - 1] >= 0) & (places[new] == places[new - 1] + 1)
        # Where the run of agreement began that each is in; 0 stands for the one that was going on.
        begun = np.maximum.accumulate(np.where(goes_on, 0, new))
        at_first = np.where(begun == 0, length - known, self.context - begun)
        lengths[new] = np.where(places[new] >= 0, np.minimum(new + at_first, self.longest), 0)
        return places, lengths

    def kept(self, places: np.ndarray) -> tuple[int, int]:
        """How many of the S steps before the present one need not be kept to go on, and the present one's place of
        `places` (S + 1,), counted from the first that is."""
        gone = max(0, len(places) - 1 - self.memory - self.context)
        return gone, max(int(places[-1]) - gone, NONE)

    def start(self, batch: int) -> PlaceState:
        """Before the first step."""
        zero = np.zeros(batch, np.int64)
        return PlaceState(np.zeros((batch, 0), np.int64), np.zeros((batch, self.context), np.int64), zero + NONE, zero)

    def advance(self, state: PlaceState, hashed: np.ndarray, step: np.ndarray) -> PlaceState:
        """After step number `step` (B,), whose hash is `hashed` (B,)."""
        coming, batch = step + ONE, len(step)
        recent = np.concatenate((state.recent[:, 1:], hashed[:, None]), 1)
        key = (recent * self.factors).sum(1)
        early = coming < self.context
        if np.count_nonzero(early):  # too little before it: what no other step has
            key = np.where(early, -coming, key)
        found, columns = np.nonzero(state.keys == key[:, None])
        keys = self.put(state.keys, coming, key)
        if not len(found):
            nothing = state.length * 0
            return PlaceState(keys, recent, nothing + NONE, nothing)
        nearest = np.full(batch, self.memory + 1)
        np.minimum.at(nearest, found, (coming[found] - columns - 1) % self.memory + 1)
        known = nearest <= self.memory
        place = np.where(known, coming - nearest, NONE)
        goes_on = (state.place >= 0) & (place == state.place + 1)
        length = np.where(goes_on, np.minimum(state.length + 1, self.longest), self.context) * known
        return PlaceState(keys, recent, place, length)

    def put(self, columns: np.ndarray, step: np.ndarray, value: np.ndarray) -> np.ndarray:
        """`columns` (B, W, ...) with `value` (B, ...) at `step` (B,), widened where that is needed; a copy."""
        width = min(self.memory, -(-(int(step.max()) + 1) // GROWTH) * GROWTH)
        columns = widened(columns, width) if columns.shape[1] < width else columns.copy()
        rows = row_starts(len(step), columns.shape[1])
        columns.reshape(-1, *columns.shape[2:])[rows + step % self.memory] = value
        return columns

    def get(self, columns: np.ndarray, place: np.ndarray) -> np.ndarray:
        """What `columns` (B, W, ...) hold of the steps `place` (B,); anything where that is NONE."""
        rows = row_starts(len(place), columns.shape[1])
        return columns.reshape(-1, *columns.shape[2:])[rows + np.maximum(place, ZERO) % self.memory]


def hash_factors(count: int, seed: int) -> np.ndarray:
    """Odd numbers without a pattern, int64, to multiply what is hashed with before it is summed up, modulo 2**64."""
    return np.random.default_rng([8, seed]).integers(1 << 62, size=count, dtype=np.int64) * 2 + 1


def agreed(agreement: np.ndarray, agrees: np.ndarray) -> np.ndarray:
    """The feature of `AGREEMENTS` values: `agreement` where the present step agrees (1) with the one that it may
    repeat; where it does not (0), 1 if there is such a step, else 0; (B,) each."""
    told: np.ndarray = np.minimum(agreement, agreement * agrees + ONE)
    return told


def where_closed(close: Callable[..., State], closes: np.ndarray, state: State, *arrays: np.ndarray) -> State:
    """`close` of the state and arrays, in the rows alone in which `closes` is 1: in one at least."""
    if np.count_nonzero(closes) == len(closes):
        return close(state, *arrays)
    rows = np.flatnonzero(closes)
    return put_rows(state, rows, close(select_rows(state, rows), *(array[rows] for array in arrays)))


class Reader(Protocol[Line]):
    """What reads a whole sequence of one piece: `VoiceRepeats`, `FrameRepeats`."""

    def read(self, said: np.ndarray, line: Line | None) -> tuple[np.ndarray, np.ndarray, Line]:
        """The two features before the first of `said` (n,) and after each, (n + 1,), and what to go on from."""


def read_rows(
    reader: Reader[Line], said: np.ndarray, counts: np.ndarray, lines: Sequence[Line | None]
) -> tuple[np.ndarray, np.ndarray, list[Line | None]]:
    """The two features after each token, (B, T) each, and what to go on from, row by row.

    said, counts: what each token says to `reader`, and whether it says something; (B, T) each.
    """
    following, agreement = np.empty(said.shape, np.int64), np.empty(said.shape, np.int64)
    after: list[Line | None] = []
    for row, line in enumerate(lines):
        ahead, for_long, line = reader.read(said[row, counts[row]], line)
        told = np.cumsum(counts[row])  # each token sees what came of those up to it
        following[row], agreement[row] = ahead[told], for_long[told]
        after.append(line)
    return following, agreement, after
