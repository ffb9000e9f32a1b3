"""Which token may follow in a sequence of frames."""

from __future__ import annotations

from typing import NamedTuple

import torch

from musiclstm.tokenizers.grammar import Grammar
from musiclstm.tokenizers.metre import BarState, Metre, MetreGrammar
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD, Vocabulary


class FramesState(NamedTuple):
    step: torch.Tensor  # frames closed so far, (B,)
    last: torch.Tensor  # the last token, (B,)
    before: torch.Tensor  # the token before it, (B,)
    bar: BarState


class FramesGrammar(Grammar[FramesState]):
    """Pitches ascend within a frame; a meter changes only at a bar line, and not back to itself; the piece ends
    only after a frame in which something sounds."""

    def __init__(self, vocabulary: Vocabulary, metre: Metre) -> None:
        self.size, self.metre = len(vocabulary), MetreGrammar(metre)
        self.signatures, self.pitches = vocabulary.range("TimeSignature"), vocabulary.range("Pitch")
        self.frame = vocabulary.first("Frame")

    def start(self, batch: int, device: torch.device | str = "cpu") -> FramesState:
        step = torch.zeros(batch, dtype=torch.int64, device=device)
        last = torch.full_like(step, BOS)
        return FramesState(step, last, last, self.metre.start(batch, device))

    def allowed(self, state: FramesState) -> torch.Tensor:
        step, last, bar = state.step, state.last, state.bar
        mask = torch.zeros(len(last), self.size, dtype=torch.bool, device=last.device)
        ended = (last == EOS) | (last == PAD)
        playing = (bar.meter >= 0) & ~ended
        closed = last == self.frame
        after_signature = (last >= self.signatures.start) & (last < self.signatures.stop)
        at_bar = closed & (self.metre.position(bar, step) == 0)
        self.metre.allow(mask, bar, (last == BOS) | at_bar, after_signature & (step == 0))
        pitches = torch.arange(self.pitches.start, self.pitches.stop, device=last.device)
        ascends = (pitches > last[:, None]) | closed[:, None]
        mask[:, self.pitches.start : self.pitches.stop] = playing[:, None] & ascends
        mask[:, self.frame] = playing
        mask[:, EOS] = closed & (state.before >= self.pitches.start) & (state.before < self.pitches.stop)
        mask[:, PAD] = ended
        return mask

    def advance(self, state: FramesState, tokens: torch.Tensor) -> FramesState:
        bar = self.metre.advance(state.bar, tokens, state.step)
        return FramesState(state.step + (tokens == self.frame), tokens, state.last, bar)
