"""From logits to tokens: the grammar's mask, then temperature, then filters, then the draw.

Everything works on a batch, (B, V), and leaves each row at least one token. It is NumPy, as a step works on numbers
so few that starting torch's threads would take longer than the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from musiclstm.errors import UserError
from musiclstm.tokenizers.grammar import row_starts

DRAWS_AT_ONCE = 256
LEAST = 1e-300
add = np.add.reduce  # what `sum` calls, without the way there


class Drawn(NamedTuple):
    """One token for each row, and what the model thought of the choice; each (B,)."""

    tokens: np.ndarray  # int64
    masked: np.ndarray  # the model's probability, at temperature 1, of all that the grammar forbids
    left: np.ndarray  # the probability of all that was allowed, at the temperature asked for
    entropy: np.ndarray  # in nats, of the distribution over what was allowed, at temperature 1


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

    def draw(
        self,
        logits: np.ndarray,
        lawful: np.ndarray,
        allowed: np.ndarray,
        bias: np.ndarray | None,
        uniform: np.ndarray,
    ) -> Drawn:
        """A token for each row of logits (B, V) among those `allowed` (bool), by one uniform number each (B,).

        lawful: what the grammar allows; `allowed` is what constraints have left of that.
        bias: added to the logits (B, V) before the draw.
        """
        shifted = _shifted(logits)
        likely = np.exp(shifted)
        kept = likely * allowed
        total, left = add(likely, 1), add(kept, 1)
        lawfully = left if lawful is allowed else add(likely * lawful, 1)
        masked = (total - lawfully) / total
        some = np.maximum(left, LEAST)
        entropy = np.log(some) - add(kept * shifted, 1) / some
        if self.temperature not in (0, 1):
            likely = _raised(shifted, self.temperature)
            kept = likely * allowed
            total, left = add(likely, 1), add(kept, 1)
        if bias is not None or self.temperature == 0 or np.count_nonzero(left) < len(left):
            weights = self.weights(logits if bias is None else logits + bias, allowed)
        else:
            weights = self._filter(kept)
        return Drawn(sample(weights, uniform), masked, left / total, entropy)

    def weights(self, logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """How likely each token is to be drawn (see `sample`), from logits and what is allowed (bool)."""
        logits = np.where(allowed, logits, -np.inf)
        if self.temperature == 0:
            weights = np.zeros(logits.shape)
            weights[np.arange(len(logits)), logits.argmax(1)] = 1.0
            return weights
        return self._filter(apply_temperature(logits, self.temperature))

    def _filter(self, weights: np.ndarray) -> np.ndarray:
        if self.top_k is not None:
            weights = top_k(weights, self.top_k)
        if self.top_p is not None:
            weights = top_p(weights, self.top_p)
        if self.min_p is not None:
            weights = min_p(weights, self.min_p)
        return weights


def apply_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Weights of logits divided by `temperature`, which is above 0: float64, the largest of a row being 1."""
    return _raised(_shifted(logits), temperature)


def _shifted(logits: np.ndarray) -> np.ndarray:
    """float64, the largest of each row being 0."""
    shifted: np.ndarray = np.subtract(logits, np.maximum.reduce(logits, 1, keepdims=True), dtype=np.float64)
    return shifted


def _raised(shifted: np.ndarray, temperature: float) -> np.ndarray:
    with np.errstate(over="ignore"):  # at a tiny temperature all but the likeliest become minus infinity
        return np.exp(shifted / temperature)


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
    rising = np.sort(weights, axis=1)
    reached = rising[:, ::-1].cumsum(1)
    last = add(reached >= p * reached[:, -1:], 1) - 1  # of the rising ones
    return _at_least(weights, rising.take(row_starts(*weights.shape) + last))


def min_p(weights: np.ndarray, p: float) -> np.ndarray:
    """The weights of at least p times the largest of their row; 0 for the others."""
    return _at_least(weights, p * np.maximum.reduce(weights, 1))


def _at_least(weights: np.ndarray, least: np.ndarray) -> np.ndarray:
    return weights * (weights >= least[:, None])


def sample(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One token a row, int64 (B,), as likely as its weight's share of the row; one of weight 0 is never drawn.

    It is where the sum of the weights passes `uniform` (B,), in [0, 1).
    """
    reached = weights.cumsum(1)
    total = reached[:, -1]
    target = np.minimum(uniform * total, np.nextafter(total, 0.0))
    tokens: np.ndarray = add(reached <= target[:, None], 1)
    return tokens


class RowStreams:
    """A stream of uniform numbers for each key, so that what a row draws does not hang on the rows beside it."""

    def __init__(self, keys: Sequence[Sequence[int]]) -> None:
        self._generators = [np.random.default_rng(list(key)) for key in keys]
        self._drawn = np.zeros((len(keys), DRAWS_AT_ONCE))
        self._next = np.full(len(keys), DRAWS_AT_ONCE)

    def uniform(self, rows: np.ndarray) -> np.ndarray:
        """The next number of each of `rows` (int64, each once): float64, same shape, in [0, 1)."""
        place = self._next.take(rows)
        empty = place == DRAWS_AT_ONCE
        if np.count_nonzero(empty):
            for row in rows[empty]:
                self._drawn[row] = self._generators[row].random(DRAWS_AT_ONCE)
            place = np.where(empty, 0, place)
        self._next.put(rows, place + 1)
        drawn: np.ndarray = self._drawn.take(rows * DRAWS_AT_ONCE + place)
        return drawn


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
