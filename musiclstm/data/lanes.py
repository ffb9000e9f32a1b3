"""Batches in which every row, a lane, reads whole pieces one window after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from musiclstm.errors import UserError
from musiclstm.tokenizers.vocabulary import PAD

SEGMENT = 32
"""A piece begins at a multiple of so many tokens inside a window (or of what divides the window)."""

IGNORE = PAD
"""The target where there is nothing to predict: the rest of a segment after a piece's end."""


class Encoded(NamedTuple):
    """A piece as the model reads it: ids (L,), and features (L, F) of what follows each."""

    ids: np.ndarray
    context: np.ndarray


class Window(NamedTuple):
    """A batch. `reset` (B, S): lanes that begin a piece before the s-th of S equal segments of the window."""

    tokens: torch.Tensor  # (B, T) int64
    targets: torch.Tensor  # (B, T) int64, IGNORE where nothing follows
    context: torch.Tensor  # (B, T, F) int64
    reset: torch.Tensor  # (B, S) bool
    scored: int  # targets that are not IGNORE
    position: dict[str, Any]  # where the lanes stand after this window: `Lanes.seek` takes it


Encoder = Callable[[int, np.random.Generator], "Encoded | None"]


class Lanes:
    """An endless stream of windows over pieces, in an order that follows from `seed` alone.

    encode: gives a piece, augmented with the random generator passed, anew each time it is read; or None for one
        that is passed over.
    pieces: the indices that `encode` knows. Each epoch is a permutation of them.
    lanes, window: B and T. Each lane takes the next piece as soon as it has read its last.
    rank, world: of several processes each reads every `world`-th piece of the common order.
    """

    def __init__(
        self,
        encode: Encoder,
        pieces: Sequence[int] | np.ndarray,
        *,
        lanes: int,
        window: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if lanes < 1:
            raise UserError(f"data.lanes is {lanes}: give a whole number of at least 1")
        if window < 1:
            raise UserError(f"data.window is {window}: give a whole number of tokens of at least 1")
        if not len(pieces):
            raise UserError("no piece is left to train on: give more music, or another split")
        self.encode, self.pieces = encode, np.asarray(pieces)
        self.lanes, self.window, self.segment = lanes, window, math.gcd(window, SEGMENT)
        self.seed, self.rank, self.world = seed, rank, world
        self._epoch, self._order = -1, self.pieces
        self.seek({"taken": 0, "lanes": [None] * lanes})

    def seek(self, position: dict[str, Any]) -> None:
        """Goes on from a window's `position`."""
        if len(position["lanes"]) != self.lanes:
            raise UserError(
                f"the checkpoint was written with data.lanes={len(position['lanes'])}: give that, not {self.lanes}"
            )
        self._taken = int(position["taken"])
        self._at: list[tuple[int, int] | None] = [tuple(at) if at else None for at in position["lanes"]]
        self._reading: list[Encoded | None] = [self._piece(at[0]) if at else None for at in self._at]

    def position(self) -> dict[str, Any]:
        """Where the stream stands, in plain numbers."""
        return {"taken": self._taken, "lanes": [list(at) if at else None for at in self._at]}

    def __iter__(self) -> Iterator[Window]:
        while True:
            yield self._next()

    def _next(self) -> Window:
        segments = self.window // self.segment
        reset = np.zeros((self.lanes, segments), bool)
        tokens = np.full((self.lanes, self.window), PAD, np.int64)
        targets = np.full((self.lanes, self.window), IGNORE, np.int64)
        context: np.ndarray | None = None
        for lane in range(self.lanes):
            place = 0
            while place < self.window:
                at, piece = self._at[lane], self._reading[lane]
                if at is None or piece is None:
                    at, piece = self._next_piece()
                    reset[lane, place // self.segment] = True
                if context is None:
                    context = np.zeros((self.lanes, self.window, piece.context.shape[1]), np.int64)
                number, offset = at
                take = min(self.window - place, len(piece.ids) - 1 - offset)
                tokens[lane, place : place + take] = piece.ids[offset : offset + take]
                targets[lane, place : place + take] = piece.ids[offset + 1 : offset + 1 + take]
                context[lane, place : place + take] = piece.context[offset : offset + take]
                done = offset + take >= len(piece.ids) - 1
                self._at[lane] = None if done else (number, offset + take)
                self._reading[lane] = None if done else piece
                place += -(-take // self.segment) * self.segment if done else take
        assert context is not None
        return _window(tokens, targets, context, reset, self.position())

    def _next_piece(self) -> tuple[tuple[int, int], Encoded]:
        while True:
            number = self._taken * self.world + self.rank
            self._taken += 1
            if piece := self._piece(number):
                return (number, 0), piece

    def _piece(self, number: int) -> Encoded | None:
        """The `number`-th piece of the common order, augmented as it is every time that number comes up."""
        epoch, place = divmod(number, len(self.pieces))
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.seed, 0, epoch]).permutation(self.pieces)
            self._epoch = epoch
        return self.encode(int(self._order[place]), np.random.default_rng([self.seed, 1, number]))


class WholePieces:
    """Every piece once, from its first token to its last: for validation. Yields windows, then is done.

    Pieces of like length stand side by side. Each batch of them begins with a window whose `reset` is set.
    """

    def __init__(self, pieces: Sequence[Encoded], *, lanes: int, window: int) -> None:
        self.pieces = sorted(pieces, key=lambda piece: -len(piece.ids))
        self.lanes, self.window = lanes, window
        groups = [self.pieces[i : i + lanes] for i in range(0, len(self.pieces), lanes)]
        self.groups = [(group, -(-(len(group[0].ids) - 1) // window)) for group in groups]

    def __len__(self) -> int:
        return sum(windows for _, windows in self.groups)

    def __iter__(self) -> Iterator[Window]:
        for group, windows in self.groups:
            for index in range(windows):
                yield self._window(group, index)

    def _window(self, group: list[Encoded], index: int) -> Window:
        first = index * self.window
        length = min(self.window, len(group[0].ids) - 1 - first)
        tokens = np.full((len(group), length), PAD, np.int64)
        targets = np.full((len(group), length), IGNORE, np.int64)
        context = np.zeros((len(group), length, group[0].context.shape[1]), np.int64)
        for row, piece in enumerate(group):
            take = max(0, min(length, len(piece.ids) - 1 - first))
            tokens[row, :take] = piece.ids[first : first + take]
            targets[row, :take] = piece.ids[first + 1 : first + 1 + take]
            context[row, :take] = piece.context[first : first + take]
        reset = np.full((len(group), 1), index == 0)
        return _window(tokens, targets, context, reset, {})


def _window(
    tokens: np.ndarray, targets: np.ndarray, context: np.ndarray, reset: np.ndarray, position: dict[str, Any]
) -> Window:
    tensors = [torch.from_numpy(array) for array in (tokens, targets, context, reset)]
    return Window(tensors[0], tensors[1], tensors[2], tensors[3], int((targets != IGNORE).sum()), position)
