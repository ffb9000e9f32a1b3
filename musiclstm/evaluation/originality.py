"""How much of a piece stands in the music that a model was trained on, whatever the key and the tempo.

A piece is compared as the sequence of its notes by time and, within a chord, by pitch; of each but the first it counts
how many semitones it is from the note before and how the step in time compares with the last one: together with it, or
so many times as long. A transposition and a change of tempo leave these as they are. How much matches by chance and by
custom is what pieces show that nobody copied: held-out ones, measured in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musiclstm.evaluation.suffixes import longest_matches
from musiclstm.score import DRUMS, Score

TOGETHER = 1 / 24  # of a quarter note: notes that begin nearer to each other are a chord, even if rolled
RATIOS = 8  # half octaves of the ratio of two steps in time, up and down; what is beyond counts as the last
FEWEST = 4  # notes: a window of fewer says nothing
WINDOWS = {1: "1 bar", 2: "2 bars", 4: "4 bars"}


@dataclass(frozen=True)
class Copy:
    """The longest run of notes that a piece has from another: `notes` of them, in bars counted from 1."""

    notes: int
    first_bar: int
    last_bar: int
    source: str
    source_bar: int
    start: int
    """The tick of the first of them in the piece; `end` is where the last ends."""
    end: int

    @property
    def bars(self) -> str:
        """Where in the piece it stands, in words."""
        one = self.first_bar == self.last_bar
        return f"bar {self.first_bar}" if one else f"bars {self.first_bar} to {self.last_bar}"


@dataclass(frozen=True)
class Originality:
    """Of one piece its longest copy, None without any, and how many of its windows of 1, 2 and 4 bars are copies.

    windows, copied: by the number of bars; windows of fewer than `FEWEST` notes are left out.
    """

    name: str
    notes: int
    copy: Copy | None
    windows: dict[int, int]
    copied: dict[int, int]


def originality(known: Sequence[tuple[str, Score]], pieces: Sequence[tuple[str, Score]]) -> list[Originality]:
    """Each of `pieces` against all of `known`."""
    sources = [_Lines.of(score) for _, score in known]
    lines = [_Lines.of(score) for _, score in pieces]
    found = longest_matches([source.symbols for source in sources], [line.symbols for line in lines])
    begins = np.cumsum([0, *(len(source.symbols) for source in sources)])
    result = []
    for (name, score), line, (lengths, where) in zip(pieces, lines, found, strict=True):
        copy = None
        if len(lengths) and lengths.max():
            place = int(lengths.argmax())
            number = int(np.searchsorted(begins, where[place], "right")) - 1
            source, there = sources[number], int(where[place] - begins[number])
            last = place + int(lengths[place])
            copy = Copy(
                notes=int(lengths[place]) + 1,
                first_bar=int(line.bars[place]),
                last_bar=int(line.bars[last]),
                source=known[number][0],
                source_bar=int(source.bars[there]),
                start=int(line.starts[place]),
                end=int(line.ends[place : last + 1].max()),
            )
        windows, copied = zip(*(line.windows(score, lengths, bars) for bars in WINDOWS), strict=True)
        result.append(
            Originality(
                name,
                len(line.starts),
                copy,
                dict(zip(WINDOWS, windows, strict=True)),
                dict(zip(WINDOWS, copied, strict=True)),
            )
        )
    return result


def shares(found: Sequence[Originality]) -> dict[int, float | None]:
    """Of all windows of 1, 2, 4 bars the share that are copies; None where no piece is so long."""
    totals = {bars: (sum(f.copied[bars] for f in found), sum(f.windows[bars] for f in found)) for bars in WINDOWS}
    return {bars: copied / windows if windows else None for bars, (copied, windows) in totals.items()}


def percent(share: float | None) -> str:
    """A share in words."""
    return "none so long" if share is None else f"{share:.1%}"


@dataclass(frozen=True)
class _Lines:
    """The N notes of a piece as they are compared; symbols (N - 1,), the others (N,)."""

    symbols: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    bars: np.ndarray

    @classmethod
    def of(cls, score: Score) -> _Lines:
        notes = score.notes
        drums = notes["program"] == DRUMS
        if not drums.all():  # else it is drums that are compared, and a drum is no transposed other one
            notes = notes[~drums]
        onset = _chords(notes["start"].astype(np.int64), score.ticks_per_quarter)
        order = np.lexsort((notes["pitch"], onset))
        notes, onset = notes[order], onset[order]
        pitch = notes["pitch"].astype(np.int64)
        interval = np.diff(pitch) + 127 if not drums.all() or not len(notes) else 255 + pitch[1:]
        bar_starts = score.bar_starts()
        first = 0 if score.first_bar > 0 else 1  # a pickup is bar 0
        bars = np.searchsorted(bar_starts, notes["start"], "right") - 1 + first
        return cls(interval * (2 * RATIOS + 2) + _ratios(np.diff(onset)), notes["start"], notes["end"], bars)

    def windows(self, score: Score, lengths: np.ndarray, bars: int) -> tuple[int, int]:
        """How many windows of so many whole bars have notes enough, and how many of these are copies."""
        lines = score.bar_starts(score.end + 1)
        begins = np.searchsorted(self.starts, lines)
        first, last = begins[:-bars] if bars < len(begins) else begins[:0], begins[bars:]
        enough = last - first >= FEWEST
        first, last = first[enough], last[enough]
        return len(first), int((lengths[first] >= last - first - 1).sum())


def _chords(starts: np.ndarray, ticks_per_quarter: int) -> np.ndarray:
    """`starts`, ascending, with those of a chord all at its first."""
    nearest = TOGETHER * ticks_per_quarter
    begins = np.append(True, np.diff(starts) > nearest)[: len(starts)]
    return starts[np.maximum.accumulate(np.where(begins, np.arange(len(starts)), 0))] if len(starts) else starts


def _ratios(steps: np.ndarray) -> np.ndarray:
    """Each step in time beside the last one that was none: 0 for none, else 1 to 2 * RATIOS + 1."""
    moves = np.flatnonzero(steps > 0)
    symbols = np.zeros(len(steps), np.int64)
    ratio = np.log2(steps[moves][1:] / steps[moves][:-1])
    symbols[moves[1:]] = np.clip(np.rint(2 * ratio), -RATIOS, RATIOS) + RATIOS + 1
    symbols[moves[:1]] = RATIOS + 1
    return symbols
