"""How likely a model finds pieces of music, or what comes in them from some place on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.reading import read_windows
from musiclstm.model.stack import State, select_state
from musiclstm.tokenizers.base import Reading, Tokenizer
from musiclstm.tokenizers.vocabulary import PAD


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
    for rows in (padded[:1, : shared + 1], padded[:, shared:]):
        for window in read_windows(model, tokenizer, rows, state, reading):
            targets = window.targets[..., None]
            likely = (window.logits / temperature).log_softmax(-1).gather(2, targets)[..., 0].cpu().numpy()
            found.append(np.broadcast_to(likely, (len(sequences), likely.shape[1])))
            state, reading = window.state, window.reading
        if state is not None and len(rows) < len(sequences):
            state, reading = select_state(state, [0] * len(sequences)), _repeat(reading, len(sequences))
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
