"""Deciding on every piece of a collection before its store is written: kept or not, in which group, in which split.

All that is held of a piece is a few numbers, so that memory does not depend on what the collection holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musiclstm.data.grouping import Grouper, groups_of, join_groups
from musiclstm.data.near_duplicates import group
from musiclstm.data.selection import Selection
from musiclstm.data.splits import check_shares, draw, split_by_draw
from musiclstm.data.store import ROWS, SPLITS, NoteStore
from musiclstm.errors import UserError

LEAKS = ("keep", "drop")
KEPT, SAME, LEAK = range(3)  # of `Plan.fate`
FIRST_REASON = 3
NO_SPLIT = 255
TOGETHER = 4096  # sketches that are moved at a time


@dataclass(frozen=True)
class Splitting:
    """How pieces come into their splits: by `shares` and `seed`, or where `given` has the file of a piece, as it
    says; or, with `as_they_are`, as the parts have them.

    group_by: what else than likeness makes pieces belong together. leaks: what becomes of a piece to train on whose
    group has pieces that were given to the validation or the test: "keep" it, or "drop" it. keep_same: whether pieces
    that are the same are all kept, and not the first of them alone.
    """

    shares: Sequence[float] = (0.8, 0.1, 0.1)
    seed: int = 0
    given: Mapping[str, str] | None = None
    as_they_are: bool = False
    group_by: Grouper | None = None
    leaks: str = "keep"
    keep_same: bool = False

    def __post_init__(self) -> None:
        check_shares(self.shares)
        if self.leaks not in LEAKS:
            raise UserError(f"split.leaks is {self.leaks!r}: give {' or '.join(LEAKS)}")


@dataclass(frozen=True)
class Plan:
    """What becomes of the pieces, (N,) each, of all parts one after the other.

    ends: where the pieces of each part end. fate: KEPT, SAME (as another), LEAK, or FIRST_REASON and more: an index
    into `reasons`. like: for SAME and LEAK, the piece that it is like. group, split: of pieces that are kept; groups
    are named by their first kept piece, counted among the kept.
    """

    ends: np.ndarray
    fate: np.ndarray
    reasons: list[str]
    like: np.ndarray
    group: np.ndarray
    split: np.ndarray


class Survey:
    """Gathers what the plan is made of, part by part. Used as a context manager; `scratch` is a file of its own."""

    def __init__(self, splitting: Splitting, selection: Selection, scratch: Path) -> None:
        self._splitting, self._selection, self._scratch = splitting, selection, scratch
        self.reasons: list[str] = []
        self.counts: list[int] = []  # of pieces in each part
        self._columns: list[list[np.ndarray]] = []
        self._drawn: list[np.ndarray] = []
        self._seen: list[np.ndarray] = []  # the digests so far, ascending in each array

    def __enter__(self) -> Survey:
        self._sketches = self._scratch.open("wb")
        return self

    def __exit__(self, *error: object) -> None:
        self._sketches.close()
        self._scratch.unlink(missing_ok=True)

    def plan(self) -> Plan:
        """The plan for the pieces of all parts that were added."""
        self._sketches.close()
        return _plan(self, self._splitting, self._scratch)

    def add(self, part: NoteStore) -> np.ndarray:
        """Look at the pieces of the next part. Gives which are kept as far as one can tell, bool, one for each."""
        fate = np.zeros(len(part), np.uint16)
        for i, row in enumerate(part.facts if self._selection != Selection() else ()):
            if reason := self._selection.refuse(row):
                if reason not in self.reasons:
                    self.reasons.append(reason)
                fate[i] = FIRST_REASON + self.reasons.index(reason)
        names = [(entry["source"], name) for entry in part.files() for name in entry["pieces"]]
        splitting = self._splitting
        key, fixed = np.zeros(len(part), np.uint64), np.full(len(part), NO_SPLIT, np.uint8)
        if splitting.group_by is not None:
            key[:] = [_number(splitting.group_by(*name)) for name in names]
        if splitting.as_they_are:
            fixed[:] = part.pieces["split"]
        elif splitting.given is not None:
            fixed[:] = [SPLITS.index(splitting.given[source]) for source, _ in names]
        else:
            self._drawn.append(np.array([draw(splitting.seed, name) for _, name in names]))
        self.counts.append(len(part))
        digest = part.pieces["digest"].copy()
        self._columns.append([fate, digest, key, fixed])
        self._sketches.write(part.rows("sketches").tobytes())
        kept = fate == KEPT
        if not splitting.keep_same:
            kept[kept] = self._first_seen(digest[kept, 0])
        return kept

    def _first_seen(self, keys: np.ndarray) -> np.ndarray:
        """Which of these keys are not among those of earlier calls, nor stand before in `keys`."""
        new = np.zeros(len(keys), bool)
        new[np.unique(keys, return_index=True)[1]] = True
        for seen in self._seen:
            places = np.minimum(np.searchsorted(seen, keys), len(seen) - 1)
            new &= seen[places] != keys
        if new.any():
            self._seen.append(np.sort(keys[new]))
        while len(self._seen) > 1 and len(self._seen[-2]) < 2 * len(self._seen[-1]):  # so that there are few arrays
            last = self._seen.pop()
            self._seen[-1] = np.sort(np.append(self._seen[-1], last))
        return new

    def columns(self) -> list[np.ndarray]:
        """fate (N,), digest (N, 2), key (N,) and fixed split (N,) of all pieces."""
        empty = [np.zeros(0, np.uint16), np.zeros((0, 2), np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint8)]
        return [np.concatenate(column) for column in zip(empty, *self._columns, strict=True)]

    def drawn(self) -> np.ndarray:
        """(N,) the numbers that decide on the split."""
        return np.concatenate([np.zeros(0), *self._drawn])


def _plan(survey: Survey, splitting: Splitting, sketches: Path) -> Plan:
    fate, digest, key, fixed = survey.columns()
    like = np.full(len(fate), -1, np.int64) if splitting.keep_same else _same_as(digest, fate, fixed)
    fate[like >= 0] = SAME
    kept = np.flatnonzero(fate == KEPT)
    near = _near_duplicates(sketches, kept, len(fate))
    groups = join_groups(near, groups_of(key[kept]))
    if splitting.given is None and not splitting.as_they_are:
        split = split_by_draw(survey.drawn()[kept], groups, splitting.shares)
    else:
        split = fixed[kept]
        if splitting.leaks == "drop":
            # a group that stands on several sides is left to the test, or else to the validation
            side = np.zeros(len(kept), np.uint8)
            np.maximum.at(side, groups, split)
            leaks = split < side[groups]
            fate[kept[leaks]] = LEAK
            safe = np.full(len(kept), len(kept), np.int64)
            stays = np.flatnonzero(~leaks)
            np.minimum.at(safe, groups[stays], stays)
            like[kept[leaks]] = kept[safe[groups[leaks]]]
            kept, split = kept[stays], split[stays]
            groups = np.searchsorted(stays, safe[groups[stays]])
    whole = np.full(len(fate), -1, np.int64)
    whole[kept] = groups
    sides = np.zeros(len(fate), np.uint8)
    sides[kept] = split
    return Plan(np.cumsum(survey.counts), fate, survey.reasons, like, whole, sides)


def _number(key: str | None) -> int:
    if key is None:
        return 0
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _same_as(digest: np.ndarray, fate: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """(N,) for each piece the one of the same digest that is kept in its stead, or -1.

    The first is kept; where splits are given, the first of those in the test, then of those in the validation.
    """
    index = np.flatnonzero(fate == KEPT)
    side = np.where(fixed == NO_SPLIT, 0, fixed)[index]
    digest = digest[index]
    order = np.lexsort((index, -side.astype(np.int16), digest[:, 1], digest[:, 0]))
    begins = np.ones(len(order), bool)
    begins[1:] = (digest[order][1:] != digest[order][:-1]).any(1)
    first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    like = np.full(len(fate), -1, np.int64)
    again = ~begins
    like[index[order[again]]] = index[order[first[again]]]
    return like


def _near_duplicates(sketches: Path, kept: np.ndarray, count: int) -> np.ndarray:
    """`group` of those of `count` sketches in a file that are kept; they are never in memory together."""
    if not len(kept):
        return np.zeros(0, np.int64)
    if len(kept) < count:
        every = np.memmap(sketches, ROWS["sketches"], "r+", shape=(count,))
        for first in range(0, len(kept), TOGETHER):  # those that are kept move to the front
            rows = kept[first : first + TOGETHER]
            every[first : first + len(rows)] = every[rows]
        del every
    return group(np.memmap(sketches, ROWS["sketches"], "r", shape=(len(kept),))["sketch"])
