"""Sequences under way: what the model, the grammar and the context know of each after the tokens so far.

A step costs the same time and memory however long the sequences are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State, select_state
from musiclstm.tokenizers.base import Reading, Tokenizer

CHUNK = 1024  # tokens of a prompt that the model reads at once
SMALL_STEP = 30_000_000  # multiplications, a few milliseconds of them


class StepEngine:
    """`batch` sequences of one model and tokenizer, advanced together by a token each.

    The model runs where its weights are; the grammar, the logits and the tokens are on the CPU, where tokens are drawn.
    """

    reading: Reading
    """How far the music of each sequence has come."""

    def __init__(self, model: MusicLSTM, tokenizer: Tokenizer, batch: int) -> None:
        self._model, self._tokenizer, self._batch = model, tokenizer, batch
        self._device = model.embedding.weight.device
        self._grammar = tokenizer.grammar()
        self._grammar_state: Any = self._grammar.start(batch)
        self._state: State = model.initial_state(batch)
        counts = model.token_counts.cpu().numpy()
        self._met = (counts > 0) | (counts.sum() == 0)  # (V,); a model that was not trained may say anything

    @torch.inference_mode()
    def prime(self, ids: np.ndarray, hold_back: int | None = None) -> np.ndarray:
        """Reads what all sequences begin with: ids (T,) from BOS on. Returns the logits (B, V) of what follows.

        hold_back: the step of the tokenizer before which nothing new may begin.
        """
        state = self._model.initial_state(1)
        reading: Reading | None = None
        for first in range(0, len(ids), CHUNK):
            part = np.asarray(ids[first : first + CHUNK], np.int64)
            features, reading = self._tokenizer.context(np.repeat(part[None], self._batch, 0), reading)
            logits, state = self._model(self._to_model(part[None]), self._to_model(features[:1]), state)
        for token in ids[1:].tolist():  # the grammar begins after BOS
            self._grammar_state = self._grammar.advance(self._grammar_state, torch.full((self._batch,), token))
        if hold_back is not None:
            self._grammar_state = self._grammar.hold_back(self._grammar_state, hold_back)
        assert reading is not None, "a sequence begins with BOS"
        self.reading = reading
        self._state = select_state(state, [0] * self._batch)
        return np.repeat(logits[:, -1].float().cpu().numpy(), self._batch, axis=0)

    @torch.inference_mode()
    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """One more token a sequence (int64, (B,)). Returns the logits (B, V) of what follows."""
        self._grammar_state = self._grammar.advance(self._grammar_state, torch.from_numpy(tokens))
        features, self.reading = self._tokenizer.context(tokens[:, None], self.reading)
        logits, self._state = self._model.step(self._to_model(tokens), self._to_model(features[:, 0]), self._state)
        return logits.float().cpu().numpy()

    @torch.inference_mode()
    def allowed(self) -> np.ndarray:
        """The tokens that may follow: bool, (B, V). The grammar lets them, and training has met them.

        A model that trained for a minute does not know yet which instruments and meters its collection never has.
        Where the grammar leaves only what training never met, it may follow.
        """
        allowed = self._grammar.allowed(self._grammar_state).numpy()
        met = allowed & self._met
        return np.where(met.any(axis=1, keepdims=True), met, allowed)

    @contextmanager
    def threads(self) -> Iterator[None]:
        """A block in which torch uses one thread if a step is too small to gain by more.

        Waking others then takes as long as the work; where they are busy, with a training run say, ten times as long.
        """
        threads = torch.get_num_threads()
        try:
            if self._model.num_parameters * self._batch < SMALL_STEP:
                torch.set_num_threads(1)
            yield
        finally:
            torch.set_num_threads(threads)

    def _to_model(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
