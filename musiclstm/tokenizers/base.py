"""What every tokenizer is: a round trip between scores and sequences of ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import Score
from musiclstm.tokenizers.vocabulary import BOS, EOS, Vocabulary

if TYPE_CHECKING:
    from musiclstm.tokenizers.grammar import Grammar


@dataclass
class Reading:
    """Where a tokenizer's `context` stands after some tokens, for each of B sequences.

    `seconds` and `bars` (each (B,)) say how far the music has come: `bars` counts the full bars completed, so
    a pickup is bar -1. Subclasses keep what their features need.
    """

    seconds: np.ndarray
    bars: np.ndarray


class Tokenizer(ABC):
    """Scores to ids and back. `decode(encode(x)) == quantise(x)`, and `encode(decode(t)) == t`.

    The second holds for every sequence that `grammar` allows. A sequence is `BOS ... EOS`.
    """

    name: ClassVar[str]
    vocabulary: Vocabulary
    context_sizes: dict[str, int]
    """The features that `context` gives, in order, each with its number of values."""
    pitch_types: ClassVar[tuple[str, ...]] = ()
    """The token types with a token for each of the 128 pitches, in their order."""
    zeros: ClassVar[Mapping[str, int]] = {}
    """The features that may be there and name a pitch, each with the value that is pitch 0. The pitch that the next is
    likeliest to move on from is the first."""
    unit: ClassVar[tuple[str, tuple[str, ...]] | None] = None
    """What published figures for this kind of encoding count, and the token types that are one each."""

    @classmethod
    def fit(cls, scores: Sequence[Score], **arguments: Any) -> Tokenizer:
        """A tokenizer in which arguments left out or None follow from the music it is for."""
        return cls(**{key: value for key, value in arguments.items() if value is not None})

    @property
    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, fit for JSON."""

    @abstractmethod
    def admits(self, score: Score) -> str | None:
        """Why this tokenizer cannot say `score`, in a few words; None where it can."""

    @abstractmethod
    def quantise(self, score: Score) -> Score:
        """`score` as this tokenizer keeps it. Doing it twice changes nothing more."""

    @abstractmethod
    def events(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        """The ids (int32, (T,), with BOS and EOS) of a score, and the step (int64, (T,)) at which each stands."""

    @abstractmethod
    def decode(self, ids: np.ndarray) -> Score:
        """The score of a sequence of ids, which may be cut off anywhere: what is unfinished is closed."""

    @abstractmethod
    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, Reading]:
        """Features of the token that comes after each of `ids`, from those up to it alone.

        `ids` is (B, T) and begins with BOS unless `reading` says what was read before. Returns int64
        (B, T, F), each feature below its size in `context_sizes`, and the reading to go on from: in pieces of
        any length the features are the same as in one.
        """

    @abstractmethod
    def grammar(self) -> Grammar:
        """The automaton of the sequences that `encode` can give."""

    @property
    @abstractmethod
    def seconds_per_step(self) -> float:
        """The length of a step in seconds, under this tokenizer's own tempo."""

    def encode(self, score: Score) -> np.ndarray:
        """The ids of a score, with BOS and EOS: int32, (T,)."""
        return self.events(score)[0]

    def encode_prompt(self, score: Score, step: int) -> np.ndarray:
        """The ids of what happens in `score` before `step`, left open for more: int32, (T,)."""
        ids, steps = self.events(score)
        return ids[((steps < step) | (ids == BOS)) & (ids != EOS)]

    @abstractmethod
    def to_step(self, score: Score, tick: int) -> int:
        """The step of this tokenizer nearest to a tick of `score`."""

    def references(self) -> dict[str, Any]:
        """Arguments with which a `MusicLSTM` goes by the intervals from the pitches that its context names."""
        names = list(self.context_sizes)
        known = [(names.index(name), zero) for name, zero in self.zeros.items() if name in names]
        first = [self.vocabulary.first(kind) for kind in self.pitch_types]
        return {"pitches": 128, "pitch_tokens": first, "references": known}

    def to_dict(self) -> dict[str, Any]:
        """Name and arguments, fit for JSON; `from_dict` of the package turns it back."""
        return {"name": self.name, "arguments": self.arguments}

    def describe(self) -> str:
        """The tokenizer in a line."""
        return f"{self.name}, {len(self.vocabulary)} tokens"


class Features:
    """Which of a tokenizer's context features a model is told: all, or some, to see what each is worth.

    sizes: of all, each with its number of values. names: those that are told; None is all. Raises UserError for others.
    """

    def __init__(self, sizes: dict[str, int], names: Sequence[str] | None) -> None:
        unknown = [name for name in names or () if name not in sizes]
        if unknown:
            raise UserError(f"tokenizer.features has {unknown[0]}: give some of {', '.join(sizes)}, or null for all")
        self.names = None if names is None else [name for name in sizes if name in names]
        self.sizes = {name: size for name, size in sizes.items() if names is None or name in names}
        self._columns = None if names is None else [i for i, name in enumerate(sizes) if name in names]

    def told(self, features: np.ndarray) -> np.ndarray:
        """Of features (..., F) those that are told."""
        return features if self._columns is None else features[..., self._columns]


def delayed(values: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """`values` (B, T) one place later, after `initial` (B,)."""
    return np.concatenate([initial[:, None], values[:, :-1]], axis=1)


def carry_forward(values: np.ndarray, valid: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """At each place of (B, T) the latest of `values` where `valid`; before the first, `initial` ((B,))."""
    index = np.where(valid, np.arange(valid.shape[1]), -1)
    np.maximum.accumulate(index, axis=1, out=index)
    filled = np.take_along_axis(np.broadcast_to(values, valid.shape), np.maximum(index, 0), axis=1)
    return np.where(index < 0, initial[:, None], filled)
