"""Groups of pieces that are versions of one another, found by their sketches in time near-linear in their number."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from musiclstm.data.sketches import NONE, SKETCH, TEXTURE, sketch

__all__ = ["SKETCH", "group", "sketch"]

_FAMILIES = (slice(0, TEXTURE), slice(TEXTURE, None))  # of even and of odd hashes

# Two pieces are alike that share, of their textures or of their melodies,
_FEWEST = 12  # (those with fewer hashes must be equal throughout)
_SHARED = 5  # that many of the hashes in their sketches
_SHARE = 0.15  # and that part of the smaller texture, or of both melodies together
_COMMON = (30, 12)  # and that many of all hashes, or half of the smaller set: more than one phrase or stock figure

_NEIGHBOURS = 4  # a sketch is compared with that many after it among those that share a hash,
_MANY = 16  # but where that many follow it, with the next alone: other hashes tell whether that means anything

_PASSES = 64  # powers of two up to this: each pass takes the hashes of one remainder, so that few are in memory at once
_PASS = 1 << 15  # hashes in a pass, where fewer passes do
_BLOCK = 1 << 15  # hashes whose neighbours are sought at once
_CHUNK = 2048  # rows, or pairs of rows, in memory at once
_PAGES = 128  # rows read singly before the memory map gives back its pages

_INDEX = np.uint64(32)  # bits: an entry is a hash, and below it the number of a sketch
_NUMBER = np.uint64(0xFFFFFFFF)
_WEIGHTS = np.cumprod(np.full(SKETCH.shape[0], 0x9E3779B97F4A7C15, np.uint64))


def group(sketches: np.ndarray) -> np.ndarray:
    """(N,) int64: for each of N sketches the smallest index in its group, its own where it is alone.

    `sketches` is an array of `SKETCH`. Of a read-only memory map only a few pages are in memory at a time, beside
    less than a hundred bytes a piece. Equal sketches are in one group, and so are those that a chain of alike ones
    connects. Those that share a hash are compared, each with a few of them; with which, depends on what the
    sketches hold and not on their order. A sketch without hashes is alone.
    """
    rows = _Rows(sketches)
    number, first, counts = _distinct(rows)
    leads = np.zeros(len(rows), bool)
    leads[first] = True
    passes = 2  # of even hashes and of odd ones
    while passes < _PASSES and len(rows) * SKETCH.shape[0] > passes * _PASS:
        passes *= 2

    def grouped(family: int) -> np.ndarray:
        groups = np.arange(len(first), dtype=np.int64)
        for remainder in range(family, passes, 2):
            entries = _entries(rows, number, leads, (remainder, passes), int(counts[remainder::passes].sum()))
            for begin in range(0, len(entries), _BLOCK):
                pairs = _neighbours(entries[begin : begin + _BLOCK + _MANY], len(groups))
                _join(groups, pairs, rows, first, family)
        return groups

    with ThreadPoolExecutor(2) as threads:  # all workers are idle by now, and NumPy lets go of the interpreter's lock
        groups, others = threads.map(grouped, range(2))
    _unite(groups, np.arange(len(first)), others)
    least = np.full(len(first), len(rows), np.int64)
    np.minimum.at(least, groups, first)
    found = np.arange(len(rows), dtype=np.int64)
    some = number >= 0
    found[some] = least[groups[number[some]]]
    return found


class _Rows:
    """Rows of an array, of which as little as can be stays in memory where it is a memory map."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        base: object = array
        while isinstance(base, np.ndarray):
            base = base.base
        # what a copy-on-write map has been given would be lost
        self._map = base if isinstance(base, mmap.mmap) and not array.flags.writeable else None

    def __len__(self) -> int:
        return len(self._array)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All rows, copied, with the index of the first of each chunk."""
        for first in range(0, len(self), _CHUNK):
            yield first, np.array(self._array[first : first + _CHUNK])
            self._give_back()

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The rows at `indices`, copied."""
        found = np.empty((len(indices), *self._array.shape[1:]), self._array.dtype)
        for i in range(0, len(indices), _PAGES):
            found[i : i + _PAGES] = self._array[indices[i : i + _PAGES]]
            self._give_back()
        return found

    def _give_back(self) -> None:
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)


def _distinct(rows: _Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row the number of its sketch among the distinct ones, -1 without hashes; for each distinct one the
    first row that has it; and how many hashes of each remainder all rows have.

    The numbers follow the contents, and those of sketches with much texture in common are often close together.
    """
    keys = np.empty(len(rows), np.uint64)
    empty = np.empty(len(rows), bool)
    counts = np.zeros(_PASSES, np.int64)
    for begin, chunk in rows.chunks():
        place = slice(begin, begin + len(chunk))
        whole = (chunk * _WEIGHTS).sum(1, dtype=np.uint64)
        keys[place] = (chunk[:, 0].astype(np.uint64) << _INDEX) | (whole >> _INDEX)
        empty[place] = (chunk == NONE).all(1)
        counts += np.bincount(chunk[chunk != NONE] % _PASSES, minlength=_PASSES)
    order = np.argsort(keys, kind="stable")
    order = order[~empty[order]]
    begins = np.ones(len(order), bool)
    begins[1:] = keys[order[1:]] != keys[order[:-1]]
    number = np.full(len(rows), -1, np.int64)
    number[order] = np.cumsum(begins) - 1
    return number, order[begins], counts


def _entries(rows: _Rows, number: np.ndarray, leads: np.ndarray, taken: tuple[int, int], count: int) -> np.ndarray:
    """Of the sketches in the rows that lead, the hashes that leave a remainder when divided by a power of two, each
    above the sketch's number: uint64, ascending, at most `count`."""
    remainder, divisor = taken
    entries = np.empty(count, np.uint64)
    filled = 0
    for begin, chunk in rows.chunks():
        hashes = chunk[:, _FAMILIES[remainder % 2]]
        place = slice(begin, begin + len(chunk))
        row, column = np.divmod(np.flatnonzero((hashes & np.uint32(divisor - 1)) == remainder), hashes.shape[1])
        found = hashes[row, column]
        chosen = (leads[place] & (hashes[:, _FEWEST - 1] != NONE))[row] & (found != NONE)
        last = filled + np.count_nonzero(chosen)
        entries[filled:last] = found[chosen].astype(np.uint64) << _INDEX | number[place][row[chosen]].astype(np.uint64)
        filled = last
    entries = entries[:filled]
    entries.sort()
    return entries


def _neighbours(entries: np.ndarray, count: int) -> np.ndarray:
    """The pairs of sketches, a * count + b, whose entries share a hash and are near each other."""
    hashes, numbers = entries >> _INDEX, (entries & _NUMBER).astype(np.int64)
    few = np.ones(len(entries), bool)
    few[:-_MANY] = hashes[:-_MANY] != hashes[_MANY:]
    pairs = []
    for distance in range(1, _NEIGHBOURS + 1):
        share = hashes[:-distance] == hashes[distance:]
        at = np.flatnonzero(share & few[:-distance] if distance > 1 else share)
        pairs.append(numbers[at] * count + numbers[at + distance])
    ordered = np.sort(np.concatenate(pairs))  # np.unique would make a hash table, of more memory and time
    distinct = np.ones(len(ordered), bool)
    distinct[1:] = ordered[1:] != ordered[:-1]
    return ordered[distinct]


def _join(groups: np.ndarray, pairs: np.ndarray, rows: _Rows, first: np.ndarray, family: int) -> None:
    """Unite in `groups` those of `pairs` that are alike in their textures or melodies."""
    for i in range(0, len(pairs), _CHUNK):
        a, b = np.divmod(pairs[i : i + _CHUNK], len(groups))
        apart = groups[a] != groups[b]
        a, b = a[apart], b[apart]
        index, place = np.unique(first[np.concatenate([a, b])], return_inverse=True)
        left, right = np.split(rows.take(index)[:, _FAMILIES[family]][place], 2)
        alike = _alike(left, right, family)
        _unite(groups, a[alike], b[alike])


def _alike(a: np.ndarray, b: np.ndarray, family: int) -> np.ndarray:
    """(P,) bool: whether the textures or melodies at one place in `a` and in `b`, (P, ...), are of one piece."""
    # of two sets of which the smallest hashes are known, all are known up to the lesser of the two ends
    known = np.minimum(a[:, -1:], b[:, -1:])
    last = np.minimum(known, NONE - np.uint32(1))
    sizes = [_count(side <= last) for side in (a, b)]
    smaller = np.minimum(*sizes)
    both = np.sort(np.concatenate([a, b], 1), 1)
    shared = _count((both[:, 1:] == both[:, :-1]) & (both[:, 1:] != NONE))
    whole = np.add(*sizes) - shared if family else smaller
    least = np.minimum(known[:, 0] / float(NONE) * _COMMON[family], smaller / 2)
    return (shared >= _SHARED) & (shared >= _SHARE * whole) & (shared >= least)


def _count(found: np.ndarray) -> np.ndarray:
    """How many of each row are true: at most 255, so that bytes hold it, which are summed sooner."""
    return found.view(np.uint8).sum(1, dtype=np.uint8).astype(np.int64)


def _unite(groups: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Make one group of those of `a` and `b`, pair by pair. Each member of a group points to the least of it."""
    while True:
        a, b = groups[a], groups[b]
        apart = a != b
        if not apart.any():
            return
        a, b = a[apart], b[apart]
        np.minimum.at(groups, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(further := groups[groups], groups):
            groups[:] = further
