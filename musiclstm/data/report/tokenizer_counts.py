"""How many notes of a score each tokenizer keeps, and in how many tokens, counted without running it.

The tokenizers bring torch, which takes longer to import than a whole collection takes to count. The tests hold each
count against what the tokenizer itself does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.score import DRUMS, Score, extend_by_pedal
from musiclstm.tokenizers.grid import quantise_meters, steps_of
from musiclstm.tokenizers.remi_tables import quantise_tempos, velocity_bins

STEPS_PER_SECOND = 100  # of performance, of whose tokens none shifts the time by more than LONGEST_SHIFT steps
LONGEST_SHIFT = 100
REMI_VELOCITIES, PERFORMANCE_VELOCITIES = 32, 4  # the bins of one, and the velocities in a bin of the other
_BINS = velocity_bins(REMI_VELOCITIES)[0]
MOST_TOGETHER = 0.05  # the share of notes that may sound together in one voice


class Count(NamedTuple):
    """What a tokenizer makes of a score: notes kept, tokens, and how far each note's beginning moves (ms, (N,))."""

    notes: int
    tokens: int
    moved: np.ndarray


def count_voices(score: Score, steps_per_quarter: int, num_voices: int) -> Count | None:
    """As `Voices` has it; None where it does not admit the score."""
    notes = score.notes
    tracks, voice = np.unique(notes["track"], return_inverse=True)
    if len(tracks) > num_voices or (notes["program"] == DRUMS).any() or not _one_at_a_time(notes, voice):
        return None
    start, end = steps_of(score, steps_per_quarter)
    order = np.lexsort([-end, -notes["pitch"].astype(np.int64), start, voice])  # of a chord the top stays
    key = ((voice.astype(np.int64) << 32) + start)[order]
    first = np.append(True, key[1:] != key[:-1])
    key, end = key[first], end[order][first]
    last = int(end[np.append(key[1:] >> 32 != key[:-1] >> 32, True)].max())  # a note before it ends where it begins
    tokens = 2 + _marks(score, steps_per_quarter, last) + num_voices * last
    return Count(len(key), tokens, _moved(score, start, steps_per_quarter))


def count_frames(score: Score, steps_per_quarter: int) -> Count | None:
    """As `Frames` has it; None where it does not admit the score."""
    drums = score.notes["program"] == DRUMS
    if drums.all():
        return None
    if drums.any():
        score = score.replace(notes=score.notes[~drums])
    start, end = steps_of(score, steps_per_quarter)
    last = int(end.max())
    offset = score.notes["pitch"].astype(np.int64) * (last + 1)  # so far apart that no two pitches touch
    order = np.argsort(start + offset)
    begin, until = (start + offset)[order], np.maximum.accumulate((end + offset)[order])
    first = np.append(True, begin[1:] > until[:-1])
    sounding = int((until[np.append(first[1:], True)] - begin[first]).sum())
    tokens = 2 + _marks(score, steps_per_quarter, last) + last + sounding
    return Count(int(first.sum()), tokens, _moved(score, start, steps_per_quarter))


def count_remi(score: Score, steps_per_quarter: int) -> Count:
    """As `Remi` has it, with tempos and 32 velocities."""
    notes = score.notes
    start, end = steps_of(score, steps_per_quarter)
    bins = _BINS[notes["velocity"]]
    program = notes["program"].astype(np.int64)
    length = np.where(program == DRUMS, 1, end - start)
    key = (start << 16) + (program << 7) + notes["pitch"]
    order = np.lexsort([-bins, -length, key])  # of notes with one key the longest stays, then the loudest
    key, bins, program = key[order], bins[order], program[order]
    first = np.append(True, key[1:] != key[:-1])
    key, bins, program = key[first], bins[first], program[first]
    last = int(start[-1])
    meters, pickup = quantise_meters(score, steps_per_quarter, last + 1)
    bars = Score(notes[:0], steps_per_quarter, meters=meters, first_bar=pickup).bar_starts(last + 1)
    tempos = quantise_tempos(score, steps_per_quarter, last)
    positions = _turns(np.sort(np.concatenate([tempos["tick"][1:], key >> 16])))
    pitches = 2 * len(key) - int((program == DRUMS).sum())
    tokens = 2 + len(bars) + len(meters) + (pickup > 0) + len(tempos) + positions + pitches
    return Count(len(key), tokens + _turns(program) + _turns(bins), _moved(score, start, steps_per_quarter))


def count_performance(score: Score, drums: bool) -> Count | None:
    """As `Performance` has it, for `drums` or for all but drums; None where it does not admit the score."""
    moved = score.notes["start"][(score.notes["program"] == DRUMS) == drums]
    if not len(moved):
        return None
    if len(score.pedals):
        score = extend_by_pedal(score)
    notes = score.notes[(score.notes["program"] == DRUMS) == drums]
    start, end = (_hundredths(score.seconds(notes[name])) for name in ("start", "end"))
    bins = (notes["velocity"].astype(np.int64) - 1) // PERFORMANCE_VELOCITIES
    key = (notes["pitch"].astype(np.int64) << 40) + start
    order = np.lexsort([-bins, -end, key])
    key, end, bins = key[order], np.maximum(end, start + 1)[order], bins[order]
    first = np.append(True, key[1:] != key[:-1])
    key, end, bins = key[first], end[first], bins[first]
    pitch, start = key >> 40, key & ((1 << 40) - 1)
    end[:-1] = np.where(pitch[1:] == pitch[:-1], np.minimum(end[:-1], start[1:]), end[:-1])
    gaps = np.diff(np.sort(np.concatenate([start, end])), prepend=0)  # those of 0 count nothing
    velocities = _turns(bins[np.argsort(start * 128 + pitch)])
    tokens = 2 + 2 * len(key) + int((-(-gaps // LONGEST_SHIFT)).sum()) + velocities
    seconds = score.seconds(moved)
    return Count(len(key), tokens, abs(_hundredths(seconds) / STEPS_PER_SECOND - seconds) * 1000)


def _one_at_a_time(notes: np.ndarray, voice: np.ndarray) -> bool:
    order = np.argsort(voice, kind="stable")
    voice, start, end = voice[order], notes["start"][order].astype(np.int64), notes["end"][order].astype(np.int64)
    shorter = np.minimum((end - start)[:-1], (end - start)[1:])
    same = voice[1:] == voice[:-1]
    together = np.bincount(voice[1:], same & (2 * (end[:-1] - start[1:]) > shorter))
    return bool((together <= MOST_TOGETHER * np.bincount(voice[1:], same)).all())


def _marks(score: Score, steps_per_quarter: int, last: int) -> int:
    """The tokens for meters and pickup."""
    meters, pickup = quantise_meters(score, steps_per_quarter, last)
    return len(meters) + (pickup > 0)


def _turns(values: np.ndarray) -> int:
    """How often one of `values` differs from the one before, the first counted."""
    return 1 + int(np.count_nonzero(values[1:] != values[:-1]))


def _moved(score: Score, start: np.ndarray, steps_per_quarter: int) -> np.ndarray:
    ticks = score.notes["start"]
    tempo = score.tempos["microseconds"][np.searchsorted(score.tempos["tick"], ticks, "right") - 1]
    quarters = start / steps_per_quarter - ticks / score.ticks_per_quarter
    moved: np.ndarray = abs(quarters) * tempo / 1000
    return moved


def _hundredths(seconds: np.ndarray) -> np.ndarray:
    return np.floor(seconds * STEPS_PER_SECOND + 0.5).astype(np.int64)
