"""What a piece is like, in a row of numbers: to select by, and for the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musiclstm.data.keys import find_key
from musiclstm.score import DRUMS, Score

_MASK = DRUMS // 8 + 1  # bytes that hold a bit for each program and one for drums
_PITCH_CLASS = np.arange(256) % 12

FACTS = np.dtype(
    [
        ("notes", "<i4"),
        ("seconds", "<f4"),  # from tick 0 to the end of the last note
        ("lowest", "u1"),  # of the pitches that are not drums; 0 where there are only drums
        ("highest", "u1"),  # likewise
        ("tracks", "<u2"),  # that have notes
        ("polyphony", "<i4"),  # most notes that sound at once, drums aside: 1 is one voice, 0 only drums
        ("drums", "<f4"),  # share of the notes that are percussion
        ("bpm", "<f4"),  # mean quarter notes a minute, each tempo weighted by the time it lasts
        ("bpm_lowest", "<f4"),
        ("bpm_highest", "<f4"),
        ("numerator", "u1"),  # of the meter that lasts longest
        ("denominator", "u1"),
        ("meters", "<i4"),  # 1 where the meter never changes
        ("tempos", "<i4"),  # 1 where the tempo never changes
        ("key", "u1"),  # index into KEY_NAMES, or NO_KEY
        ("programs", "u1", (_MASK,)),  # which occur, a bit each, DRUMS last: `unpack_programs`
    ]
)


def facts(score: Score) -> np.ndarray:
    """The row of `FACTS`, of shape (), of a score that has notes."""
    return facts_of([score]).reshape(())


def facts_of(scores: Sequence[Score]) -> np.ndarray:
    """The `facts` of each of N scores: (N,) of `FACTS`. Raises ValueError where one has no notes."""
    rows = np.zeros(len(scores), FACTS)
    if not len(rows):
        return rows
    counts = np.array([len(score.notes) for score in scores])
    if not counts.all():
        raise ValueError("a score without notes")
    names = ("start", "end", "pitch", "program", "track")
    start, end, pitch, program, track = (np.concatenate([score.notes[name] for score in scores]) for name in names)
    end = np.maximum(end, start + 1)
    first = np.cumsum(counts) - counts
    drums = program == DRUMS
    pitched = counts
    rows["notes"], rows["tracks"] = counts, 1
    if track.any():
        rows["tracks"] = [np.count_nonzero(np.bincount(each)) for each in np.split(track, first[1:])]
    piece = np.repeat(np.arange(len(rows)), counts)
    occur = np.zeros((len(rows), 8 * _MASK), bool)
    occur[piece, program] = True
    rows["programs"] = np.packbits(occur, axis=1)
    for i, last in enumerate(np.maximum.reduceat(end, first).tolist()):
        _tempo(rows[i : i + 1], scores[i], last)
        _meter(rows[i : i + 1], scores[i], last)
    if drums.any():
        rest = np.flatnonzero(~drums)
        start, end, pitch, piece = start[rest], end[rest], pitch[rest], piece[rest]
        pitched = np.bincount(piece, minlength=len(rows))
        rows["drums"] = (counts - pitched) / counts
    some = np.flatnonzero(pitched)
    if len(some):
        first = (np.cumsum(pitched) - pitched)[some]
        rows["lowest"][some] = np.minimum.reduceat(pitch, first)
        rows["highest"][some] = np.maximum.reduceat(pitch, first)
        rows["polyphony"][some] = _most_at_once(start, end, first)
    lasting = np.bincount(piece * 12 + _PITCH_CLASS[pitch], end - start, 12 * len(rows))
    rows["key"] = [find_key(each) for each in lasting.reshape(-1, 12)]
    return rows


def unpack_programs(masks: np.ndarray) -> np.ndarray:
    """Which of the programs 0 to 127 and DRUMS occur: bool (..., 129) from the column `programs` (..., 17)."""
    return np.unpackbits(masks, axis=-1)[..., : DRUMS + 1].astype(bool)


def _tempo(row: np.ndarray, score: Score, last: int) -> None:
    tempos = score.tempos["microseconds"]
    if len(tempos) > 1:
        tempos = tempos[score.tempos["tick"] < last]
    values = tempos.tolist()
    row["tempos"], row["bpm_lowest"], row["bpm_highest"] = len(values), 60e6 / max(values), 60e6 / min(values)
    if len(score.tempos) == 1:  # as `Score.seconds` has it, which takes its time
        seconds = last * (values[0] / (1e6 * score.ticks_per_quarter))
    else:
        seconds = float(score.seconds(last))
    # all quarters over all minutes are the mean tempo, weighted by time
    row["seconds"], row["bpm"] = seconds, 60 * last / score.ticks_per_quarter / seconds


def _meter(row: np.ndarray, score: Score, last: int) -> None:
    meters = score.meters
    if len(meters) > 1:
        meters = meters[meters["tick"] < last]
    row["meters"] = len(meters)
    longest = 0
    if len(meters) > 1:
        _, which = np.unique(meters[["numerator", "denominator"]], return_inverse=True)
        lasting = np.bincount(which, np.diff(meters["tick"], append=last))
        longest = int(np.flatnonzero(which == lasting.argmax())[0])
    row["numerator"], row["denominator"] = meters["numerator"][longest], meters["denominator"][longest]


def _most_at_once(start: np.ndarray, end: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The most notes that sound at once in each of the pieces that begin at `first`."""
    longest = np.maximum.reduceat(end, first).astype(np.int64)
    apart = np.repeat(np.cumsum(longest) - longest, np.diff(first, append=len(start)))  # no piece sounds into another
    # one number to sort by for each beginning (odd) and end: at one tick, ends come first
    events = np.concatenate([(start + apart) * 2 + 1, (end + apart) * 2])
    events.sort(kind="stable")  # which is quick where much is in order, as it is here
    # of what stands before the i-th beginning, i are beginnings and the rest are ends
    sounding = np.arange(1, 2 * len(start), 2) - np.flatnonzero((events & 1) == 1)
    most: np.ndarray = np.maximum.reduceat(sounding, first)
    return most
