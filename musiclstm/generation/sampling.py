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
from musiclstm.tokenizers.grammar import ONE, row_starts

DRAWS_AT_ONCE = 256
FEW = 1e-30  # of the weight of the likeliest token
LOWEST = np.float32(-1e30)  # a logit that is never drawn
COLDEST = 1e-30  # temperature: 0 in float32 below
FLOAT32 = 2.0**24  # numbers from 0 to 1 that it tells apart
add = np.add.reduce  # what `sum` calls, without the way there


class Drawn(NamedTuple):
    """One token for each row, and what the model thought of the choice; each (B,) unless said."""

    tokens: np.ndarray  # int64
    masked: np.ndarray  # the model's probability, at temperature 1, of all that the grammar forbids
    left: np.ndarray  # the probability of all that was allowed, at the temperature asked for
    shifted: np.ndarray  # the logits, of which the largest is 0; (B, V)
    weights: np.ndarray  # how likely each that was allowed is, at temperature 1; (B, V)
    sums: np.ndarray  # of these

    @property
    def entropy(self) -> np.ndarray:
        """In nats, of the distribution over what was allowed, at temperature 1; (B,)."""
        some = np.maximum(self.sums, FEW)
        return np.maximum(np.log(some) - add(self.weights * self.shifted, 1) / some, 0.0)


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
        plainly = kept = likely * allowed
        total, sums = add(likely, 1), add(kept, 1)
        left = sums
        lawfully = sums if lawful is allowed else add(likely * lawful, 1)
        masked = (total - lawfully) / total
        if self.temperature not in (0, 1):
            likely = _raised(shifted, self.temperature)
            kept = likely * allowed
            total, left = add(likely, 1), add(kept, 1)
        few = left < FEW  # too small beside what is forbidden to be told apart
        if self.temperature == 0 or bias is not None:
            kept = self._unfiltered(logits if bias is None else logits + bias, allowed)
        elif np.count_nonzero(few):
            kept = kept.copy()
            kept[few] = self._unfiltered(logits[few], allowed[few])
        tokens = self._tokens(kept, uniform)
        return Drawn(tokens, masked, left / total, shifted, plainly, sums)

    def weights(self, logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """How likely each token is to be drawn (see `sample`), from logits and what is allowed (bool)."""
        return self._filter(self._unfiltered(logits, allowed))

    def _unfiltered(self, logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        logits = np.where(allowed, logits, LOWEST)
        if self.temperature == 0:
            weights = np.zeros(logits.shape, np.float32)
            weights[np.arange(len(logits)), logits.argmax(1)] = 1.0
            return weights
        return apply_temperature(logits, self.temperature) * allowed

    def _filter(self, weights: np.ndarray) -> np.ndarray:
        if self.top_k is not None:
            weights = top_k(weights, self.top_k)
        if self.top_p is not None:
            weights = top_p(weights, self.top_p)
        if self.min_p is not None:
            weights = min_p(weights, self.min_p)
        return weights

    def _tokens(self, weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """What `sample` draws from the filtered weights, as likely, but mostly without the sort that `top_p` takes.

        Drawn from all weights, a token that is one of the filtered ones stands. Of the others, each (B,) of them, the
        second draw is from those alone: they are drawn in proportion to their weights both times. The first draw takes
        as many of the bits of `uniform` as float32 has, and the second the others.
        """
        if self.top_k is not None:
            weights = top_k(weights, self.top_k)
        bits = uniform * FLOAT32
        coarse = np.floor(bits)
        reached = weights.cumsum(1, dtype=np.float32)
        tokens = _passes(reached, coarse / FLOAT32)
        outside = self._outside(weights, tokens, reached[:, -1])
        if np.count_nonzero(outside):
            (rows,) = outside.nonzero()
            tokens[rows] = sample(self._filter(weights[rows]), (bits - coarse)[rows])
        return tokens

    def _outside(self, weights: np.ndarray, tokens: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Which of `tokens`, one a row, `top_p` and `min_p` leave out: bool, (B,). See `_filter`."""
        weight = weights.take(row_starts(*weights.shape) + tokens)
        outside: np.ndarray = weight < 0
        if self.top_p is not None and self.top_p < 1:
            heavier = add(weights * (weights > weight[:, None]), 1)
            outside = heavier >= self.top_p * total
        if self.min_p is not None:
            outside = outside | (weight < self.min_p * np.maximum.reduce(weights, 1))
        return outside


def apply_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Weights of logits divided by `temperature`, which is above 0: float32, the largest of a row being 1."""
    return _raised(_shifted(logits), temperature)


def _shifted(logits: np.ndarray) -> np.ndarray:
    """The largest of each row being 0."""
    shifted: np.ndarray = logits - np.maximum.reduce(logits, 1, keepdims=True)
    return shifted


def _raised(shifted: np.ndarray, temperature: float) -> np.ndarray:
    with np.errstate(over="ignore"):  # at a tiny temperature all but the likeliest become minus infinity
        return np.exp(shifted / max(temperature, COLDEST))


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

    It is where the sum of the weights passes `uniform` (B,), in [0, 1), of which the first 24 bits count.
    """
    return _passes(weights.cumsum(1, dtype=np.float32), np.floor(uniform * FLOAT32) / FLOAT32)


def _passes(reached: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The first place in each row of more than a share of its last: int64, (B,). `share` is a multiple of 2**-24.

    Below 1 such a share of a float32 is less than it, also when rounded.
    """
    target = share.astype(np.float32) * reached[:, -1]
    tokens: np.ndarray = (reached > target[:, None]).argmax(1)
    return tokens


class RowStreams:
    """A stream of uniform numbers for each key, so that what a row draws does not hang on the rows beside it."""

    def __init__(self, keys: Sequence[Sequence[int]]) -> None:
        self._generators = [np.random.default_rng(list(key)) for key in keys]
        self._drawn = np.zeros((len(keys), DRAWS_AT_ONCE))
        self._next = np.arange(1, len(keys) + 1) * DRAWS_AT_ONCE  # of the flattened `_drawn`
        self._left = 0  # numbers that each key has left at least

    def uniform(self, rows: np.ndarray) -> np.ndarray:
        """The next number of each of `rows` (int64, each once): float64, same shape, in [0, 1)."""
        if self._left == 0:
            ends = np.arange(1, len(self._next) + 1) * DRAWS_AT_ONCE
            for row in np.flatnonzero(self._next == ends).tolist():
                self._drawn[row] = self._generators[row].random(DRAWS_AT_ONCE)
                self._next[row] -= DRAWS_AT_ONCE
            self._left = int((ends - self._next).min())
        self._left -= 1
        place = self._next.take(rows)
        self._next.put(rows, place + ONE)
        drawn: np.ndarray = self._drawn.take(place)
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
