"""The longest match of every place of some sequences in others, by a suffix array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LONGEST = 1024  # symbols: longer matches are found as well, but perhaps not the longest of them
BLOCK = 32


def longest_matches(known: Sequence[np.ndarray], asked: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each place of each of `asked` the longest run of symbols from there on that stands somewhere in `known`.

    Sequences are int64 of any length, with symbols from 0 on. For each of `asked` of length n: the lengths (int64,
    (n,)) and where the match begins in all of `known` laid end to end (int64, (n,); meaningless where the length is 0).
    No match runs over the end of a sequence.

    All suffixes of all sequences are sorted by their first symbols, twice as many in each pass (Manber & Myers 1993,
    "Suffix arrays: a new method for on-line string searches"); the longest match of a suffix of `asked` is with the
    nearest suffix of `known` before or after it. For 10 million symbols some ten
    seconds and 90 bytes a symbol.
    """
    sequences = [*known, *asked]
    text, borders = _laid_out(sequences)
    order = _suffix_array(text)
    is_known = order < borders[len(known)]
    before = np.maximum.accumulate(np.where(is_known, np.arange(len(order)), -1))
    after = np.minimum.accumulate(np.where(is_known, np.arange(len(order)), len(order))[::-1])[::-1]
    places = np.flatnonzero(~is_known)
    first = borders[len(known)]  # of the text that is asked for
    best, where = np.zeros((2, len(text) - first), np.int64)
    for neighbour in (before, after):
        found = neighbour[places]
        there = (found >= 0) & (found < len(order))
        mine, other = order[places[there]], order[found[there]]
        length = _common(text, mine, other)
        longer = length > best[mine - first]
        best[mine[longer] - first], where[mine[longer] - first] = length[longer], other[longer]
    # from places of the text, where a border stands behind each sequence, to places of the sequences
    where -= np.searchsorted(borders, where, "right") - 1
    begins = (borders[len(known) : -1] - first).tolist()
    spans = [slice(begin, begin + len(one)) for begin, one in zip(begins, asked, strict=True)]
    return [(best[span], where[span]) for span in spans]


def _laid_out(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All sequences with a symbol of its own after each, so that no match runs over it, and where each begins."""
    largest = max((int(one.max()) for one in sequences if len(one)), default=0)
    parts: list[np.ndarray] = []
    for number, one in enumerate(sequences):
        parts += [one.astype(np.int64), np.array([largest + 1 + number])]
    borders = np.concatenate([[0], np.cumsum([len(one) + 1 for one in sequences])]).astype(np.int64)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64), borders


def _suffix_array(text: np.ndarray) -> np.ndarray:
    """Where the suffixes of `text` begin, sorted by their first `LONGEST` symbols or more: int64, same length."""
    rank = np.unique(text, return_inverse=True)[1].astype(np.int64)
    order, width = np.argsort(rank, kind="stable"), 1
    while width < LONGEST and len(text):
        behind = np.zeros(len(text), np.int64)
        behind[: len(text) - width] = rank[width:] + 1
        key = (rank << 32) | behind
        order = np.argsort(key)
        fresh = np.empty(len(text), bool)
        fresh[0], fresh[1:] = False, np.diff(key[order]) != 0
        rank[order] = np.cumsum(fresh)
        width *= 2
        if rank[order[-1]] == len(text) - 1:
            break
    return order


def _common(text: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many symbols the suffixes that begin at `one` and `other` (K,) have in common: int64, (K,)."""
    length = np.zeros(len(one), np.int64)
    going = np.arange(len(one))
    padded = np.concatenate([text, np.arange(-BLOCK, 0)])
    offsets = np.arange(BLOCK)
    while len(going):
        first, second = one[going] + length[going], other[going] + length[going]
        last = len(text)
        same = (
            padded[np.minimum(first[:, None] + offsets, last + BLOCK - 1)]
            == padded[np.minimum(second[:, None] + offsets, last + BLOCK - 1)]
        )
        run = np.where(same.all(1), BLOCK, same.argmin(1))
        length[going] += run
        going = going[run == BLOCK]
    return length
