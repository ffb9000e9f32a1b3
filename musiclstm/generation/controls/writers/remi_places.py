"""Where in a bar a remi sequence goes on, and when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.generation.controls.writers.remi_given import RemiGiven
from musiclstm.tokenizers.vocabulary import EOS

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.plan import Plan


class RemiPlaces(RemiGiven):
    """The part of a `RemiWriter` that chooses among positions, bar lines and the end."""

    def _held(self, g: Any) -> np.ndarray:
        """How many notes sound at each position of the bar, of those begun: (B, longest)."""
        places = g.line[:, None] + self.places
        held: np.ndarray = (g.until[:, :, None] > places[:, None]).sum(1)
        return held

    def _room(self, g: Any, p: PlanState, beyond: np.ndarray) -> np.ndarray:
        """How many notes may begin from each position of the bar on: (B, longest + 1)."""
        tables = self.tables
        most = self.writer.most.take(p.segment)[:, None]
        each = np.minimum(most, 1 << 20)
        if tables.has("polyphony") or self.limited:
            each = np.maximum(each - self._held(g) * (most < MANY), 0)
        each = np.where(self.places < beyond[:, None], each, 0)
        if "rhythm" in tables.asked:
            each = each * tables.struck_at[p.rhythm, : self.longest]
        room = np.zeros((len(beyond), self.longest + 1), np.int64)
        room[:, :-1] = each[:, ::-1].cumsum(1)[:, ::-1]
        return room

    def owed(self, plan: Plan, g: Any, p: PlanState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How many notes have to begin at the present position before others, whether one may that is free to, and
        how many have to begin in the bar; each (B,)."""
        opened = g.position >= 0
        owing = p.low - p.begun
        if plan.longest_repeat:
            owing = np.maximum(owing, plan.repeats(p, p.mark).astype(np.int64))
        must, reserved = p.must & (p.struck == 0), p.reserved
        if self.fixed is not None:
            due = self.due(g)[1] * opened
            given = due + self.fixed.begin_from(g.clock.step + opened, g.line + p.stop)
            owing, must, reserved = owing - given, must & (due == 0), np.maximum(reserved, given)
        need = must.astype(np.int64)
        # If the notes that sound now were to last, so many more could begin at each later step.
        least = self.writer.most.take(p.segment) - (g.until > g.clock.step[:, None]).sum(1)
        if np.count_nonzero(owing > p.later * np.maximum(least, 0)):
            beyond = np.minimum(p.stop, p.zone + 1)
            room = self._room(g, p, beyond)
            need = np.maximum(need, owing - room[np.arange(len(need)), np.minimum(g.clock.position + 1, self.longest)])
        may = p.may & (p.begun + reserved < p.high)
        return need * opened * (p.may | (p.later == 0)), may, owing

    def narrow(self, plan: Plan, g: Any, p: PlanState, owed: tuple[np.ndarray, ...] | None, mask: np.ndarray) -> None:
        """Takes positions at which no note may begin or that leave one out, and bar lines and ends that come early."""
        tables, writer = self.tables, self.writer
        begun = g.phase != writer.phase["start"]
        places = mask[:, self.position]  # a view
        can_begin = self._can_begin(g, p)
        if can_begin is not self.anywhere:
            places &= can_begin
        if owed is None:
            return
        need, _, owing = owed
        beyond = np.minimum(p.stop, p.zone + 1)
        after = np.maximum(g.position + 1, -np.minimum(g.line, 0))
        fits = self.places < beyond[:, None]
        closes = (need <= 0) & begun
        coming = np.full(len(after), MANY)
        if "rhythm" in tables.asked:
            coming = tables.following[p.rhythm, np.minimum(after, self.longest)]
            rhythmic = p.rhythm > 0
            fits &= ~rhythmic[:, None] | (self.places == coming[:, None])
            closes &= ~rhythmic | (coming >= beyond)
            reserved = (~rhythmic)[:, None] & (self.places < p.zone[:, None]) & (p.zone < MANY)[:, None]
        else:
            reserved = (self.places < p.zone[:, None]) & (p.zone < MANY)[:, None]
        fits &= (p.begun[:, None] + reserved < p.high[:, None]) & (need <= 0)[:, None]
        done = np.ones_like(closes)
        if self.fixed is not None:
            fits, closes, done = self._keep_given(g, p, fits, closes, coming)
        owes = owing > 0
        if np.count_nonzero(owes):
            closes &= ~owes
            room = self._room(g, p, beyond)[:, :-1]
            best = np.where(places & fits, room, 0).max(1)
            fits &= room >= np.minimum(owing, best)[:, None]
        places &= fits
        end = closes & done
        if "ending" in tables.asked:
            closes = closes & ~p.last
            end &= p.last & (g.position == p.zone)
        if tables.last_bar is not None:
            closes = closes & ~p.last
            if tables.needs_last_note:
                end &= p.last
        mask[:, self.bar] &= closes | ~begun
        mask[:, EOS] &= end

    def _can_begin(self, g: Any, p: PlanState) -> np.ndarray:
        """At which positions some note may begin, for all that sound there: bool, (B, longest), or (1, 1)."""
        tables, writer = self.tables, self.writer
        if self.fewest_pitches > g.until.shape[1] and "polyphony" not in tables.asked:
            return self.anywhere
        drums = writer.drums.take(p.segment)
        most = tables.polyphony.take(p.segment)
        number = (g.until > g.clock.step[:, None]).sum(1)
        tight = (number >= most) | (number >= self.fewest_pitches)
        if not np.count_nonzero(tight & ~drums):
            return self.anywhere
        free = self._held(g) < most[:, None]
        bar, meter = g.clock.bar[:, None], g.meter[:, None]
        position, length = np.broadcast_to(self.places, free.shape), g.clock.length[:, None]
        position = np.minimum(position, length - 1)
        row = tables.row_at(
            np.broadcast_to(p.segment[:, None], free.shape), np.broadcast_to(bar, free.shape), position,
            np.broadcast_to(length, free.shape), np.broadcast_to(meter, free.shape),
        )  # fmt: skip
        sounds = g.until[:, :, None] > (g.line[:, None] + self.places)[:, None]
        plays = writer.programs[p.segment[:, None], g.voices >> 7]
        there = tables.pitches[row[:, None], (g.voices & 127)[:, :, None]] & plays[:, :, None]
        some = tables.pitches.sum(1)[row] * writer.melodic.take(p.segment)[:, None]
        free &= (sounds & there).sum(1) < some
        return free | drums[:, None]
