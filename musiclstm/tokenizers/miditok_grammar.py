"""Which token may follow in a sequence of MidiTok's."""

from __future__ import annotations

from typing import NamedTuple

import torch

from musiclstm.tokenizers.grammar import Grammar
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD


class FreeState(NamedTuple):
    last: torch.Tensor  # the last token, (B,)


class FreeGrammar(Grammar[FreeState]):
    """Any token may follow any but BOS; the end comes after something."""

    def __init__(self, size: int) -> None:
        self.size = size

    def start(self, batch: int, device: torch.device | str = "cpu") -> FreeState:
        return FreeState(torch.full((batch,), BOS, dtype=torch.int64, device=device))

    def allowed(self, state: FreeState) -> torch.Tensor:
        ended = (state.last == EOS) | (state.last == PAD)
        mask = (~ended)[:, None].repeat(1, self.size)
        mask[:, PAD], mask[:, BOS], mask[:, EOS] = ended, False, ~ended & (state.last != BOS)
        return mask

    def advance(self, state: FreeState, tokens: torch.Tensor) -> FreeState:
        return FreeState(tokens)
