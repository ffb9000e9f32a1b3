"""What a piece is like, in a row of numbers: to select by, and for the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musiclstm.data.keys import find_key
from musiclstm.score import DRUMS, Score

_MASK = DRUMS // 8 + 1  # bytes that hold a bit for each program and one for drums
_NEAR = 12  # notes after one that are compared with it one by one: most have ended by then

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
_TIMING = ("tempos", "bpm_lowest", "bpm_highest", "seconds", "bpm", "meters", "numerator", "denominator")


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
    rows["programs"] = _programs(program, first, counts)
    lasts = np.maximum.reduceat(end, first).tolist()
    timing = [(*_tempo(score, last), *_meter(score, last)) for score, last in zip(scores, lasts, strict=True)]
    for name, column in zip(_TIMING, zip(*timing, strict=True), strict=True):
        rows[name] = column
    if drums.any():
        rest = np.flatnonzero(~drums)
        start, end, pitch = start[rest], end[rest], pitch[rest]
        pitched = counts - np.add.reduceat(drums, first, dtype=np.int64)
        rows["drums"] = (counts - pitched) / counts
    some = np.flatnonzero(pitched)
    if len(some):
        first = (np.cumsum(pitched) - pitched)[some]
        rows["lowest"][some] = np.minimum.reduceat(pitch, first)
        rows["highest"][some] = np.maximum.reduceat(pitch, first)
        rows["polyphony"][some] = _most_at_once(start, end, first)
    lasting = np.zeros((len(rows), 11 * 12))
    apart = np.repeat(np.arange(0, 128 * len(rows), 128), pitched)
    lasting[:, :128] = np.bincount(apart + pitch, end - start, 128 * len(rows)).reshape(-1, 128)
    rows["key"] = [find_key(each) for each in lasting.reshape(-1, 11, 12).sum(1)]
    return rows


def unpack_programs(masks: np.ndarray) -> np.ndarray:
    """Which of the programs 0 to 127 and DRUMS occur: bool (..., 129) from the column `programs` (..., 17)."""
    return np.unpackbits(masks, axis=-1)[..., : DRUMS + 1].astype(bool)


def _programs(program: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The column `programs` of pieces that begin at `first`."""
    occur = np.zeros((len(first), 8 * _MASK), bool)
    one, other = np.minimum.reduceat(program, first), np.maximum.reduceat(program, first)
    if (one == other).all():  # as of most, which is told sooner
        occur[np.arange(len(first)), one] = True
    else:
        occur[np.repeat(np.arange(len(first)), counts), program] = True
    return np.packbits(occur, axis=1)


def _tempo(score: Score, last: int) -> tuple[int, float, float, float, float]:
    """The facts from `tempos` to `bpm` in `_TIMING`."""
    tempos = score.tempos["microseconds"]
    if len(tempos) > 1:
        tempos = tempos[score.tempos["tick"] < last]
    values = tempos.tolist()
    seconds = float(score.seconds(last))
    # all quarters over all minutes are the mean tempo, weighted by time
    mean = 60 * last / score.ticks_per_quarter / seconds
    return len(values), 60e6 / max(values), 60e6 / min(values), seconds, mean


def _meter(score: Score, last: int) -> tuple[int, int, int]:
    """The facts from `meters` on in `_TIMING`."""
    meters = score.meters
    if len(meters) > 1:
        meters = meters[meters["tick"] < last]
    longest = 0
    if len(meters) > 1:
        _, which = np.unique(meters[["numerator", "denominator"]], return_inverse=True)
        lasting = np.bincount(which, np.diff(meters["tick"], append=last))
        longest = int(np.flatnonzero(which == lasting.argmax())[0])
    _, numerator, denominator = meters[longest].item()
    return len(meters), numerator, denominator


def _most_at_once(start: np.ndarray, end: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The most notes that sound at once in each of the pieces that begin at `first`."""
    longest = np.maximum.reduceat(end, first).astype(np.int64)
    apart = np.cumsum(longest) - longest  # no piece sounds into another
    if len(first) > 1:
        narrow = np.int32 if apart[-1] + longest[-1] < 2**31 else np.int64
        shift = np.repeat(apart.astype(narrow), np.diff(first, append=len(start)))
        start, end = start + shift, end + shift
    sounding = np.ones(len(start), np.uint8)  # at the beginning of each note, itself counted
    for later in range(1, min(_NEAR + 1, len(start))):
        held = end[:-later] > start[later:]
        if not held.any():
            break
        sounding[later:] += held
    more = np.flatnonzero(end[: -_NEAR - 1] > start[_NEAR + 1 :])
    if len(more):  # from there to the first note that begins when it has ended
        turns = np.bincount(more + _NEAR + 1, minlength=len(start) + 1)
        turns -= np.bincount(np.searchsorted(start, end[more]), minlength=len(start) + 1)
        sounding = sounding + np.cumsum(turns[:-1])
    most: np.ndarray = np.maximum.reduceat(sounding, first)
    return most
