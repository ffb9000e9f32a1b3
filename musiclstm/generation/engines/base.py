"""What a step engine is, and how many threads its steps are worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State, detach_state

CHUNK = 1024  # tokens of one sequence that the model reads at once


class Engine(Protocol):
    """A model that goes on by one token for each of B rows. No row's result depends on the rows beside it, but for how
    it is rounded: in int8 that neither.

    States are as `musiclstm.model.stack` has them, per layer (h,) or (h, c), each (B, H), torch float32; those of
    attention as `musiclstm.model.attention` has them. They are never changed in place, and `select_state` picks rows of
    them. Tokens and features are not checked: each must be one that the model was built for.
    """

    name: str
    rows: int
    """How many had better be written side by side, where so many are asked for."""
    in_turns: bool
    """Whether threads that write had better take turns (`Turn`): arrays of a few rows are no work to share."""

    def initial_state(self, batch: int) -> State:
        """The state before the first token, for `batch` rows."""

    def read(self, tokens: np.ndarray, features: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
        """One whole sequence: int64 (T,), its features (T, F) -> logits (V,) of what follows the last, the state (1).

        This is the model's own window, exact in every engine. T is at least 1.
        """

    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """One token a row: int64 (B,), features (B, F) -> logits, float32 (B, V), of what follows, the next state."""

    def threads(self, batch: int) -> AbstractContextManager[None]:
        """A block in which torch has as many threads as steps of `batch` rows gain by."""

    def writers(self, batch: int) -> int:
        """Into how many parts `batch` rows had better be divided, each written by a thread of its own."""


class ModelEngine(ABC):
    """What engines share: the model's initial state, reading by its window, threads."""

    name: str
    rows = 64
    in_turns = True
    small_step = 30_000_000  # multiplications, a few milliseconds of them

    def __init__(self, model: MusicLSTM) -> None:
        self.model = model.eval()
        self.device = model.embedding.weight.device
        self.size = model.num_parameters

    def initial_state(self, batch: int) -> State:
        return detach_state(self.model.initial_state(batch))

    @torch.no_grad()
    def read(self, tokens: np.ndarray, features: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
        if len(tokens) == 0:
            raise ValueError("there is nothing to read: give at least one token")
        for first in range(0, len(tokens), CHUNK):
            part = slice(first, first + CHUNK)
            logits, state = self.model(self._to_model(tokens[None, part]), self._to_model(features[None, part]), state)
        assert state is not None
        return logits[0, -1].float().cpu().numpy(), state

    @abstractmethod
    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """As `Engine` says."""

    @contextmanager
    def threads(self, batch: int) -> Iterator[None]:
        """One thread where a step is too small to gain by more.

        Waking others then takes as long as the work; where they are busy, with a training run say, ten times as long.
        """
        threads = torch.get_num_threads()
        try:
            if self.size * batch < self.small_step:
                torch.set_num_threads(1)
            yield
        finally:
            torch.set_num_threads(threads)

    def writers(self, batch: int) -> int:
        return 1

    def _to_model(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
