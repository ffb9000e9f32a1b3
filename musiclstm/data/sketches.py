"""A fingerprint of a piece by which its versions are found, whatever their key, tempo, instruments and player.

A sketch samples two sets of hashes. The *texture* has one for every twelve successive notes, as intervals above the
lowest of them, in no order: what one player strikes together another strikes one after the other. The *melody* has
one for every six successive intervals of the top line, which another accompaniment leaves as it is. Of time, both
know nothing but which notes are struck together, and that in proportion to how densely notes follow each other.
"""

from __future__ import annotations

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
_ODD = 0x9E3779B97F4A7C15


def sketch(score: Score) -> np.ndarray:
    """The fingerprint of `score`: one value of `SKETCH`, an array of uint32. It is all `NONE` without notes.

    Key, tempo, ticks per quarter, velocity, program and track do not change it. Drums, which have no key, count
    where there are hardly any other notes.
    """
    notes = score.notes
    drums = notes["program"] == DRUMS
    chosen = ~drums if drums.any() else slice(None)
    start, end, pitch = (notes[name][chosen].astype(np.int64) for name in ("start", "end", "pitch"))
    texture, melody = _pitched(start, end, pitch)
    if len(start) < _FEW and len(start) < len(notes):
        melody = np.append(melody, _drums(notes["start"][drums].astype(np.int64), notes["pitch"][drums]))
    # the lowest bit keeps texture and melody apart, whatever their hashes
    return np.append(_smallest(texture & ~np.uint32(1), TEXTURE), _smallest(melody | np.uint32(1), MELODY))


def _smallest(hashes: np.ndarray, count: int) -> np.ndarray:
    for limit in (int(NONE) // (1 + len(hashes) // (8 * count)), NONE):  # few are sorted, where those are enough
        ordered = np.sort(hashes[hashes < limit])
        distinct = np.ones(len(ordered), bool)
        np.not_equal(ordered[1:], ordered[:-1], out=distinct[1:])
        ordered = ordered[distinct][:count]
        if len(ordered) == count:
            return ordered
    return np.append(ordered, np.full(count - len(ordered), NONE))


def _pitched(start: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of texture and melody. `start` ascends."""
    if len(start) == 0:
        return np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    # by onset, then pitch; what two tracks play in unison is one note
    keys = (_onsets(start) << 7) + pitch
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    once = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    keys, start, end = keys[once], start[order[once]], np.maximum.reduceat(end[order], once)
    pitch, onset = keys & 127, keys >> 7
    top = np.append(onset[1:] != onset[:-1], True)
    intervals = np.diff(_top_line(pitch[top], start[top], end[top]))
    return _hash_texture(pitch), _hash_runs(_RANDOM[intervals + 256])


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


def _onsets(start: np.ndarray) -> np.ndarray:
    """Counts onsets: int64, the same number for notes that are struck together. `start` ascends."""
    onsets = np.zeros(len(start), np.int64)
    gaps = np.diff(start)
    if len(gaps) == 0:
        return onsets
    around = min(_AROUND, len(gaps))
    spans = start[around:] - start[:-around]
    at, last = np.arange(len(gaps)), len(spans) - 1
    # the denser side of the two, so that a rest does not make one onset of the notes beside it
    span = np.minimum(spans[np.clip(at - around + 1, 0, last)], spans[np.minimum(at, last)])
    part, parts = _TOGETHER
    np.cumsum(gaps * (around * parts) > span * part, out=onsets[1:])
    return onsets


def _top_line(pitch: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of the highest pitches of successive onsets those above which no earlier one is still held."""
    part, parts = _HELD
    until = np.searchsorted(start * parts, start * parts + (end - start) * part)
    held = np.minimum(until - np.arange(1, len(pitch) + 1), min(_REACH, len(pitch) - 1)).astype(np.uint8)
    low = pitch.astype(np.uint8)  # bytes are compared many at a time
    under = np.zeros(len(pitch), bool)
    for i in range(1, int(held.max()) + 1):
        under[i:] |= (held[:-i] >= i) & (low[:-i] > low[i:])
    return pitch[~under]


def _hash_texture(pitch: np.ndarray) -> np.ndarray:
    """A hash of the pitches in each window, or of all where they are fewer: g**pitch over g**lowest, summed."""
    size = min(_NOTES, len(pitch))
    total = np.zeros(len(pitch) + 1, np.uint64)
    np.cumsum(_POWERS[pitch], out=total[1:])
    lowest, covered = pitch, 1
    while covered < size:
        further = min(covered, size - covered)
        lowest = np.minimum(lowest[further:], lowest[:-further])
        covered += further
    return _high((total[size:] - total[:-size]) * _POWERS[-lowest])


def _hash_runs(items: np.ndarray) -> np.ndarray:
    """A hash of the items in each window, in their order, or of all where they are fewer."""
    size = min(_STEPS, len(items))
    if size == 0:
        return np.zeros(0, np.uint32)
    total = np.zeros(len(items) - size + 1, np.uint64)
    for i in range(size):
        total = total * np.uint64(_ODD) + items[i : len(items) - size + 1 + i]
    return _high(total)


def _mix(values: np.ndarray) -> np.ndarray:
    """uint64 to uint64, one to one, in which every bit depends on all (the finalizer of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _high(hashes: np.ndarray) -> np.ndarray:
    """Mixed, the upper half: uint32, less than `NONE` with any lowest bit."""
    return np.minimum(_mix(hashes) >> np.uint64(32), NONE - np.uint32(2)).astype(np.uint32)


def _powers() -> np.ndarray:
    """g**i modulo 2**64 at index i, and so g**-i at index -i, for i below 128. g is odd."""
    exponents = [*range(128), *range(-128, 0)]
    return np.array([pow(_ODD, i, 1 << 64) for i in exponents], np.uint64)


def _drum_classes() -> np.ndarray:
    """From each drum to one like it: kits differ in which snare, which tom or which part of a cymbal they have."""
    classes = np.arange(128)
    toms, crashes = (45, 41, 43, 47, 48, 50, 58), (49, 52, 55, 57)
    for drums in ((36, 35), (38, 37, 40), (42, 22, 44), (46, 26), toms, (51, 53, 59), crashes):
        classes[list(drums)] = drums[0]
    return classes


_RANDOM = _mix(np.arange(1, 513, dtype=np.uint64) * np.uint64(_ODD))
_POWERS = _powers()
_DRUM_CLASS = _drum_classes()
