"""How long pieces are in the collection that a model was trained on, and that its own are about as long.

A recurrent model knows well where a phrase ends and less well how many there have been: left to itself, one chorale in
thirty ends in its second bar and one goes on for a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.vocabulary import EOS

FEWEST_PIECES = 20  # of fewer nobody knows what lengths are usual
SHARES = (0.025, 0.975)  # of the pieces that are shorter than the shortest usual one, and than the longest
PER_BAR = 1.0  # nats by which the end grows likelier with every bar beyond the longest


class Lengths(NamedTuple):
    """In bars of the tokenizer: no end before `shortest`; beyond `longest` an end is ever likelier, so that the piece
    ends where it would soonest have ended by itself."""

    shortest: int
    longest: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, pieces: Sequence[np.ndarray]) -> Lengths | None:
        """Those of pieces, each the ids of a whole one; None of too few."""
        if len(pieces) < FEWEST_PIECES:
            return None
        bars = [int(tokenizer.context(ids[None])[1].bars[0]) for ids in pieces]
        low, high = np.quantile(bars, SHARES)
        return cls(int(low), int(np.ceil(high)))

    def narrow(self, clock: Clock, allowed: np.ndarray) -> np.ndarray:
        """What is `allowed` (bool, (B, V)) without the end where that would be too early and there is anything else."""
        early = (clock.bar < self.shortest) & allowed[:, EOS]
        return without_end(allowed, early) if np.count_nonzero(early) else allowed

    def bias(self, clock: Clock, size: int) -> np.ndarray | None:
        """What is to be added to logits (B, size); None where that is nothing."""
        late = clock.bar - self.longest
        if not np.count_nonzero(late > 0):
            return None
        bias = np.zeros((len(late), size), np.float32)
        bias[:, EOS] = PER_BAR * np.maximum(late, 0)
        return bias


def without_end(allowed: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`allowed` (B, V) without EOS in some rows ((B,) bool), where anything else is left."""
    others = allowed.copy()
    others[rows, EOS] = False
    return np.where(others.any(axis=1, keepdims=True), others, allowed)
