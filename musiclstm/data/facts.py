"""What a piece is like, in a row of numbers: to select by, and for the report."""

from __future__ import annotations

import numpy as np

from musiclstm.data.keys import find_key
from musiclstm.score import DRUMS, Score

_MASK = DRUMS // 8 + 1  # bytes that hold a bit for each program and one for drums

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
    notes, row = score.notes, np.zeros((), FACTS)
    start, end = notes["start"], np.maximum(notes["end"], notes["start"] + 1)
    last = int(end.max())
    drums = notes["program"] == DRUMS
    row["notes"], row["drums"] = len(notes), np.count_nonzero(drums) / len(notes)
    row["tracks"] = np.count_nonzero(np.bincount(notes["track"]))
    row["programs"] = np.packbits(np.bincount(notes["program"], minlength=8 * _MASK)[: 8 * _MASK] > 0)
    _tempo(row, score, last)
    _meter(row, score, last)
    pitch = notes["pitch"]
    if drums.any():
        start, end, pitch = start[~drums], end[~drums], pitch[~drums]
    row["lowest"], row["highest"] = (pitch.min(), pitch.max()) if len(pitch) else (0, 0)
    row["polyphony"] = _most_at_once(start, end)
    sounding = np.bincount(pitch, end - start.astype(np.float64), minlength=132)[:132]
    row["key"] = find_key(sounding.reshape(11, 12).sum(0))
    return row


def unpack_programs(masks: np.ndarray) -> np.ndarray:
    """Which of the programs 0 to 127 and DRUMS occur: bool (..., 129) from the column `programs` (..., 17)."""
    return np.unpackbits(masks, axis=-1)[..., : DRUMS + 1].astype(bool)


def _tempo(row: np.ndarray, score: Score, last: int) -> None:
    tempos = score.tempos["microseconds"]
    if len(tempos) > 1:
        tempos = tempos[score.tempos["tick"] < last]
    row["tempos"], row["bpm_lowest"], row["bpm_highest"] = len(tempos), 60e6 / tempos.max(), 60e6 / tempos.min()
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


def _most_at_once(start: np.ndarray, end: np.ndarray) -> int:
    if not len(start):
        return 0
    # one number to sort by for each beginning (odd) and end: at one tick, ends come first
    events = np.concatenate([start.astype(np.int64) * 2 + 1, end.astype(np.int64) * 2])
    events.sort(kind="stable")  # which is quick where much is in order, as it is here
    return int(np.cumsum((events & 1) * 2 - 1).max())
