"""From logits to tokens: the grammar's mask, then temperature, then filters, then the draw.

Everything works on a batch, (B, V), and leaves each row at least one token. It is NumPy, as a step works on numbers
so few that starting torch's threads would take longer than the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from musiclstm.errors import UserError

DRAWS_AT_ONCE = 256


@dataclass(frozen=True)
class Sampling:
    """How boldly tokens are drawn. Bad values raise UserError.

    temperature: above 1 flattens the distribution, below 1 sharpens it; 0 always takes the likeliest token.
    top_k: only the k likeliest tokens.
    top_p: only the likeliest tokens that together reach this probability.
    min_p: only tokens with at least this share of the likeliest one's probability.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = 0.95
    min_p: float | None = None

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, "of at least 0 (0 takes the likeliest)", lambda t: t >= 0)
        if self.top_k is not None:
            check_whole("top_k", self.top_k)
        if self.top_p is not None:
            check_number("top_p", self.top_p, "above 0 and at most 1", lambda p: 0 < p <= 1)
        if self.min_p is not None:
            check_number("min_p", self.min_p, "of at least 0 and below 1", lambda p: 0 <= p < 1)

    def weights(self, logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """How likely each token is to be drawn (see `sample`), from logits and what the grammar allows (bool)."""
        logits = np.where(allowed, logits, -np.inf)
        if self.temperature == 0:
            weights = np.zeros(logits.shape)
            weights[np.arange(len(logits)), logits.argmax(1)] = 1.0
            return weights
        weights = apply_temperature(logits, self.temperature)
        if self.top_k is not None:
            weights = top_k(weights, self.top_k)
        if self.top_p is not None:
            weights = top_p(weights, self.top_p)
        if self.min_p is not None:
            weights = min_p(weights, self.min_p)
        return weights


def apply_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Weights of logits divided by `temperature`, which is above 0: float64, the largest of a row being 1."""
    logits = logits.astype(np.float64)
    with np.errstate(over="ignore"):  # at a tiny temperature all but the likeliest become minus infinity
        return np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)


def top_k(weights: np.ndarray, k: int) -> np.ndarray:
    """The k largest weights of each row, and those equal to the smallest of them; 0 for the others."""
    size = weights.shape[1]
    if k >= size:
        return weights
    return _at_least(weights, np.partition(weights, size - k, axis=1)[:, size - k])


def top_p(weights: np.ndarray, p: float) -> np.ndarray:
    """The largest weights of each row until they make up a share p of it, and those equal to the smallest of them."""
    if p >= 1:
        return weights
    falling = -np.sort(-weights, axis=1)
    reached = falling.cumsum(axis=1)
    last = (reached < p * reached[:, -1:]).sum(axis=1, keepdims=True)
    return _at_least(weights, np.take_along_axis(falling, last, axis=1)[:, 0])


def min_p(weights: np.ndarray, p: float) -> np.ndarray:
    """The weights of at least p times the largest of their row; 0 for the others."""
    return _at_least(weights, p * weights.max(axis=1))


def _at_least(weights: np.ndarray, least: np.ndarray) -> np.ndarray:
    return np.where(weights >= least[:, None], weights, 0.0)


def sample(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One token a row, int64 (B,), as likely as its weight's share of the row; one of weight 0 is never drawn.

    It is where the sum of the weights passes `uniform` (B,), in [0, 1).
    """
    reached = weights.cumsum(axis=1)
    total = reached[:, -1]
    target = np.minimum(uniform * total, np.nextafter(total, 0.0))
    return (reached <= target[:, None]).sum(axis=1)


class RowStreams:
    """A stream of uniform numbers for each row, so that what a row draws does not hang on the rows beside it."""

    def __init__(self, seed: int, rows: range) -> None:
        self._generators = [np.random.default_rng([seed, row]) for row in rows]
        self._drawn = np.zeros((len(rows), 0))
        self._next = 0

    def uniform(self) -> np.ndarray:
        """The next number of each row: float64, (B,), in [0, 1)."""
        if self._next == self._drawn.shape[1]:
            self._drawn = np.stack([generator.random(DRAWS_AT_ONCE) for generator in self._generators])
            self._next = 0
        self._next += 1
        return self._drawn[:, self._next - 1]


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Raise UserError unless the value is a whole number of at least `least`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (whole and value >= least):
        raise UserError(f"{name}={value} is not possible: give a whole number of at least {least}")


def check_number(name: str, value: Any, wanted: str, fits: Callable[[float], bool]) -> None:
    """Raise UserError unless the value is a finite number that `fits`; `wanted` says in words which do."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and fits(value)):
        raise UserError(f"{name}={value} is not possible: give a number {wanted}")
