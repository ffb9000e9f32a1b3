"""Which token may follow in a performance."""

from __future__ import annotations

from typing import NamedTuple

import torch

from musiclstm.tokenizers.grammar import Grammar
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD, Vocabulary


class PerformanceState(NamedTuple):
    sounding: torch.Tensor  # (B, 128) bool
    velocity: torch.Tensor  # the Velocity in force, BOS before the first, (B,)
    struck: torch.Tensor  # the pitch last begun at the present time, -1 for none, (B,)
    last: torch.Tensor  # the last token, (B,)


class PerformanceGrammar(Grammar[PerformanceState]):
    """A note begins only where its pitch is silent and ends only where it sounds; at one time ends stand before
    beginnings, each in ascending pitch; a Velocity differs from that in force and a note follows it; after a
    TimeShift shorter than the longest no other; the piece ends with the end of its last note."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.size = len(vocabulary)
        self.on, self.off, self.shift, self.velocity = (
            vocabulary.range(kind) for kind in ("NoteOn", "NoteOff", "TimeShift", "Velocity")
        )

    def start(self, batch: int, device: torch.device | str = "cpu") -> PerformanceState:
        sounding = torch.zeros(batch, len(self.on), dtype=torch.bool, device=device)
        last = torch.full((batch,), BOS, dtype=torch.int64, device=device)
        return PerformanceState(sounding, last, torch.full_like(last, -1), last)

    def allowed(self, state: PerformanceState) -> torch.Tensor:
        sounding, last = state.sounding, state.last
        mask = torch.zeros(len(last), self.size, dtype=torch.bool, device=last.device)
        pitch = torch.arange(len(self.on), device=last.device)
        ended = (last == EOS) | (last == PAD)
        spoken = _among(self.velocity, last)
        after_off, after_shift = _among(self.off, last), _among(self.shift, last)
        free = ~sounding & (pitch > state.struck[:, None]) & ~ended[:, None]
        ending = torch.where(after_off, last - self.off.start, torch.where(after_shift, -1, len(self.on)))
        mask[:, self.on.start : self.on.stop] = free & (state.velocity != BOS)[:, None]
        mask[:, self.off.start : self.off.stop] = sounding & (pitch > ending[:, None])
        waits = ~ended & ~spoken & (~after_shift | (last == self.shift.stop - 1))
        mask[:, self.shift.start : self.shift.stop] = waits[:, None]
        levels = torch.arange(self.velocity.start, self.velocity.stop, device=last.device)
        mask[:, self.velocity.start : self.velocity.stop] = (free.any(1) & ~spoken)[:, None] & (
            levels != state.velocity[:, None]
        )
        mask[:, EOS] = after_off & ~sounding.any(1)
        mask[:, PAD] = ended
        return mask

    def advance(self, state: PerformanceState, tokens: torch.Tensor) -> PerformanceState:
        begins, ends = _among(self.on, tokens), _among(self.off, tokens)
        pitch = torch.where(begins, tokens - self.on.start, torch.where(ends, tokens - self.off.start, 0))[:, None]
        sounds = begins[:, None] | (state.sounding.gather(1, pitch) & ~ends[:, None])
        struck = torch.where(begins, tokens - self.on.start, torch.where(_among(self.shift, tokens), -1, state.struck))
        velocity = torch.where(_among(self.velocity, tokens), tokens, state.velocity)
        return PerformanceState(state.sounding.scatter(1, pitch, sounds), velocity, struck, tokens)

    def hold_back(self, state: PerformanceState, step: int) -> PerformanceState:
        """The prompt's own time shifts end at `step`; what follows may go on waiting, however short the last was."""
        last = torch.where(_among(self.shift, state.last), self.shift.stop - 1, state.last)
        return state._replace(last=last)


def _among(span: range, tokens: torch.Tensor) -> torch.Tensor:
    return (tokens >= span.start) & (tokens < span.stop)
