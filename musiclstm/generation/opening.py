"""What sequences begin with, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musiclstm.generation.player import Moment


@dataclass(frozen=True)
class Opening:
    """What the sequences begin with: ids (T,) that end at `step`, then `drawn` tokens at random.

    pace: how many of the tokenizer's seconds make one of those that the limit counts.
    moment: what the model knows after `ids`, where that need not be read again.
    """

    ids: np.ndarray
    step: int | None = None
    drawn: int = 0
    pace: float = 1.0
    moment: Moment | None = None


@dataclass(frozen=True)
class Written:
    """A sequence: its ids (int32, from BOS on), and how many of them came after the opening's."""

    ids: np.ndarray
    tokens: int
    ended: bool  # by EOS, and not by a limit
    drawn_seconds: float  # how far the music had come when the model took over from a random opening
    masked: float  # the probability that the grammar kept from being drawn, on average
    remarks: list[str]  # what went wrong on the way and was written anew
    last: np.ndarray  # the ids of the last piece, where one followed the other
    moment: Moment  # of one row: what it takes to go on after these
