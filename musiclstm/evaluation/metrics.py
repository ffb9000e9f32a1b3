"""Figures of one piece as music: its pitches, its rhythm, its texture and how much of it comes again.

Each is a number, or NaN where a piece has nothing to measure it on (no notes, no second bar); NaN is never 0. A beat is
a quarter note in every meter. Drums have no pitch: they count for the rhythm, for density and for structureness, and
nowhere else. A piece runs from its first onset to the end of its last note, so that silence before it does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.evaluation.structureness import bar_steps, structureness
from musiclstm.score import DRUMS, Score

NAN = float("nan")
MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic
SCALES = np.array([[(pitch - tonic) % 12 in MAJOR for pitch in range(12)] for tonic in range(12)], np.int64)
POSITIONS = 16  # a quarter note has, of which each has an onset or not: 64 in a bar of 4/4, as Wu and Yang have it


class Metric(NamedTuple):
    """How a metric is called, its unit where the name does not say it, and what it tells, in plain words."""

    label: str
    unit: str
    meaning: str


METRICS = {
    "pitch_class_entropy": Metric(
        "pitch-class entropy", "bits", "0 where one pitch class is all there is, 3.58 where all twelve are as frequent"
    ),
    "pitch_class_entropy_1_bar": Metric(
        "pitch-class entropy, 1 bar", "bits", "mean over the bars: how chromatic a bar is"
    ),
    "pitch_class_entropy_4_bars": Metric(
        "pitch-class entropy, 4 bars", "bits", "mean over windows of four bars: how chromatic a phrase is"
    ),
    "scale_consistency": Metric("scale consistency", "share", "notes that are in the scale that fits best"),
    "groove_consistency": Metric(
        "groove consistency", "share", "places in the bar where one bar and the next agree on an onset or none"
    ),
    "polyphony": Metric("polyphony", "pitches", "how many pitches sound at once, on average, while any does"),
    "polyphony_rate": Metric("polyphony rate", "share", "time in which two pitches or more sound"),
    "empty_beat_rate": Metric("empty beats", "share", "beats in which nothing sounds"),
    "pitch_range": Metric("pitch range", "semitones", "from the lowest note to the highest"),
    "notes_per_second": Metric("notes per second", "", "how dense it is by the clock"),
    "notes_per_beat": Metric("notes per beat", "", "how dense it is by the quarter note"),
    "structureness_short": Metric(
        "structureness, 3 to 8 s", "share", "how nearly the passage of this length that repeats best comes again"
    ),
    "structureness_middle": Metric("structureness, 8 to 15 s", "share", "likewise of longer passages"),
    "structureness_long": Metric("structureness, 15 s on", "share", "likewise of whole sections"),
}


def measure(score: Score) -> dict[str, float]:
    """All of `METRICS` of a piece; NaN what is undefined."""
    short, middle, long = structureness(score)
    return {
        "pitch_class_entropy": pitch_class_entropy(score),
        "pitch_class_entropy_1_bar": pitch_class_entropy(score, bars=1),
        "pitch_class_entropy_4_bars": pitch_class_entropy(score, bars=4),
        "scale_consistency": scale_consistency(score),
        "groove_consistency": groove_consistency(score),
        "polyphony": polyphony(score),
        "polyphony_rate": polyphony_rate(score),
        "empty_beat_rate": empty_beat_rate(score),
        "pitch_range": pitch_range(score),
        "notes_per_second": notes_per_second(score),
        "notes_per_beat": notes_per_beat(score),
        "structureness_short": short,
        "structureness_middle": middle,
        "structureness_long": long,
    }


def pitch_class_entropy(score: Score, *, bars: int | None = None) -> float:
    """The entropy, in bits, of how many notes each of the twelve pitch classes has: 0 to log2(12).

    With `bars`, the mean over all windows of so many bars, each a bar on from the last, that have a note (H1 and H4
    of Wu and Yang 2020, "The Jazz Transformer on the front line"), NaN in a shorter piece; without, of the whole piece.
    """
    notes = _pitched(score)
    classes = notes["pitch"] % 12
    if bars is None:
        counts = np.bincount(classes, minlength=12)[None]
    else:
        starts = score.bar_starts()
        if len(starts) < bars:
            return NAN
        bar = np.searchsorted(starts, notes["start"], "right") - 1
        by_bar = np.bincount(bar * 12 + classes, minlength=12 * len(starts)).reshape(-1, 12)
        total = np.concatenate([np.zeros((1, 12), np.int64), np.cumsum(by_bar, 0)])
        counts = total[bars:] - total[:-bars]
    counts = counts[counts.any(1)]
    share = counts / counts.sum(1, keepdims=True)
    entropy = -(share * np.log2(np.where(counts, share, 1))).sum(1)
    return float(np.abs(entropy).mean()) if len(entropy) else NAN  # of one class it is -0


def scale_consistency(score: Score) -> float:
    """The share of the notes that stand in a scale, of the scale in which it is largest.

    The scales are the twelve diatonic ones, in which major and natural minor keys have the same pitch classes. (Mogren
    2016, "C-RNN-GAN: continuous recurrent neural networks with adversarial training".)
    """
    counts = np.bincount(_pitched(score)["pitch"] % 12, minlength=12)
    return _ratio((SCALES @ counts).max(), counts.sum())


def groove_consistency(score: Score) -> float:
    """The mean similarity of the onsets of each bar and of the next, of those pairs that are as long as each other.

    The grooving pattern of a bar of Q positions says of each whether a note begins there; the similarity of two is
    1 - (positions at which they differ) / Q. (Wu and Yang 2020, with the 64 positions that they give a bar of 4/4; they
    take the mean over all pairs of bars, here it is that of neighbours, as in Dong et al. 2020,
    "MusPy: a toolkit for symbolic music generation".) Most positions have no onset in any bar, so that it is near 1.
    """
    lines, bar, position = bar_steps(score, POSITIONS)
    lengths = np.diff(lines)
    most = int(position.max(initial=0)) + 1
    places = np.unique(bar * most + position)  # those with an onset
    counts = np.bincount(places // most, minlength=len(lengths))
    again = places[np.isin(places + most, places)]  # at the same place in the next bar too
    both = np.bincount(again // most, minlength=len(lengths))[:-1]
    comparable = lengths[1:] == lengths[:-1]
    if not comparable.any() or not len(score):
        return NAN
    different = counts[1:] + counts[:-1] - 2 * both
    in_bar = np.maximum(lengths[:-1] * POSITIONS / score.ticks_per_quarter, 1)
    return float((1 - different / in_bar)[comparable].mean())


def polyphony(score: Score) -> float:
    """The mean number of pitches that sound at once, over the time in which any does: 1 or more.

    Two voices in unison are one pitch. (Dong et al. 2020, where it is counted on a grid; here time is exact.)
    """
    pitches, ticks = _sounding(score)
    return _ratio((pitches * ticks).sum(), ticks[pitches > 0].sum())


def polyphony_rate(score: Score) -> float:
    """The share of the time, silence within the piece too, in which two pitches or more sound (Dong et al. 2020)."""
    pitches, ticks = _sounding(score)
    return _ratio(ticks[pitches > 1].sum(), ticks.sum())


def empty_beat_rate(score: Score) -> float:
    """The share of the beats, from that of the first note to the last, in which nothing sounds, drums included.

    (Dong et al. 2018, "Pypianoroll: open source Python package for handling multitrack pianorolls".)
    """
    notes = score.notes
    if not len(notes):
        return NAN
    starts = notes["start"].astype(np.int64)
    ends = np.maximum(notes["end"], starts + 1)  # a note of no length still has its onset
    first = (starts - score.first_bar) // score.ticks_per_quarter
    behind = -((score.first_bar - ends) // score.ticks_per_quarter)
    begins, ends = _merged(first, behind)
    beats = int(ends[-1] - begins[0])
    return (beats - int((ends - begins).sum())) / beats


def pitch_range(score: Score) -> float:
    """Semitones from the lowest note to the highest (Yang and Lerch 2020, "On the evaluation of generative models")."""
    pitches = _pitched(score)["pitch"].astype(np.int64)
    return float(pitches.max() - pitches.min()) if len(pitches) else NAN


def notes_per_second(score: Score) -> float:
    """Notes by the seconds from the first onset to the end of the last note."""
    return _ratio(len(score), score.duration - float(score.seconds(score.notes["start"].min(initial=score.end))))


def notes_per_beat(score: Score) -> float:
    """Notes by the quarter notes from the first onset to the end of the last note."""
    ticks = score.end - int(score.notes["start"].min(initial=score.end))
    return _ratio(len(score), ticks / score.ticks_per_quarter)


def _pitched(score: Score) -> np.ndarray:
    return score.notes[score.notes["program"] != DRUMS]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else NAN


def _merged(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals (N,) as those that neither overlap nor touch, ascending: where they begin and end, int64, (M,) each."""
    order = np.argsort(starts, kind="stable")
    starts, latest = starts[order], np.maximum.accumulate(ends[order])
    first = np.append(True, starts[1:] > latest[:-1])[: len(starts)]
    return starts[first], latest[np.append(first[1:], True)[: len(starts)]]


def _sounding(score: Score) -> tuple[np.ndarray, np.ndarray]:
    """How many pitches sound in each stretch between one change and the next, and its ticks: int64, (M,) each."""
    notes = _pitched(score)
    apart = score.end + 1  # each pitch on a line of its own, all of them one after another
    offset = notes["pitch"].astype(np.int64) * apart
    begins, ends = _merged(offset + notes["start"], offset + notes["end"])
    times = np.concatenate([begins % apart, ends % apart])
    order = np.argsort(times, kind="stable")
    steps = np.repeat([1, -1], len(begins))[order]
    return np.cumsum(steps)[:-1], np.diff(times[order])
