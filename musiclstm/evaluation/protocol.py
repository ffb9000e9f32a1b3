"""The protocol of the benchmarks: one for models and baselines alike, whatever the file format or the tokenizer.

Natural logarithms; whole pieces, read from their beginning in the state that a piece begins with; every
symbol is scored, the first included, given nothing but what came before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Scorer(Protocol):
    """What can be evaluated: a model, or a baseline."""

    def log_probs(self, piece: Any) -> np.ndarray:
        """The natural log of the probability of each symbol of a piece, given those before it.

        Shape (T,) or (T, ...): the first axis is time, and every entry is a symbol of the unit that is reported: a note
        of a voice, a frame. Their sum is the log of the probability of the piece.
        """


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """The negative log likelihood of a set of pieces, in nats."""

    per_symbol: float  # of all pieces, by the number of their symbols
    per_piece: float  # the mean over pieces of the mean over the symbols of each
    skip_first: float  # as `per_symbol`, without the first step of each piece: as some papers have it
    symbols: int
    pieces: int


def evaluate(scorer: Scorer, pieces: Iterable[Any]) -> NegativeLogLikelihood:
    """The likelihood of `pieces` under `scorer`. Pieces without a symbol are left out; NaN where none is left.

    A symbol that the scorer holds for impossible makes the figures infinite, as it should.
    """
    scores = [np.asarray(scorer.log_probs(piece), np.float64) for piece in pieces]
    scores = [score for score in scores if score.size]
    everything = np.concatenate([np.zeros(0), *(score.ravel() for score in scores)])
    later = np.concatenate([np.zeros(0), *(score[1:].ravel() for score in scores)])
    return NegativeLogLikelihood(
        per_symbol=_negative_mean(everything),
        per_piece=_negative_mean(np.array([score.mean() for score in scores])),
        skip_first=_negative_mean(later),
        symbols=len(everything),
        pieces=len(scores),
    )


def _negative_mean(values: np.ndarray) -> float:
    return -float(values.mean()) if len(values) else float("nan")
