"""What is known of rows that are written side by side, and the bar lines that each can go back to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from musiclstm.generation.player import Moment, take

ROW = np.dtype(
    [
        ("live", bool),  # neither ended nor stopped
        ("ended", bool),  # by EOS, and not by a limit
        ("silent", bool),  # without a note of its own so far
        ("waited", np.int64),  # tokens since a limit was reached without a note
        ("begun_seconds", np.float64),  # from where the limits count
        ("begun_bars", np.int64),
        ("bar", np.int64),  # where it is
        ("step", np.int64),
        ("drawn_seconds", np.float64),  # how far it had come when the model took over from a random opening
        ("entropy", np.float64),  # of the distributions of the present bar, summed over its tokens
        ("masked", np.float64),  # the probability that the grammar forbade, summed over the tokens drawn
        ("tokens", np.int64),  # drawn by the model, with those that were written anew
    ]
)
STAYS = ("masked", "tokens", "waited")  # though a row goes back


class Mark(NamedTuple):
    """A bar line that a row can go back to. `number` is its place in what is kept of all rows that came to one then."""

    length: int  # of the tokens drawn
    bars: int  # how many were completed
    rows: np.ndarray  # of `ROW`
    block: Moment
    number: int

    @property
    def row(self) -> np.void:
        known: np.void = self.rows[self.number]
        return known

    @property
    def moment(self) -> Moment:
        return take(self.block, [self.number])


@dataclass
class Past:
    """The bar lines that a row can go back to, of which `first` is the earliest, and how often it had to."""

    first: Mark | None = None
    marks: list[Mark] = field(default_factory=list)
    furthest: int = -1
    tries: int = 0
    remarks: list[str] = field(default_factory=list)

    def add(self, mark: Mark, most: int) -> None:
        """Remembers one more, and forgets the earliest where there are more than `most`."""
        self.marks.append(mark)
        if len(self.marks) > most:
            self.first = self.marks.pop(0)

    def back(self, bars: int) -> Mark:
        """The mark `bars` bar lines back (1 is the last), or the first; those after it are forgotten."""
        del self.marks[max(len(self.marks) - bars + 1, 0) :]
        mark = self.marks[-1] if self.marks else self.first
        assert mark is not None
        return mark

    def try_again(self, step: int) -> int:
        """One more try to get beyond `step`: how many it is, counted from where the row was furthest."""
        if step > self.furthest:
            self.furthest, self.tries = step, 0
        self.tries += 1
        return self.tries

    def copy(self) -> Past:
        return Past(self.first, self.marks[:], self.furthest, self.tries, self.remarks[:])
