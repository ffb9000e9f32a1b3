"""The values that a `remi` token may stand for: durations, tempos and velocities."""

from __future__ import annotations

import numpy as np

from musiclstm.score import TEMPO, Score

BARS = 4
"""Bars are counted to the model in groups of so many."""

VELOCITY = 80
"""What every note comes back with where velocity is not kept."""

BEATS = np.concatenate(
    [np.arange(*span) for span in ((24, 60, 2), (60, 72, 3), (72, 120, 4), (120, 144, 6), (144, 256, 8))]
)
"""The tempos in quarter notes a minute: the scale of a metronome, 3 to 8 % apart, from 24 to 248."""

MICROSECONDS = np.round(60e6 / BEATS).astype(np.int64)
"""The same in microseconds a quarter note."""


def nearest_tempo(microseconds: np.ndarray) -> np.ndarray:
    """The index in `BEATS` of the tempo nearest by ratio. Same shape, int64."""
    edges = np.sqrt(BEATS[1:] * BEATS[:-1])
    return np.searchsorted(edges, 60e6 / np.maximum(microseconds, 1), "right")


def allowed_durations(steps_per_quarter: int) -> np.ndarray:
    """Lengths in steps, ascending: each up to 4 quarter notes, then halves of one up to 8, then whole ones up to 32."""
    halves = steps_per_quarter * np.arange(9, 17) // 2
    quarters = steps_per_quarter * np.arange(9, 33)
    return np.unique(np.concatenate([np.arange(1, 4 * steps_per_quarter + 1), halves, quarters]))


def nearest_duration(lengths: np.ndarray, limits: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Of `table`, for each length the nearest duration (of two the shorter) that is not above its limit (1 or more)."""
    above = np.minimum(np.searchsorted(table, lengths), len(table) - 1)
    below = np.maximum(above - 1, 0)
    nearest = np.where(lengths - table[below] <= table[above] - lengths, below, above)
    return table[np.minimum(nearest, np.searchsorted(table, limits, "right") - 1)]


def velocity_bins(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The bin (int64, (128,)) of each velocity, and the velocity at the middle of each of the `count` bins.

    With a single bin velocity is not kept: it stands at `VELOCITY`.
    """
    velocity = np.arange(1, 128)
    bins = (velocity - 1) * count // 127
    first, last = np.searchsorted(bins, np.arange(count)), np.searchsorted(bins, np.arange(count), "right") - 1
    middles = velocity[(first + last) // 2] if count > 1 else np.array([VELOCITY])
    return np.concatenate([[0], bins]), middles


def quantise_tempos(score: Score, steps_per_quarter: int, last: int) -> np.ndarray:
    """Tempos (`TEMPO`, ticks being steps) up to step `last`: of one step the latest, and no change to the same."""
    ticks = score.tempos["tick"].astype(np.int64)
    step = (2 * steps_per_quarter * ticks + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)
    index = nearest_tempo(score.tempos["microseconds"])
    stays = np.append(step[1:] != step[:-1], True) & (step <= last)
    step, index = step[stays], index[stays]
    differs = np.append(True, index[1:] != index[:-1])
    tempos = np.zeros(int(differs.sum()), TEMPO)
    tempos["tick"], tempos["microseconds"] = step[differs], MICROSECONDS[index[differs]]
    return tempos
