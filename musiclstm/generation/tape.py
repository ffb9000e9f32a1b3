"""The tokens of several sequences of different lengths, which grow, are cut back and branched."""

from __future__ import annotations

import numpy as np

from musiclstm.tokenizers.grammar import ONE


class Tape:
    """What was drawn in each of B rows, without what they begin with."""

    def __init__(self, batch: int) -> None:
        self._tokens = np.zeros((batch, 256), np.int32)
        self.lengths = np.zeros(batch, np.int64)
        self._room = self._tokens.shape[1]  # tokens that each row has room for at least

    def append(self, rows: np.ndarray, tokens: np.ndarray) -> None:
        """One more token for each of `rows`, each named once."""
        if self._room == 0:
            if self.lengths.max() == self._tokens.shape[1]:
                self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)], axis=1)
            self._room = int(self._tokens.shape[1] - self.lengths.max())
        self._room -= 1
        place = self.lengths.take(rows)
        self._tokens.put(rows * self._tokens.shape[1] + place, tokens)
        self.lengths.put(rows, place + ONE)

    def cut(self, row: int, length: int) -> None:
        """Forgets the tokens of a row from the `length`-th on."""
        self.lengths[row] = length

    def select(self, rows: np.ndarray, sources: np.ndarray) -> None:
        """Each of `rows` becomes what the row of `sources` beside it is now."""
        self._tokens[rows], self.lengths[rows] = self._tokens[sources], self.lengths[sources]

    def tokens(self, row: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The tokens of a row from `start` to `stop` (exclusive): int32. It may change with the next `append`."""
        stop = int(self.lengths[row]) if stop is None else stop
        return self._tokens[row, start:stop]
