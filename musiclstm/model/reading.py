"""Whole sequences read by a model, window by window, with the state carried from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State
from musiclstm.tokenizers.base import Reading, Tokenizer

WINDOW = 512  # tokens that the model reads at once


class WindowRead(NamedTuple):
    """Some tokens of B sequences: the logits of what follows each, float64 (B, W, V), what does, int64 (B, W), and what
    to go on from after them."""

    logits: Tensor
    targets: Tensor
    state: State
    reading: Reading


@torch.inference_mode()
def read_windows(
    model: MusicLSTM, tokenizer: Tokenizer, rows: np.ndarray, state: State | None = None, reading: Reading | None = None
) -> Iterator[WindowRead]:
    """Reads ids (B, T), T of at least 2, from the initial state, or from where another window ended."""
    device = model.embedding.weight.device
    for first in range(0, rows.shape[1] - 1, WINDOW):
        last = min(first + WINDOW, rows.shape[1] - 1)
        features, reading = tokenizer.context(rows[:, first:last], reading)
        tokens, context, targets = (
            torch.from_numpy(np.ascontiguousarray(part, np.int64)).to(device)
            for part in (rows[:, first:last], features, rows[:, first + 1 : last + 1])
        )
        logits, state = model(tokens, context, state)
        yield WindowRead(logits.double(), targets, state, reading)
