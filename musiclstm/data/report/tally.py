"""What the report counts: files by what came of them, music by what it is like, groups of near duplicates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from musiclstm.data.facts import unpack_programs
from musiclstm.data.store import SPLITS, NoteStore
from musiclstm.score import DRUMS

EXAMPLES = 3  # files named for each reason
MOST_REASONS = 200  # told apart; what comes after is counted as one
LARGEST = 5  # groups of near duplicates that are named
CHUNK = 1 << 14  # pieces looked at together

# What differs from file to file in reasons that are the same: numbers, and the names of other pieces.
_VARIES = re.compile(r"(?<=the same music as ).+|(?<=near duplicate of ).+?(?=, which)|0x[0-9a-f]+|\d[\d,.]*(?<=\d)")
_SINGULAR = re.compile(r"… (\w+?)s?\b(?: is\b| are\b)?")  # '1 byte is' and '2 bytes are' are the same reason
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` on one line, with a mark for each byte of a name that is no text."""
    return text if text.isprintable() else _UNPRINTABLE.sub("\ufffd", text)


@dataclass
class Reason:
    """A sentence, the same with '…' for what varies, how many files it is said of, and the first of them."""

    text: str
    form: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Reasons:
    """Sentences counted; those that differ in numbers or names alone are one, with '…' where they differ."""

    def __init__(self) -> None:
        self._reasons: dict[str, Reason] = {}

    def add(self, text: str, source: str) -> None:
        """Count a sentence said of the file `source`."""
        form = _VARIES.sub("…", text)
        key = _SINGULAR.sub(r"… \1", form)
        if key not in self._reasons and len(self._reasons) >= MOST_REASONS:
            key = form = text = "other reasons, which report.csv gives"
        reason = self._reasons.setdefault(key, Reason(text, form))
        if reason.text != text:
            reason.text = reason.form = max(reason.form, form, key=len)  # of singular and plural, the plural
        reason.count += 1
        if len(reason.examples) < EXAMPLES:
            reason.examples.append(printable(source))

    def __iter__(self) -> Iterator[Reason]:
        """The most frequent first."""
        return iter(sorted(self._reasons.values(), key=lambda reason: (-reason.count, reason.text)))

    def __len__(self) -> int:
        return len(self._reasons)


class Files:
    """What came of the files found: `statuses` and `kinds` (of drops) counted, and the reasons."""

    def __init__(self) -> None:
        self.found = 0
        self.statuses: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.drops: dict[str, Reasons] = {}
        self.repairs, self.remarks = Reasons(), Reasons()

    def add(self, entry: dict[str, Any]) -> None:
        """Count a file as `NoteStore.files` gives it."""
        self.found += 1
        self.statuses[entry["status"]] += 1
        source = entry["source"]
        if entry["status"] == "dropped":
            self.kinds[entry["kind"]] += 1
            self.drops.setdefault(entry["kind"], Reasons()).add(entry["reason"], source)
            return
        for sentence in entry["repairs"]:
            self.repairs.add(sentence, source)
        for sentence in entry["remarks"]:
            self.remarks.add(sentence, source)

    def by_kind(self) -> list[tuple[str, Reasons]]:
        """The kinds of drops and their reasons, the most frequent first."""
        return sorted(self.drops.items(), key=lambda item: (-self.kinds[item[0]], item[0]))


class Histogram:
    """Counts of values between `edges`; what lies outside counts in the first and the last."""

    def __init__(self, edges: np.ndarray) -> None:
        self.edges = edges
        self.counts = np.zeros(len(edges) - 1, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count (N,) values."""
        place = np.searchsorted(self.edges, values, "right") - 1
        self.counts += np.bincount(np.clip(place, 0, len(self.counts) - 1), minlength=len(self.counts))

    def span(self) -> range:
        """From the first bin that is not empty to the last."""
        filled = np.flatnonzero(self.counts)
        return range(int(filled[0]), int(filled[-1]) + 1) if len(filled) else range(0)


@dataclass(frozen=True)
class Share:
    """How much of the music is in a split."""

    split: str
    pieces: int
    notes: int
    seconds: float


class Music:
    """What the pieces of a store are like, as histograms over all of them."""

    def __init__(self, store: NoteStore) -> None:
        self.pieces = len(store)
        self.notes_per_piece = Histogram(10 ** (np.arange(57) / 8))
        self.durations = Histogram(10 ** (np.arange(-4, 41) / 8))  # seconds
        self.tempos = Histogram(np.arange(0, 310, 10))  # quarter notes a minute
        self.polyphony, self.tracks = Histogram(np.arange(42)), Histogram(np.arange(26))
        self.keys = np.zeros(256, np.int64)
        self.meters = np.zeros(1 << 16, np.int64)  # by numerator * 256 + denominator
        self.programs = np.zeros(DRUMS + 1, np.int64)  # pieces in which each occurs
        self.pitched = 0  # pieces that are not drums alone
        self.drums = 0.0  # notes
        self.tempo_changes = self.meter_changes = 0  # pieces with any
        totals = np.zeros((len(SPLITS), 3))
        for first in range(0, self.pieces, CHUNK):
            facts = store.facts[first : first + CHUNK]
            self._add(facts)
            split = store.pieces["split"][first : first + CHUNK]
            for column, weights in enumerate((None, facts["notes"], facts["seconds"])):
                totals[:, column] += np.bincount(split, weights, len(SPLITS))[: len(SPLITS)]
        self.splits = [Share(name, int(n), int(notes), seconds) for name, (n, notes, seconds) in zip(SPLITS, totals)]  # noqa: B905
        self.notes = sum(share.notes for share in self.splits)
        self.seconds = sum(share.seconds for share in self.splits)
        self.median_notes, self.median_seconds = _median(store.facts["notes"]), _median(store.facts["seconds"])

    def _add(self, facts: np.ndarray) -> None:
        self.notes_per_piece.add(facts["notes"])
        self.durations.add(facts["seconds"])
        self.tempos.add(facts["bpm"])
        pitched = facts["polyphony"] > 0
        self.pitched += int(pitched.sum())
        self.polyphony.add(facts["polyphony"][pitched])
        self.tracks.add(facts["tracks"])
        self.keys += np.bincount(facts["key"][pitched], minlength=256)
        self.meters += np.bincount(facts["numerator"].astype(np.int64) * 256 + facts["denominator"], minlength=1 << 16)
        self.programs += unpack_programs(facts["programs"]).sum(0)
        self.drums += float(facts["drums"] @ facts["notes"].astype(np.float64))
        self.tempo_changes += int((facts["tempos"] > 1).sum())
        self.meter_changes += int((facts["meters"] > 1).sum())


def _median(values: np.ndarray) -> float:
    """The median, or 0 of nothing. `np.median` imports NumPy's masked arrays, which takes longer than all else here."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1].mean()) if len(ordered) else 0.0


@dataclass(frozen=True)
class Group:
    """A group of `size` pieces: names and splits of some, of every split that it stands in."""

    size: int
    names: list[tuple[str, str]]


class Groups:
    """Groups of pieces that belong together.

    size_of: by a group's first piece, how many pieces it has. sizes: of those with two or more. leaks: how many stand
    in several splits, with `leaking_pieces`. largest, leaking: some of them, by name.
    """

    def __init__(self, store: NoteStore) -> None:
        groups, splits = store.pieces["group"].copy(), store.pieces["split"].copy()
        self.size_of = np.bincount(groups, minlength=len(store))
        several = np.flatnonzero(self.size_of > 1)
        self.sizes = self.size_of[several]
        sides = np.zeros(len(store), np.uint8)  # a bit for each split that a group stands in
        for number in range(len(SPLITS)):
            sides[groups[splits == number]] |= 1 << number
        leaks = np.flatnonzero(sides & (sides - 1))
        self.leaks, self.leaking_pieces = len(leaks), int(self.size_of[leaks].sum())
        largest = several[np.argsort(-self.sizes, kind="stable")[:LARGEST]]

        def group(first: int) -> Group:
            members = np.flatnonzero(groups == first)
            _, of_each_split = np.unique(splits[members], return_index=True)
            shown = sorted({*of_each_split.tolist(), *range(min(EXAMPLES - len(of_each_split) + 1, len(members)))})
            names = [(printable(store.name(int(i))), SPLITS[splits[i]]) for i in members[shown]]
            return Group(len(members), names)

        self.largest = [group(int(first)) for first in largest]
        self.leaking = [group(int(first)) for first in leaks[:EXAMPLES]]
