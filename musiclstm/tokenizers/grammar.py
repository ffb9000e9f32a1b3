"""Automata that say which token may follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch

State = TypeVar("State")


class Grammar(ABC, Generic[State]):
    """An automaton over B sequences at once. States are never changed in place.

    Every sequence that it allows from BOS to EOS decodes, holds a note, leaves none open, and is what
    `encode` gives for its score. Rows that have ended allow PAD alone.
    """

    @abstractmethod
    def start(self, batch: int, device: torch.device | str = "cpu") -> State:
        """The state of `batch` sequences after BOS."""

    @abstractmethod
    def allowed(self, state: State) -> torch.Tensor:
        """Which tokens may come next: bool, (B, V); never a row without one."""

    @abstractmethod
    def advance(self, state: State, tokens: torch.Tensor) -> State:
        """The state after one more token a row: `tokens` is int64, (B,)."""

    def hold_back(self, state: State, step: int) -> State:
        """The state in which nothing new may begin before `step`: for going on after a prompt."""
        return state
