"""A fingerprint of a piece by which its versions are found, whatever their key, tempo, instruments and player.

A sketch samples two sets of hashes. The *texture* has one for every twelve successive notes, as intervals above the
lowest of them, in no order: what one player strikes together another strikes one after the other. The *melody* has
one for every six successive intervals of the top line, which another accompaniment leaves as it is. Of time, both
know nothing but which notes are struck together, and that in proportion to how densely notes follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musiclstm.score import DRUMS, Score

TEXTURE, MELODY = 80, 48
SKETCH = np.dtype(("<u4", (TEXTURE + MELODY,)))
"""The smallest hashes of the texture, all even, then those of the melody, all odd: each ascending, filled with `NONE`.

So the hashes of a piece that stands in another are, up to the last one kept of the other, among those of the other.
"""
NONE = np.uint32(0xFFFFFFFF)

_NOTES = 12  # in a hash of the texture
_STEPS = 6  # in a hash of the melody: intervals, or hits of the drums
_FEW = 16  # notes: with fewer that have a pitch, the drums count as well
_AROUND = 32  # notes that tell how densely notes follow each other
_TOGETHER = (3, 5)  # of the mean time from note to note: what is closer is struck together
_HELD = (17, 20)  # of a note's length: what begins later follows it, and is not under it
_REACH = 16  # onsets: over how many a note of the melody is held at most
_SPARE = 4  # times as many hashes are sorted as are kept, lest too few of them be different
_ODD = 0x9E3779B97F4A7C15


def sketch(score: Score) -> np.ndarray:
    """The fingerprint of `score`: one value of `SKETCH`, an array of uint32. It is all `NONE` without notes.

    Key, tempo, ticks per quarter, velocity, program and track do not change it. Drums, which have no key, count
    where there are hardly any other notes.
    """
    found: np.ndarray = sketches([score])[0]
    return found


def sketches(scores: Sequence[Score]) -> np.ndarray:
    """The `sketch` of each of N scores: an array of `SKETCH`, (N, ...)."""
    found = np.full((len(scores), TEXTURE + MELODY), NONE)
    drums = [score.notes["program"] == DRUMS for score in scores]
    notes = [score.notes[~hit] if hit.any() else score.notes for score, hit in zip(scores, drums, strict=True)]
    some = [i for i, those in enumerate(notes) if len(those)]
    if some:
        found[some, :TEXTURE], found[some, TEXTURE:] = _pitched([notes[i] for i in some])
    for i, (score, hit) in enumerate(zip(scores, drums, strict=True)):
        if len(notes[i]) < _FEW and len(notes[i]) < len(score):
            hits = score.notes[hit]
            hashes = _drums(hits["start"].astype(np.int64), hits["pitch"]) | np.uint32(1)
            found[i, TEXTURE:] = _fewest(np.append(found[i, TEXTURE:], hashes), MELODY)
    return found


def _pitched(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest hashes of texture and melody, (N, TEXTURE) and (N, MELODY), of the notes of N pieces, none empty."""
    counts = np.array([len(notes) for notes in pieces])
    start, end, pitch = (
        np.concatenate([notes[name] for notes in pieces], dtype=np.int64) for name in ("start", "end", "pitch")
    )
    # by onset, then pitch; what two tracks play in unison is one note
    keys = (_onsets(start, counts) << 7) + pitch
    order = np.argsort(keys, kind="stable")
    keys, start, end = keys[order], start[order], end[order]
    first = np.append(True, keys[1:] != keys[:-1])
    if not first.all():
        once, again = np.flatnonzero(first), np.flatnonzero(~first)
        ends = end[once]
        np.maximum.at(ends, np.searchsorted(once, again) - 1, end[again])
        counts = _remaining(once, counts)
        keys, start, end = keys[once], start[once], ends
    pitch, onset = keys & 127, keys >> 7
    pitch = pitch.astype(np.uint8)  # bytes are compared many at a time
    texture = _texture(pitch, counts)
    top = np.flatnonzero(np.append(onset[1:] != onset[:-1], True))
    tops = _remaining(top, counts)
    # pieces are moved apart, so that no note is held into another piece
    longest = np.maximum.reduceat(end, np.cumsum(counts) - counts)
    apart = np.repeat(np.cumsum(longest) - longest, tops)
    pitch = pitch[top]
    line = np.flatnonzero(_top_line(pitch, start[top] + apart, end[top] + apart))
    return texture, _melody(pitch[line], _remaining(line, tops))


def _remaining(chosen: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How many of the ascending places `chosen` are of each piece: pieces of so many `counts` follow each other."""
    return np.diff(np.searchsorted(chosen, np.cumsum(counts)), prepend=0)


def _drums(start: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Hashes of successive hits: what is struck, and how the time to the next compares with that before it."""
    onsets = _onsets(start)
    keys = np.unique((onsets << 7) + _DRUM_CLASS[pitch])
    struck = np.zeros(onsets[-1] + 1, np.uint64)
    np.add.at(struck, keys >> 7, _RANDOM[keys & 127])
    if len(struck) < 3:
        return _hash_runs(struck)
    gaps = np.diff(start[np.append(True, onsets[1:] != onsets[:-1])])
    ratios = np.rint(np.log2(gaps[1:] / gaps[:-1])).astype(np.int64)
    return _hash_runs(_mix(struck[1:-1]) + _RANDOM[ratios + 256])


def _onsets(start: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Counts onsets: int64, the same number for notes that are struck together. `start` ascends in each of the pieces
    of so many `counts`, by default one."""
    onsets = np.zeros(len(start), np.int64)
    part, parts = _TOGETHER
    gaps = np.diff(start)
    # from each note, how long so many take: of the spans that end and that begin at a gap the denser, so that a rest
    # does not make one onset of the notes beside it
    after = np.zeros(len(start), np.int64)
    np.subtract(start[_AROUND:], start[:-_AROUND], out=after[:-_AROUND])
    before = np.zeros(len(start), np.int64)
    before[_AROUND - 1 :] = after[: 1 - _AROUND]
    short = []
    first = 0
    for count in [len(start)] if counts is None else counts.tolist():
        last = first + count - 1
        if count > _AROUND:  # at its ends, those nearest to them
            before[first : first + _AROUND - 1] = after[first]
            after[last - _AROUND + 1 : last] = after[last - _AROUND]
        else:
            short.append((first, last))
        first += count
    apart = gaps * (_AROUND * parts) > np.minimum(before, after)[:-1] * part
    for first, last in short:
        apart[first:last] = gaps[first:last] * ((last - first) * parts) > (start[last] - start[first]) * part
    if counts is not None:
        apart[np.cumsum(counts)[:-1] - 1] = True
    onsets[1:] = apart  # at first, for a sum of what is not of its kind takes longer
    np.cumsum(onsets, out=onsets)
    return onsets


def _top_line(pitch: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of the highest pitches (uint8) of successive onsets, bool: those above which no earlier one is still held."""
    part, parts = _HELD
    until = start * (parts - part) + end * part
    start = start * parts
    if until.max() < 2**31:  # no start is later than the last end
        start, until = start.astype(np.int32), until.astype(np.int32)
    under = np.zeros(len(pitch), bool)
    for i in range(1, min(_REACH + 1, len(pitch))):
        held = until[:-i] > start[i:]
        if not held.any():
            break
        held &= pitch[:-i] > pitch[i:]
        under[i:] |= held
    return ~under


def _texture(pitch: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The smallest hashes of the pitches in each window, or of all where they are fewer: g**pitch over g**lowest,
    summed."""
    hashes = np.zeros(len(pitch), np.uint32)
    powers = np.take(_POWERS, pitch)
    if len(pitch) >= _NOTES:
        total = np.empty(len(pitch) + 1, np.uint64)
        total[0] = 0
        np.cumsum(powers, out=total[1:])
        lowest, covered = pitch, 1
        while covered < _NOTES:
            further = min(covered, _NOTES - covered)
            lowest = np.minimum(lowest[further:], lowest[:-further])
            covered += further
        hashes[: 1 - _NOTES] = _high((total[_NOTES:] - total[:-_NOTES]) * np.take(_INVERSES, lowest))
    windows, ends = counts - _NOTES + 1, np.cumsum(counts)
    for i in np.flatnonzero(windows < 1):
        own = slice(int(ends[i] - counts[i]), int(ends[i]))
        hashes[own.start] = _high(powers[own].sum(keepdims=True) * _INVERSES[pitch[own].min()])[0]
    hashes &= ~np.uint32(1)
    return _smallest(hashes, np.maximum(windows, 1), counts, TEXTURE)


def _melody(line: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The smallest hashes of the intervals in each window, in their order, or of all where they are fewer."""
    items = np.take(_RANDOM, line[1:] + (256 - line[:-1].astype(np.int16)))
    hashes = np.zeros(len(line), np.uint32)
    if len(items) >= _STEPS:
        hashes[:-_STEPS] = _hash_runs(items)
    windows, firsts = counts - _STEPS, np.cumsum(counts) - counts
    for i in np.flatnonzero((windows < 1) & (counts > 1)):
        hashes[firsts[i]] = _hash_runs(items[firsts[i] : firsts[i] + counts[i] - 1])[0]
    hashes |= np.uint32(1)
    return _smallest(hashes, np.maximum(windows, counts > 1), counts, MELODY)


def _hash_runs(items: np.ndarray) -> np.ndarray:
    """A hash of the items in each window, in their order, or of all where they are fewer."""
    size = min(_STEPS, len(items))
    total = items[: len(items) - size + 1]
    for i in range(1, size):
        total = total * np.uint64(_ODD) + items[i : len(items) - size + 1 + i]
    return _high(total)


def _smallest(hashes: np.ndarray, windows: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """The `size` smallest of the hashes of each piece, (N, size): so many `windows` of those that `counts` gives it."""
    limits = np.minimum(int(NONE) // (1 + windows // (_SPARE * size)), NONE)  # few are sorted, where those are enough
    least = np.zeros((len(counts), 2), np.uint32)  # for the hashes of each piece, and for what else it was given
    least[:, 0] = limits
    at = np.flatnonzero(hashes < np.repeat(least, np.stack([windows, counts - windows], 1).ravel()))
    ends = np.cumsum(counts)
    entries = np.searchsorted(ends, at, "right").astype(np.uint64) << np.uint64(32) | hashes[at]
    entries.sort()
    entries = entries[np.flatnonzero(np.append(True, entries[1:] != entries[:-1])[: len(entries)])]
    bounds = np.searchsorted(entries, np.arange(len(counts) + 1, dtype=np.uint64) << np.uint64(32)).tolist()
    found = np.full((len(counts), size), NONE)
    for i, row in enumerate(found):
        chosen = entries[bounds[i] : min(bounds[i + 1], bounds[i] + size)]
        if len(chosen) < size and limits[i] < NONE:
            first = int(ends[i] - counts[i])
            row[:] = _fewest(hashes[first : first + int(windows[i])], size)
        else:
            row[: len(chosen)] = chosen
    return found


def _fewest(hashes: np.ndarray, size: int) -> np.ndarray:
    """The `size` smallest of `hashes`, each once, filled with `NONE`."""
    ordered = np.sort(hashes)
    ordered = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]][:size]
    return np.append(ordered, np.full(size - len(ordered), NONE))


def _mix(values: np.ndarray) -> np.ndarray:
    """uint64 to uint64, one to one, in which every bit depends on all (the finalizer of splitmix64)."""
    mixed = values >> np.uint64(30)
    mixed ^= values
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    shifted = mixed >> np.uint64(27)
    mixed ^= shifted
    mixed *= np.uint64(0x94D049BB133111EB)
    np.right_shift(mixed, np.uint64(31), out=shifted)
    mixed ^= shifted
    return mixed


def _high(hashes: np.ndarray) -> np.ndarray:
    """Mixed, the upper half: uint32, less than `NONE` with any lowest bit."""
    mixed = _mix(hashes)
    mixed >>= np.uint64(32)
    upper = mixed.astype(np.uint32)
    return np.minimum(upper, NONE - np.uint32(2), out=upper)


def _powers() -> np.ndarray:
    """g**i and g**-i modulo 2**64 at index i, (2, 128). g is odd."""
    return np.array([[pow(_ODD, sign * i, 1 << 64) for i in range(128)] for sign in (1, -1)], np.uint64)


def _drum_classes() -> np.ndarray:
    """From each drum to one like it: kits differ in which snare, which tom or which part of a cymbal they have."""
    classes = np.arange(128)
    toms, crashes = (45, 41, 43, 47, 48, 50, 58), (49, 52, 55, 57)
    for drums in ((36, 35), (38, 37, 40), (42, 22, 44), (46, 26), toms, (51, 53, 59), crashes):
        classes[list(drums)] = drums[0]
    return classes


_RANDOM = _mix(np.arange(1, 513, dtype=np.uint64) * np.uint64(_ODD))
_POWERS, _INVERSES = _powers()
_DRUM_CLASS = _drum_classes()
