"""Voices: in each step each voice begins a note, holds one or rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.generation.controls.tables import Bars
from musiclstm.generation.controls.writers.base import GridWriter, hush

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.tokenizers.voices import Voices

FREE, NOT_HOLD = -1, -2  # of a voice at a step where notes have to occur


class VoicesWriter(GridWriter):
    """See `Writer`."""

    def __init__(self, tokenizer: Voices) -> None:
        super().__init__(tokenizer.vocabulary)
        self.num_voices = tokenizer.num_voices
        self.rest, self.hold = tokenizer.rest, tokenizer.hold
        self.pitch_tokens = tokenizer.vocabulary.range("Pitch")
        self.pitch = slice(self.pitch_tokens.start, self.pitch_tokens.stop)
        self.bars = Bars.on_grid(tokenizer.metre.meters, tokenizer.steps_per_quarter)
        self.towards[self.pitch] = 1
        self.voices = np.arange(self.num_voices)

    def bind(self, tables: Tables, fixed: Fixed | None) -> None:
        super().bind(tables, fixed)
        self.lowest_tonic = np.where(tables.pitches & tables.tonic, np.arange(128), MANY).min(1)
        if fixed is None:
            return
        # What each voice has to do at each step: a token, FREE or NOT_HOLD. Behind the notes, all are free.
        self.given = np.full((fixed.steps + 2, self.num_voices), FREE)
        if fixed.voice is not None:
            self.given[:, fixed.voice] = self.rest
        for start, end, pitch, voice in zip(
            fixed.start, fixed.end, fixed.pitch, fixed.notes["track"].astype(np.int64), strict=True
        ):
            self.given[start, voice] = pitch + self.pitch.start
            self.given[start + 1 : end, voice] = self.hold
            if self.given[end, voice] == FREE:
                self.given[end, voice] = NOT_HOLD
        # Fewer voices are left for what is free where one is given: the sum says so in good time.
        self.most = np.maximum(np.minimum(self.most, self.num_voices - len(np.unique(fixed.notes["track"]))), 0)

    def _at_once(self) -> np.ndarray:
        return np.full(len(self.tables.base), self.num_voices)

    def at_once(self, value: dict[str, Any], polyphony: int, pitches: np.ndarray, apart: bool = False) -> int:
        return min(polyphony, self.num_voices)

    def begins(self, g: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begins = tokens >= self.pitch.start
        return begins, np.where(begins, tokens - self.pitch.start, 0)

    def narrow(self, plan: Plan, g: Any, p: PlanState, allowed: np.ndarray, mask: np.ndarray) -> None:
        tables, voice = self.tables, g.voice
        sounds = g.pitch >= 0
        said = self.voices < voice[:, None]
        number = (sounds & said).sum(1)
        room = tables.polyphony.take(p.segment) - number  # for voices that sound in this step, this one among them
        left = self.num_voices - 1 - voice
        if self.fixed is not None:
            given = self.given[np.minimum(p.clock.step, self.fixed.steps + 1)]  # (B, V)
            to_come = given * ~said
            to_come[np.arange(len(voice)), voice] = 0
            room = room - (to_come >= self.hold).sum(1)
            left = (~said & (given < 0)).sum(1) - (given[np.arange(len(voice)), voice] < 0)
        full = room <= 0
        if np.count_nonzero(full):
            mask[:, self.hold] &= ~full
            hush(mask, self.pitch, full)
        if not plan.counting:
            return
        coming = None if self.fixed is None else (to_come >= self.pitch.start).sum(1)
        need, _, spare, may = plan.owed(p, self.most.take(p.segment), coming)
        hush(mask, self.pitch, ~may)
        if np.count_nonzero(need > 0):
            # Those that may still begin in this step, if this voice does not.
            mask[:, self.rest] &= need <= np.minimum(left, room)
            mask[:, self.hold] &= need <= np.minimum(left, room - 1)
        if plan.longest_repeat:
            self._differ(plan, p, left, mask)
        if np.count_nonzero(p.last):
            self._end_sounding(g, p, spare, sounds, number, said, mask)
            if "ending" in tables.asked:
                self._final(g, p, sounds & said, room, left, mask)
        if self.fixed is not None:
            self._give(given[np.arange(len(voice)), voice], allowed, mask, g)
        self.end(plan, g, p, mask)

    def _differ(self, plan: Plan, p: PlanState, left: np.ndarray, mask: np.ndarray) -> None:
        """The last note that a bar may have makes it differ from those before."""
        last_voice = left == 0
        closes = last_voice & (p.clock.position == p.stop - 1)
        if np.count_nonzero(closes):
            closes &= plan.repeats(p, p.mark)
            mask[:, self.rest] &= ~closes
            mask[:, self.hold] &= ~closes
        chance = last_voice & (p.later == 0) & p.may
        if np.count_nonzero(chance):
            same = plan.repeats(p, p.mark[:, None] + plan.marks(p.clock.position))
            mask[:, self.pitch] &= ~(same & chance[:, None])

    def _end_sounding(
        self, g: Any, p: PlanState, spare: np.ndarray, sounds: np.ndarray, number: np.ndarray, said: np.ndarray,
        mask: np.ndarray,
    ) -> None:  # fmt: skip
        """Where no note may begin later something has to sound on, for the last step is not silent."""
        begin_later = (p.later > 0) & (spare > 0)
        others = (sounds & ~said & (self.voices != g.voice[:, None])).any(1)
        quiet = p.last & ~p.over & ~begin_later & (number == 0) & ~others
        if np.count_nonzero(quiet):
            quiet &= mask[:, self.hold : self.pitch.stop].any(1)
            mask[:, self.rest] &= ~quiet

    def _final(
        self, g: Any, p: PlanState, heard: np.ndarray, room: np.ndarray, left: np.ndarray, mask: np.ndarray
    ) -> None:
        """The last sonority: of the triad, the tonic lowest, and then held to the end."""
        tables, position = self.tables, p.clock.position
        own = g.pitch[np.arange(len(position)), g.voice]
        after = p.last & (position > p.zone) & ~p.over
        if np.count_nonzero(after):
            hush(mask, self.pitch, after)
            mask[:, self.rest] &= ~after | (own < 0)
        now = position == p.zone
        if not np.count_nonzero(now):
            return
        lowest = np.where(heard, g.pitch, 128).min(1)
        if self.fixed is not None:
            given = self.given[np.minimum(p.clock.step, self.fixed.steps + 1)]
            coming = np.where(
                (given >= self.pitch.start) & (self.voices > g.voice[:, None]), given - self.pitch.start, 128
            )
            lowest = np.minimum(lowest, coming.min(1))
        tonic = np.append(tables.tonic, False)
        number = np.arange(128)
        new_lowest = np.minimum(lowest[:, None], number)
        lowest_tonic = self.lowest_tonic.take(p.row)
        can_mend = (left > 0) & (room > 1) & (lowest_tonic < lowest)
        spare = p.high - p.begun  # notes that may begin, of which a later voice needs one for the tonic
        below = lowest_tonic[:, None] < new_lowest
        fits = tables.triad & (tonic[new_lowest] | ((can_mend & (spare > 1))[:, None] & below)) | ~now[:, None]
        mask[:, self.pitch] &= fits
        held = tables.triad & (tonic[new_lowest] | ((can_mend & (spare > 0))[:, None] & below)) | ~now[:, None]
        mask[:, self.hold] &= held[np.arange(len(own)), np.maximum(own, 0)] | (own < 0)
        mends = (left > 0) & (room > 0) & (spare > 0) & (lowest_tonic < lowest)
        mask[:, self.rest] &= ~now | tonic[lowest] | mends

    def _give(self, given: np.ndarray, allowed: np.ndarray, mask: np.ndarray, g: Any) -> None:
        """What this voice has to do, if anything."""
        speaks = allowed[:, self.rest]
        mask[:, self.hold] &= given != NOT_HOLD
        forced = speaks & (given >= 0)
        if np.count_nonzero(forced):
            token = np.maximum(given, 0)
            mask[:, self.rest :] &= ~forced[:, None]
            rows = np.flatnonzero(forced)
            mask[rows, token[rows]] = allowed[rows, token[rows]]
