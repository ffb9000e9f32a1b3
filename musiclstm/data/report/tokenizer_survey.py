"""How much of a collection each tokenizer would keep, at which resolution, and which one suits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from musiclstm.data.report.tokenizer_counts import Count, count_frames, count_performance, count_remi, count_voices
from musiclstm.score import DRUMS, Score
from musiclstm.tokenizers.auto import PIECES, choose_tokenizer
from musiclstm.tokenizers.fitting import commonest_program

if TYPE_CHECKING:
    from musiclstm.data.store import NoteStore

COUNTED = 100  # pieces whose notes are counted, of those that the choice looks at
NOTES = 20_000  # counted in all; of long pieces the beginnings
GRIDS = (4, 12, 24)  # steps a quarter note
MOST_VOICES = 16
TYPICAL = 95  # percentile


@dataclass(frozen=True)
class Row:
    """What one tokenizer makes of the pieces counted.

    `pieces` is the share that it can say, and `notes` the share of all notes whose beginning and pitch it keeps, each
    on the nearest step. Of the notes of the pieces that it can say, 95 in 100 move by `moved` milliseconds or less,
    and each kept costs `tokens_per_note`; both are NaN where it can say none.
    """

    tokenizer: str
    steps_per_quarter: int | None  # None: steps of 10 ms
    pieces: float
    notes: float
    moved: float
    tokens_per_note: float
    chosen: bool


@dataclass(frozen=True)
class Survey:
    """Rows by tokenizer and grid, the pieces and notes counted, and why tokenizer=auto would choose as it does."""

    rows: tuple[Row, ...]
    pieces: int
    notes: int
    why: str

    @property
    def chosen(self) -> Row:
        """The row of the tokenizer that tokenizer=auto would choose."""
        return next(row for row in self.rows if row.chosen)


def sample(store: NoteStore) -> list[Score]:
    """Pieces of a store to survey, evenly spread: of those to train on, where there are any."""
    train = store.split("train")
    pieces = train if len(train) else np.arange(len(store))
    return [store[int(i)] for i in pieces[:: max(1, -(-len(pieces) // PIECES))]]


def survey(scores: Sequence[Score]) -> Survey:
    """What each tokenizer would keep of `scores`, measured on some of them. Raises UserError where none has notes."""
    scores = [_beginning(score, 2 * NOTES // COUNTED) for score in scores if len(score)]
    name, arguments, why = choose_tokenizer(scores)
    scores = scores[:: -(-len(scores) // COUNTED)]
    scores = [_beginning(score, NOTES // len(scores)) for score in scores]
    chosen = (name, arguments.get("steps_per_quarter"))
    tracks = [int(np.count_nonzero(np.bincount(score.notes["track"]))) for score in scores]
    num_voices = arguments.get("num_voices") or min(MOST_VOICES, max(tracks))
    drums = commonest_program(scores) == DRUMS
    kinds: dict[str, Callable[[Score, int], Count | None]] = {
        "voices": lambda score, steps: count_voices(score, steps, num_voices),
        "remi": count_remi,
        "frames": count_frames,
        "performance": lambda score, _: count_performance(score, drums),
    }
    grids = [(tokenizer, steps) for tokenizer in ("voices", "remi", "frames") for steps in GRIDS]
    rows = [
        _row(tokenizer, steps, [kinds[tokenizer](score, steps or 0) for score in scores], scores, chosen)
        for tokenizer, steps in sorted({*grids, ("performance", None), chosen}, key=lambda row: _place(kinds, row))
    ]
    return Survey(tuple(rows), len(scores), sum(map(len, scores)), why)


def _beginning(score: Score, notes: int) -> Score:
    if len(score) <= notes:
        return score
    score = score.replace(notes=score.notes[:notes])
    return score.replace(pedals=score.pedals[score.pedals["start"] < score.end])


def _place(kinds: dict[str, Callable[[Score, int], Count | None]], row: tuple[str, int | None]) -> tuple[int, int]:
    return list(kinds).index(row[0]), row[1] or 0


def _row(
    tokenizer: str,
    steps: int | None,
    counts: Sequence[Count | None],
    scores: Sequence[Score],
    chosen: tuple[str, int | None],
) -> Row:
    said = [count for count in counts if count is not None]
    notes = sum(count.notes for count in said)
    return Row(
        tokenizer,
        steps,
        pieces=len(said) / len(scores),
        notes=notes / sum(map(len, scores)),
        moved=float(np.percentile(np.concatenate([count.moved for count in said]), TYPICAL)) if said else np.nan,
        tokens_per_note=sum(count.tokens for count in said) / notes if said else np.nan,
        chosen=(tokenizer, steps) == chosen,
    )
