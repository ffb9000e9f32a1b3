"""Automata that say which token may follow, and what a model and a limit have to know before it does.

They are NumPy and not torch: a call on an array as small as a state takes a third of the time. For the same reason
values are looked up in tables with `take` and written with `put`, which cost less than `[...]` and `np.where`, and
arrays of one element stand for numbers, which cost twice as much.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

State = TypeVar("State")

ZERO, ONE = np.zeros(1, np.int64), np.ones(1, np.int64)


class Clock(NamedTuple):
    """Where the next token stands in the music; each (B,)."""

    step: np.ndarray
    """int64: steps of the tokenizer since the beginning."""
    bar: np.ndarray
    """int64: full bars completed, as `Reading.bars`: the index of the present bar from 0, a pickup being -1."""
    position: np.ndarray
    """int64: steps since the bar line; in a pickup, of the bar that it is the end of."""
    length: np.ndarray
    """int64: steps in the present bar."""
    seconds: np.ndarray
    """float64: as `Reading.seconds`."""


class Grammar(ABC, Generic[State]):
    """An automaton over B sequences at once.

    A state is a NamedTuple of arrays, or of further ones, of which each array has B rows. None is changed in place.
    Every sequence allowed from BOS to EOS decodes, holds a note, leaves none open, and is what `encode` gives
    for its score. Rows that have ended allow PAD alone.
    """

    @abstractmethod
    def start(self, batch: int) -> State:
        """The state of `batch` sequences after BOS."""

    @abstractmethod
    def allowed(self, state: State) -> np.ndarray:
        """Which tokens may come next: bool, (B, V), the caller's to change; never a row without one."""

    @abstractmethod
    def advance(self, state: State, tokens: np.ndarray) -> State:
        """The state after one more token a row: `tokens` is int64, (B,)."""

    @abstractmethod
    def features(self, state: State) -> np.ndarray:
        """What `Tokenizer.context` gives after the same tokens, BOS among them: int64, (B, F)."""

    @abstractmethod
    def clock(self, state: State) -> Clock:
        """How far the music has come."""

    def hold_back(self, state: State, step: int) -> State:
        """The state in which nothing new may begin before `step`: for going on after a prompt."""
        return state

    def waiting(self, state: State, step: int) -> np.ndarray:
        """The tokens that lead one sequence to `step`, int64 (T,), where these stand for nothing but time."""
        return ZERO[:0]


def select_rows(state: State, index: np.ndarray) -> State:
    """The rows that `index` names (whole numbers, or (B,) bool), in its order; one named twice is there twice."""
    if isinstance(state, tuple):
        return type(state)(*(select_rows(part, index) for part in state))
    rows: Any = state
    return rows[index]


def merge_rows(mask: np.ndarray, new: State, old: State) -> State:
    """The rows of `new` where `mask` ((B,) bool), of `old` elsewhere.

    Arrays of unequal width are filled up with zeros on the right, which stand for nothing in all states.
    """
    if new is old:
        return new
    if isinstance(new, tuple) and isinstance(old, tuple):
        return type(new)(*(merge_rows(mask, *parts) for parts in zip(new, old, strict=True)))
    left, right = _as_wide(new, old)
    merged: Any = np.where(mask.reshape(-1, *[1] * (left.ndim - 1)), left, right)
    return merged


def put_rows(state: State, rows: np.ndarray, part: State) -> State:
    """`state` with the rows of `part` in place of `rows` (int64); widths are evened out as `merge_rows` does it."""
    if isinstance(state, tuple) and isinstance(part, tuple):
        return type(state)(*(put_rows(old, rows, new) for old, new in zip(state, part, strict=True)))
    old, new = _as_wide(state, part)
    replaced: Any = old.copy()
    replaced[rows] = new
    return replaced


def _as_wide(left: Any, right: Any) -> tuple[Any, Any]:
    """Two arrays (B, ...) of which the narrower, (B, W, ...), is filled up with zeros on the right."""
    if left.ndim == 1 or left.shape[1] == right.shape[1]:
        return left, right
    width = max(left.shape[1], right.shape[1])
    return tuple(widened(part, width) for part in (left, right))  # type: ignore[return-value]


def widened(array: np.ndarray, width: int) -> np.ndarray:
    """An array (B, W, ...) as (B, width, ...), a copy, with zeros on the right."""
    return np.pad(array, [(0, 0), (0, width - array.shape[1])] + [(0, 0)] * (array.ndim - 2))


@lru_cache(maxsize=1024)
def row_starts(batch: int, width: int) -> np.ndarray:
    """Where each row of a (batch, width) array begins in `take` and `put`, which count all places: int64, (batch,)."""
    starts = np.arange(batch) * width
    starts.setflags(write=False)
    return starts


def thresholds(count: int) -> np.ndarray:
    """Row k has the numbers below `count` that are at least k: bool, (count + 1, count)."""
    return np.arange(count) >= np.arange(count + 1)[:, None]


def columns(size: int, *values: dict[range, Any]) -> np.ndarray:
    """What each token says, to be looked up with `take(tokens, 1)`: int64, (len(values), size).

    Each of `values` gives for some ranges of ids a number, or one for each id; it is 0 elsewhere.
    """
    table = np.zeros((len(values), size), np.int64)
    for row, given in zip(table, values, strict=True):
        for span, value in given.items():
            row[span.start : span.stop] = value
    return table
