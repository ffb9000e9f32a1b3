"""How much of a piece comes again, at short, middle and long span."""

from __future__ import annotations

import numpy as np

from musiclstm.score import DRUMS, Score, bar_ticks

SPANS = ((3.0, 8.0), (8.0, 15.0), (15.0, 30.0))  # seconds: short, middle, long, as Wu and Yang have them
STEPS = 4  # a quarter note has, to which an onset is rounded
FEWEST = 4  # notes: a passage of fewer says nothing
SLACK = 1e-6  # seconds
LONGEST = 512  # bars of a piece that are looked at: the time goes with their square


def structureness(score: Score) -> tuple[float, float, float]:
    """Of passages of 3 to 8 s, of 8 to 15 s, and of 15 s and more: how like each other are the two most alike, 0 to 1.

    A passage is a run of whole bars, and is held against every later one of as many bars that does not overlap with
    it. They are compared as sets of onsets: the 16th in its bar, and the pitch, or the drum. With c onsets in common
    of a and b, they are alike by 2 c / (a + b) (Dice 1945): 1 where one repeats the other note for note at the same
    pitch, whatever the durations, velocities and instruments; a passage of fewer than four onsets does not count. NaN
    where a piece has no two such passages, because it is shorter than two of them or its bars are longer.

    It stands for the structureness indicator of Wu and Yang (2020, "The Jazz Transformer on the front line"), the
    largest value of a fitness scape plot (Mueller, Jiang and Grosche 2013) between two lengths. That one is taken from
    the chroma of audio and forgives octaves, a change of tempo and inexact repeats, counts how often a passage comes
    and how much of the piece that covers, and begins anywhere; ours is read from the notes, begins at bar lines, and
    takes one repeat, exact in place. The values of the two do not compare. Bars that mean nothing, as in a recording
    of free play, give no more than chance.

    Sums along the diagonals of the bars' matrix of common onsets give all passages of one length at once. Of passages
    longer than 30 s none need be looked at: one of two halves is at least as alike as the whole.
    """
    lines, bar, onset = _onsets(score)
    bars = min(len(lines) - 1, LONGEST)
    bar, onset = bar[bar < bars], onset[bar < bars]
    times = score.seconds(lines[: bars + 1])
    sizes = np.concatenate([[0], np.cumsum(np.bincount(bar, minlength=bars))])
    along = _along_diagonals(bar, onset, bars)
    limits = [*SPANS[:-1], (SPANS[-1][0], SPANS[-1][1] + np.diff(times).max())]
    best = [float("nan")] * len(SPANS)
    for n in range(1, bars // 2 + 1):  # bars in a passage, of which one begins at each of bars - n + 1
        seconds, counts = times[n:] - times[:-n], sizes[n:] - sizes[:-n]
        if seconds.min() >= limits[-1][1]:
            break
        long_enough = [
            (seconds > least - SLACK) & (seconds < most - SLACK) & (counts >= FEWEST) for least, most in limits
        ]
        if not any(fits.any() for fits in long_enough):
            continue
        pairs = bars - 2 * n + 1  # passages with another behind them, and as many lags between the two
        other = np.arange(pairs)[:, None] + np.arange(n, n + pairs)
        there = other <= bars - n
        other[~there] = 0
        common = along[n : n + pairs, n : n + pairs] - along[:pairs, n : n + pairs]
        alike = 2 * common / np.maximum(counts[:pairs, None] + counts[other], 1)
        for i, fits in enumerate(long_enough):
            both = there & fits[:pairs, None] & fits[other]
            if both.any():
                best[i] = float(np.fmax(best[i], alike[both].max()))
    return best[0], best[1], best[2]


def bar_steps(score: Score, steps_per_quarter: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bar and the step in it at which each of N notes begins: first where the bars begin, up to that of the last
    onset, and where it ends (ticks, (bars + 1,)), then the bars and the steps (int64, (N,) each).

    An onset is rounded to the nearest step, which may be the first of the next bar.
    """
    step = score.ticks_per_quarter / steps_per_quarter
    rounded = score.notes["start"] + step / 2
    starts = score.bar_starts(int(rounded.max(initial=0)) + 1)
    bar = np.searchsorted(starts, rounded, "right") - 1
    meter = score.meters[max(int(np.searchsorted(score.meters["tick"], starts[-1], "right")) - 1, 0)]
    end = starts[-1] + bar_ticks(int(meter["numerator"]), int(meter["denominator"]), score.ticks_per_quarter)
    if starts[-1] < score.first_bar:  # there is a pickup and no more
        end = np.int64(score.first_bar)
    return np.append(starts, end), bar, ((rounded - starts[bar]) / step).astype(np.int64)


def _onsets(score: Score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bar lines, and of each onset its bar and what is compared of it, each but once (int64, (N,) each)."""
    lines, bar, step = bar_steps(score, STEPS)
    onset = step * 256 + score.notes["pitch"] + 128 * (score.notes["program"] == DRUMS)
    most = int(onset.max(initial=0)) + 1
    bar, onset = np.divmod(np.unique(bar * most + onset), most)
    return lines, bar, onset


def _along_diagonals(bar: np.ndarray, onset: np.ndarray, bars: int) -> np.ndarray:
    """How many onsets bar i and bar i + k have in common, summed over all i below b, in row b and column k.

    float32, (bars + 1, bars); what would lie behind the last bar is 0.
    """
    _, which, times = np.unique(onset, return_inverse=True, return_counts=True)
    again = times[which] > 1  # the others are in no two bars
    _, column = np.unique(which[again], return_inverse=True)
    held = np.zeros((bars, int(column.max(initial=0)) + 1), np.float32)
    held[bar[again], column] = 1
    common = held @ held.T
    later = np.arange(bars)[:, None] + np.arange(bars)
    diagonals = np.where(later < bars, np.take_along_axis(common, np.minimum(later, bars - 1), 1), 0)
    return np.concatenate([np.zeros((1, bars), np.float32), np.cumsum(diagonals, 0, dtype=np.float32)])
