"""The loop that writes several sequences at once, a token each per step, until all have ended or been stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from musiclstm.generation.engine import StepEngine
from musiclstm.generation.limits import Limits
from musiclstm.generation.sampling import RowStreams, Sampling, apply_temperature, sample
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.vocabulary import BOS, EOS

MOST_SILENCE = 4096  # tokens that are waited for a first note once a limit is reached


@dataclass(frozen=True)
class Opening:
    """What the sequences begin with: ids (T,) that end at `step`, then `drawn` tokens at random.

    pace: how many of the tokenizer's seconds make one of those that the limit counts.
    """

    ids: np.ndarray
    step: int | None = None
    drawn: int = 0
    pace: float = 1.0


@dataclass(frozen=True)
class Written:
    """A sequence: its ids (int32, from BOS on), and how many of them came after the opening's."""

    ids: np.ndarray
    tokens: int
    ended: bool  # by EOS, and not by a limit
    drawn_seconds: float  # how far the music had come when the model took over from a random opening
    masked: float  # the probability that the grammar kept from being drawn, on average


class Writing:
    """`rows` sequences being written. `run` once."""

    def __init__(
        self,
        model: MusicLSTM,
        tokenizer: Tokenizer,
        sampling: Sampling,
        limits: Limits,
        opening: Opening | None = None,
        *,
        seed: int,
        rows: range,
    ) -> None:
        self._tokenizer, self._sampling, self._limits = tokenizer, sampling, limits
        self._opening = opening or Opening(np.array([BOS], np.int32))
        self._engine = StepEngine(model, tokenizer, len(rows))
        self._streams = RowStreams(seed, rows)
        self._counts = model.token_counts.cpu().numpy().astype(np.float64)
        self._drawn: list[np.ndarray] = []
        self._lengths = np.zeros(len(rows), np.int64)
        self._active = np.ones(len(rows), bool)
        self._ended = np.zeros(len(rows), bool)
        self._silent = np.ones(len(rows), bool)  # without a note of their own so far
        self._masked = np.zeros(len(rows))
        self._drawn_seconds = np.zeros(len(rows))
        self._waited = np.zeros(len(rows), np.int64)  # tokens since a limit was reached without a note

    def run(self, on_end: Callable[[int], None] | None = None) -> list[Written]:
        """Writes them all; `on_end` hears of each number of sequences that end or are stopped."""
        with self._engine.threads():
            return self._run(on_end)

    def _run(self, on_end: Callable[[int], None] | None) -> list[Written]:
        logits = self._engine.prime(self._opening.ids, self._opening.step)
        self._begun_seconds, self._begun_bars = self._engine.reading.seconds, self._engine.reading.bars
        running = len(self._active)
        while running:
            tokens = self._draw(logits)
            self._drawn.append(tokens.astype(np.int32))
            self._lengths += self._active
            self._ended |= self._active & (tokens == EOS)
            logits = self._engine.advance(tokens)
            if len(self._drawn) <= self._opening.drawn:
                self._drawn_seconds = np.where(self._active, self._engine.reading.seconds, self._drawn_seconds)
            self._active &= ~self._ended & ~self._stopped()
            left = int(self._active.sum())
            if on_end is not None and left < running:
                on_end(running - left)
            running = left
        return [self._written(row) for row in range(len(self._active))]

    def _draw(self, logits: np.ndarray) -> np.ndarray:
        allowed = self._engine.allowed()
        if len(self._drawn) < self._opening.drawn:
            allowed = _without_end(allowed, self._active)
            counts = self._counts * allowed
            seen = counts.any(axis=1, keepdims=True)
            return sample(np.where(seen, counts, allowed), self._streams.uniform())
        asked = allowed[:, EOS] & self._silent & self._active
        if asked.any():
            self._listen(asked)
            allowed = _without_end(allowed, asked & self._silent)
        likely = apply_temperature(logits, 1.0)
        self._masked += self._active * (likely * ~allowed).sum(axis=1) / likely.sum(axis=1)
        return sample(self._sampling.weights(logits, allowed), self._streams.uniform())

    def _listen(self, rows: np.ndarray) -> None:
        """Finds out which of `rows` ((B,) bool) have a note of their own by now."""
        for row in np.flatnonzero(rows):
            score = self._tokenizer.decode(self._ids(int(row)))
            self._silent[row] = not (score.notes["start"] >= (self._opening.step or 0)).any()

    def _stopped(self) -> np.ndarray:
        """Which rows have come to a limit: (B,) bool. One without any note goes on to its first."""
        limits, reading = self._limits, self._engine.reading
        music = np.zeros_like(self._active)
        if limits.max_seconds is not None:
            music |= reading.seconds - self._begun_seconds >= limits.max_seconds * self._opening.pace
        if limits.max_bars is not None:
            music |= reading.bars - self._begun_bars >= limits.max_bars
        enough = limits.max_tokens is not None and len(self._drawn) >= limits.max_tokens
        waits = self._active & self._silent & (music | enough)
        if self._opening.step is not None:
            waits &= ~music  # later than that no note would be kept
        if not waits.any():
            return music | enough
        self._listen(waits)
        # The limits in bars and seconds then count from the first note on: the silence before it will be cut.
        late = waits & ~self._silent & (self._waited > 0)
        self._begun_seconds = np.where(late, reading.seconds, self._begun_seconds)
        self._begun_bars = np.where(late, reading.bars, self._begun_bars)
        silent = waits & self._silent & (self._waited < MOST_SILENCE)
        self._waited += silent
        counted_anew = late & (not enough)
        return (music | enough) & ~silent & ~counted_anew

    def _ids(self, row: int) -> np.ndarray:
        drawn = [tokens[row] for tokens in self._drawn[: self._lengths[row]]]
        return np.concatenate([self._opening.ids, np.array(drawn, np.int32)])

    def _written(self, row: int) -> Written:
        length = int(self._lengths[row])
        by_model = max(length - self._opening.drawn, 1)
        return Written(
            self._ids(row),
            length,
            bool(self._ended[row]),
            float(self._drawn_seconds[row]),
            float(self._masked[row]) / by_model,
        )


def _without_end(allowed: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`allowed` (B, V) without EOS in some rows ((B,) bool), where anything else is left."""
    others = allowed.copy()
    others[rows, EOS] = False
    return np.where(others.any(axis=1, keepdims=True), others, allowed)
