"""Sequences under way: what the model, the grammar and the context know of each after the tokens so far.

A step costs the same time and memory however long the sequences are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State, select_state
from musiclstm.tokenizers.base import Reading, Tokenizer

CHUNK = 1024  # tokens of a prompt that the model reads at once


class StepEngine:
    """`batch` sequences of one model and tokenizer, advanced together by a token each.

    The model runs where its weights are; logits, masks and tokens are on the CPU, where they are drawn.
    """

    reading: Reading
    """How far the music of each sequence has come."""

    def __init__(self, model: MusicLSTM, tokenizer: Tokenizer, batch: int) -> None:
        self._model, self._tokenizer, self._batch = model, tokenizer, batch
        self._device = model.embedding.weight.device
        self._grammar = tokenizer.grammar()
        self._grammar_state: Any = self._grammar.start(batch)
        self._state: State = model.initial_state(batch)

    @torch.inference_mode()
    def prime(self, ids: np.ndarray, hold_back: int | None = None) -> Tensor:
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
        return logits[:, -1].float().cpu().expand(self._batch, -1)

    @torch.inference_mode()
    def advance(self, tokens: Tensor) -> Tensor:
        """One more token a sequence (int64, (B,)). Returns the logits (B, V) of what follows."""
        self._grammar_state = self._grammar.advance(self._grammar_state, tokens)
        features, self.reading = self._tokenizer.context(tokens.numpy()[:, None], self.reading)
        context = self._to_model(features[:, 0])
        logits, self._state = self._model.step(tokens.to(self._device), context, self._state)
        return logits.float().cpu()

    def allowed(self) -> Tensor:
        """The tokens that the grammar lets follow: bool, (B, V)."""
        return self._grammar.allowed(self._grammar_state)

    def _to_model(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
