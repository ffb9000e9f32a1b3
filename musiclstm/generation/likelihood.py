"""How likely a model finds pieces of music, or what comes in them from some place on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State, select_state
from musiclstm.tokenizers.base import Reading, Tokenizer
from musiclstm.tokenizers.vocabulary import PAD

WINDOW = 512  # tokens that the model reads at once


@torch.inference_mode()
def token_log_likelihoods(
    model: MusicLSTM, tokenizer: Tokenizer, sequences: Sequence[np.ndarray], temperature: float = 1.0
) -> list[np.ndarray]:
    """Of each sequence of ids (T,), which begins with BOS, the natural log of the probability of each token but BOS.

    float64, (T - 1,) each; by the model at a `temperature` above 0. The sequences are read side by side, whole,
    with their state carried from end to end; what they begin with in common is read once.
    """
    longest = max(len(ids) for ids in sequences)
    padded = np.full((len(sequences), longest), PAD, np.int64)
    for row, ids in zip(padded, sequences, strict=True):
        row[: len(ids)] = ids
    differs = np.flatnonzero((padded != padded[0]).any(axis=0))
    shared = int(differs[0]) - 1 if len(differs) else longest - 1  # what follows each of these is the same as well
    state: State | None = None
    reading: Reading | None = None
    found = []
    for start, stop, rows in ((0, shared, padded[:1]), (shared, longest - 1, padded)):
        if reading is not None and len(rows) > 1:
            assert state is not None
            every = [0] * len(rows)
            state, reading = select_state(state, every), _repeat(reading, len(rows))
        for first in range(start, stop, WINDOW):
            part = rows[:, first : min(first + WINDOW, stop)]
            features, reading = tokenizer.context(part, reading)
            logits, state = model(_on(part, model), _on(features, model), state)
            following = _on(rows[:, first + 1 : first + 1 + part.shape[1]], model)
            chosen = (
                torch.log_softmax(logits.double() / temperature, -1)
                .gather(2, following[..., None])[..., 0]
                .cpu()
                .numpy()
            )
            found.append(np.broadcast_to(chosen, (len(sequences), part.shape[1])))
    together = np.concatenate(found, axis=1) if found else np.zeros((len(sequences), 0))
    return [row[: len(ids) - 1] for row, ids in zip(together, sequences, strict=True)]


def _repeat(reading: Any, count: int) -> Any:
    """The reading of one sequence as that of `count` such; also of the tuples of arrays and lists of one in it."""
    if isinstance(reading, np.ndarray):
        return np.repeat(reading, count, axis=0)
    if isinstance(reading, list):
        return reading * count
    if isinstance(reading, tuple):
        return type(reading)(*(_repeat(part, count) for part in reading))
    return replace(reading, **{each.name: _repeat(getattr(reading, each.name), count) for each in fields(reading)})


def _on(array: np.ndarray, model: MusicLSTM) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(model.embedding.weight.device)
