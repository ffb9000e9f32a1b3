"""The intervals of a model that goes by them, looked up: in NumPy, where they take a third of the calls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from musiclstm.model.music_lstm import MusicLSTM


class References(NamedTuple):
    """Of `Intervals` with R references; all int64."""

    features: np.ndarray
    """Which name them, (R,)."""
    first: np.ndarray
    """Where in `starts` the values of each begin, (R,)."""
    starts: np.ndarray
    """The start for every value of the first, then of the next, and so on."""
    between: np.ndarray
    """The interval from one start to another: for each of `width` the `width` others, (width * width,)."""
    width: int
    span: np.ndarray
    """A span counted."""

    def look_up(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of features (B, F): `Intervals.between` (B, R - 1), and where each interval's logits go (B, R * span)."""
        starts = self.starts.take(features.take(self.features, 1) + self.first)
        between = self.between.take(starts[:, :1] * self.width + starts[:, 1:])
        return between, (starts[:, :, None] + self.span).reshape(len(starts), -1)


def references_of(model: MusicLSTM) -> References | None:
    """Those of a model; None where it does not go by intervals."""
    intervals = model.intervals
    if intervals is None:
        return None
    sizes = [model.arguments["context_sizes"][feature] for feature in intervals.features]
    values = torch.zeros(max(sizes), len(sizes), dtype=torch.int64) + torch.arange(max(sizes))[:, None]
    starts = intervals.starts_of(values).numpy()  # (largest, R)
    width = intervals.unknown + 1
    every = torch.arange(width)
    pairs = torch.stack((every.repeat_interleave(width), every.repeat(width)), 1)
    return References(
        np.array(intervals.features),
        np.cumsum([0, *sizes[:-1]]),
        np.concatenate([starts[:size, place] for place, size in enumerate(sizes)]),
        intervals.between(pairs)[:, 0].numpy(),
        width,
        np.arange(intervals.span),
    )
