"""From logits to tokens: the grammar's mask, then temperature, then filters, then the draw.

Everything works on a batch of logits (B, V) and leaves each row at least one token.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

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

    def probabilities(self, logits: Tensor, allowed: Tensor) -> Tensor:
        """Logits (B, V) and the tokens that the grammar allows (bool, (B, V)) -> probabilities, float64, (B, V)."""
        logits = logits.double().masked_fill(~allowed, -math.inf)
        if self.temperature == 0:
            return torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)
        logits = apply_temperature(logits, self.temperature)
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = top_p(logits, self.top_p)
        if self.min_p is not None:
            logits = min_p(logits, self.min_p)
        return logits.softmax(1)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Logits (B, V) whose differences are divided by `temperature`, which is above 0."""
    # The largest becomes 0 first, so that no quotient overflows, however small the temperature is.
    return (logits - logits.amax(1, keepdim=True)) / temperature


def top_k(logits: Tensor, k: int) -> Tensor:
    """Logits (B, V) of which the k largest stay and the others are minus infinity."""
    values, index = logits.topk(min(k, logits.shape[1]))
    return torch.full_like(logits, -math.inf).scatter_(1, index, values)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Logits (B, V) of which the largest stay, until their probabilities reach p; the others are minus infinity."""
    if p >= 1:
        return logits
    values, index = logits.sort(dim=1, descending=True, stable=True)
    probabilities = values.softmax(1)
    before = probabilities.cumsum(1) - probabilities
    return logits.scatter(1, index, values.masked_fill(before >= p, -math.inf))


def min_p(logits: Tensor, p: float) -> Tensor:
    """Logits (B, V) of which those stay whose probability is at least p times the largest in their row."""
    if p <= 0:
        return logits
    return logits.masked_fill(logits < logits.amax(1, keepdim=True) + math.log(p), -math.inf)


def sample(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """One token a row (int64, (B,)) of probabilities (B, V), by the inverse of their sum at `uniform` (B,) in [0, 1).

    The rows need not add up to 1. A token of probability 0 is never drawn.
    """
    reached = probabilities.cumsum(1)
    total = reached[:, -1]
    target = torch.minimum(uniform.to(total) * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(reached, target[:, None], right=True)[:, 0]


class RowStreams:
    """A stream of uniform numbers for each row, so that what a row draws does not hang on the rows beside it."""

    def __init__(self, seed: int, rows: range) -> None:
        self._generators = [np.random.default_rng([seed, row]) for row in rows]
        self._drawn = np.zeros((len(rows), 0))
        self._next = 0

    def uniform(self) -> Tensor:
        """The next number of each row: float64, (B,), in [0, 1)."""
        if self._next == self._drawn.shape[1]:
            self._drawn = np.stack([generator.random(DRAWS_AT_ONCE) for generator in self._generators])
            self._next = 0
        self._next += 1
        return torch.from_numpy(self._drawn[:, self._next - 1])


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
