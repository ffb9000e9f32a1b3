"""Which token may follow in a sequence of voices."""

from __future__ import annotations

from typing import NamedTuple

import torch

from musiclstm.tokenizers.grammar import Grammar
from musiclstm.tokenizers.metre import BarState, Metre, MetreGrammar
from musiclstm.tokenizers.vocabulary import EOS, PAD, Vocabulary


class VoicesState(NamedTuple):
    read: torch.Tensor  # voice tokens so far, (B,)
    sounding: torch.Tensor  # (B, V) bool
    last: torch.Tensor  # the last token, (B,)
    bar: BarState


class VoicesGrammar(Grammar[VoicesState]):
    """Hold follows only a sounding note; a meter changes only at a bar line, and not back to itself; the
    piece ends only after a step in which something sounds."""

    def __init__(self, vocabulary: Vocabulary, metre: Metre, num_voices: int) -> None:
        self.size, self.num_voices, self.metre = len(vocabulary), num_voices, MetreGrammar(metre)
        self.signatures, self.pickups = vocabulary.range("TimeSignature"), vocabulary.range("Pickup")
        self.rest, self.hold, self.pitch = (vocabulary.first(kind) for kind in ("Rest", "Hold", "Pitch"))

    def start(self, batch: int, device: torch.device | str = "cpu") -> VoicesState:
        count = torch.zeros(batch, dtype=torch.int64, device=device)
        sounding = torch.zeros(batch, self.num_voices, dtype=torch.bool, device=device)
        return VoicesState(count, sounding, count - 1, self.metre.start(batch, device))

    def allowed(self, state: VoicesState) -> torch.Tensor:
        count, last, bar = state.read, state.last, state.bar
        voice, step = count % self.num_voices, count // self.num_voices
        mask = torch.zeros(len(count), self.size, dtype=torch.bool, device=count.device)
        ended, begun = (last == EOS) | (last == PAD), bar.meter >= 0
        playing = begun & ~ended
        after_signature = (last >= self.signatures.start) & (last < self.signatures.stop)
        boundary = playing & (voice == 0) & (step > 0) & ~after_signature
        at_bar = boundary & (self.metre.position(bar, step) == 0)
        self.metre.allow(mask, bar, ~begun | at_bar, after_signature & (count == 0))
        mask[:, self.rest] = playing
        mask[:, self.hold] = playing & state.sounding.gather(1, voice[:, None])[:, 0]
        mask[:, self.pitch :] = playing[:, None]
        mask[:, EOS] = boundary & state.sounding.any(1)
        mask[:, PAD] = ended
        return mask

    def advance(self, state: VoicesState, tokens: torch.Tensor) -> VoicesState:
        voice = state.read % self.num_voices
        is_voice = tokens >= self.rest
        sounds = torch.where(is_voice, tokens != self.rest, state.sounding.gather(1, voice[:, None])[:, 0])
        sounding = state.sounding.scatter(1, voice[:, None], sounds[:, None])
        bar = self.metre.advance(state.bar, tokens, state.read // self.num_voices)
        return VoicesState(state.read + is_voice, sounding, tokens, bar)
