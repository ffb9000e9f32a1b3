"""Performances: notes begin and end at any hundredth of a second, and time shifts lead from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.controls.settings import MANY
from musiclstm.generation.controls.tables import Bars
from musiclstm.generation.controls.writers.base import PITCHES, Writer
from musiclstm.score import DRUMS
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.performance_grammar import BAR
from musiclstm.tokenizers.vocabulary import EOS

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import Owed, PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.tokenizers.performance import Performance


class PerformanceWriter(Writer):
    """See `Writer`."""

    in_seconds = True

    def __init__(self, tokenizer: Performance) -> None:
        super().__init__(tokenizer.vocabulary)
        self.on, self.off, self.shift, self.velocity = (
            slice(span.start, span.stop)
            for span in map(tokenizer.vocabulary.range, ("NoteOn", "NoteOff", "TimeShift", "Velocity"))
        )
        self.drums = tokenizer.program == DRUMS
        self.pitch_tokens = None if self.drums else tokenizer.vocabulary.range("NoteOn")
        self.bars = Bars.in_seconds(BAR)
        self.shifts = np.arange(self.shift.stop - self.shift.start) + 1
        self.levels = (np.arange(self.velocity.stop - self.velocity.start) + 1) * 4 - 2
        self.towards[self.on] = self.towards[self.velocity] = 1
        self.towards[self.shift] = -0.5 - self.shifts / 100

    def bind(self, tables: Tables, fixed: Fixed | None) -> None:
        if self.drums:
            tables.polyphony = np.full_like(tables.polyphony, MANY)
        super().bind(tables, fixed)
        # By segment and the Velocity in force, of which 0 is none.
        loud = np.ones((len(tables.base), len(self.levels) + 1), bool)
        loud[:, 1:] = tables.rows[tables.base, self.velocity]
        self.loud = loud
        self.lowest_tonic = np.where(tables.pitches & tables.tonic, np.arange(128), MANY).min(1)
        rhythm = tables.rhythm_row[:, -1]
        # How far from the bar line before it the first x of the next bar is, by the segment of that.
        self.first_x = np.where(rhythm > 0, BAR + tables.following[rhythm, 0], MANY)
        self.end = MANY if tables.last_bar is None else (tables.last_bar + 1) * BAR
        self.zone = MANY
        if fixed is None:
            return
        steps = fixed.steps + 2
        self.starts, self.stops, self.held = np.zeros((3, steps, 128), bool)
        self.starts[fixed.start, fixed.pitch] = True
        self.stops[fixed.end, fixed.pitch] = True
        for start, end, pitch in zip(fixed.start, fixed.end, fixed.pitch, strict=True):
            self.held[start + 1 : end, pitch] = True
        events = np.unique(np.concatenate([fixed.start, fixed.end]))
        after = np.searchsorted(events, np.arange(steps), "right")
        self.event = np.append(events, MANY)[after]  # the first behind each step

    def _at_once(self) -> np.ndarray:
        return self.tables.pitches[self.tables.base].sum(1)

    def clock(self, g: Any) -> Clock:
        clock: Clock = g.clock
        return clock

    def meter(self, g: Any) -> np.ndarray:
        return np.zeros(len(g.last), np.int64)

    def at_once(self, value: dict[str, Any], polyphony: int, pitches: np.ndarray, apart: bool = False) -> int:
        return min(MANY if self.drums else polyphony, int(pitches.sum()))

    def may_drum(self, value: dict[str, Any]) -> bool:
        return self.drums

    def begins(self, g: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begins = (tokens >= self.on.start) & (tokens < self.on.stop)
        return begins, np.where(begins, tokens - self.on.start, 0)

    def restrict(self, row: np.ndarray, value: dict[str, Any], met: np.ndarray) -> None:
        programs, span = value.get("instruments"), value.get("velocity")
        if programs is not None and (DRUMS in programs) != self.drums:
            what = "only drums: give instruments=drums" if self.drums else "no drums: leave them out"
            raise UserError(f"instruments: the model plays {what}, or take one with tokenizer=remi")
        if span is not None:
            within = (self.levels >= span.low) & (self.levels <= span.high)
            if not within.any():
                near = self.levels[np.argsort(np.abs(self.levels - (span.low + span.high) / 2))[:2]]
                raise UserError(
                    f"velocity={span} has none of the model's velocities: {min(near)} and {max(near)} are the nearest"
                )
            known = within & met[self.velocity]
            row[self.velocity] = known if known.any() else within

    def watches(self, tables: Tables) -> bool:
        return tables.has("velocity", "key", "pitch_range", "chords")

    def set_zone(self, plan: Plan) -> None:
        """Takes the step of the last sonority."""
        if "ending" in self.tables.asked:
            segment = self.tables.segments(np.array([self.tables.last_bar]))
            zero = np.zeros(1, np.int64)
            self.zone = int(plan.zone(self.tables.rhythm_row[segment, -1], zero, zero + BAR)[0]) + self.end - BAR

    def narrow(self, plan: Plan, g: Any, p: PlanState, allowed: np.ndarray, mask: np.ndarray) -> None:
        tables = self.tables
        if self.zone == MANY and "ending" in tables.asked:
            self.set_zone(plan)
        on = mask[:, self.on]  # a view
        free = tables.pitches.take(p.row, 0) & (g.struck[:, None] < PITCHES) & ~g.sounding
        room = tables.polyphony.take(p.segment) - g.polyphony
        due = None
        if self.fixed is not None:
            step = np.minimum(p.clock.step, self.fixed.steps + 1)
            due = self.starts.take(step, 0) & (g.struck[:, None] < PITCHES)
            room = room - due.sum(1)
        owed = None
        if plan.counting:
            owed = plan.owed(p, self.most.take(p.segment), None if due is None else due.sum(1))
            need, may = owed.need, owed.may
            free &= may[:, None]
            waits = None
            if "ending" in tables.asked and np.count_nonzero(p.last):
                waits = self._final(g, p, free, mask)
            if np.count_nonzero(need > 0):
                self._begin(g, p, need, room, free, mask)
            if waits is not None:
                free &= ~waits[:, None]
            if plan.longest_repeat and np.count_nonzero(p.later == 0):  # the last note makes the bar a new one
                top = free & (free[:, ::-1].cumsum(1)[:, ::-1] == 1)
                same = plan.repeats(p, p.mark[:, None] + plan.marks(p.clock.position))
                free &= ~(same & top & (p.later == 0)[:, None])
        free &= (room > 0)[:, None]
        if due is not None:
            free = self._give(g, p, due, step, free, allowed, mask)
        on &= free
        quiet = ~self.loud[p.segment, g.velocity]
        if np.count_nonzero(quiet):
            on &= ~quiet[:, None]
        mask[:, self.velocity] &= free.any(1)[:, None]
        if owed is not None:
            self._move(plan, g, p, owed, mask)

    def _begin(
        self, g: Any, p: PlanState, need: np.ndarray, room: np.ndarray, free: np.ndarray, mask: np.ndarray
    ) -> None:
        """`need` notes have to begin before time goes on. They ascend, so what is left above has to be enough; and
        where too many sound some have to end first, which ascend too."""
        above = free[:, ::-1].cumsum(1)[:, ::-1]
        total = np.minimum(above[:, 0], room)
        lacking = (need - total) * (g.struck < 0)
        if np.count_nonzero(lacking > 0):
            ends = mask[:, self.off]  # a view
            can = ends & self.tables.pitches.take(p.row, 0)
            if "ending" in self.tables.asked:
                can &= self.tables.triad | (p.clock.position != p.zone)[:, None]
            can |= ends & (above[:, 0] >= need)[:, None]  # only the room is lacking
            left = can[:, ::-1].cumsum(1)[:, ::-1]
            wait = (lacking > 0) & (left[:, 0] > 0)
            ends &= ~wait[:, None] | (left >= np.minimum(lacking, left[:, 0])[:, None])
            free &= ~wait[:, None]
        free &= above >= np.minimum(need, above[:, 0])[:, None]

    def _final(self, g: Any, p: PlanState, free: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
        """The last sonority: what does not belong to it ends, the tonic is lowest, and all is held to the end. In
        the rows returned something has to end before anything begins."""
        tables, position = self.tables, p.clock.position
        after = p.last & (position > p.zone) & ~p.over
        if np.count_nonzero(after):
            free &= ~after[:, None]
            mask[:, self.off] &= ~after[:, None]
        now = position == p.zone
        if not np.count_nonzero(now):
            return None
        unfit = g.sounding & (~tables.triad | (self.lowest_tonic.take(p.row)[:, None] > PITCHES)) & now[:, None]
        some = unfit.any(1)
        if np.count_nonzero(some):
            mask[:, self.off] &= ~some[:, None] | (unfit.argmax(1)[:, None] >= PITCHES)
        lowest = np.where(g.sounding, PITCHES, 127).min(1)
        fits = tables.triad & tables.tonic[np.minimum(lowest[:, None], PITCHES)]
        fits |= tables.tonic & (~g.sounding.any(1))[:, None]
        free &= (tables.triad & (fits | some[:, None])) | ~now[:, None]
        return some

    def _give(
        self, g: Any, p: PlanState, due: np.ndarray, step: np.ndarray, free: np.ndarray, allowed: np.ndarray,
        mask: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """The notes that have to begin or end now, and those that must not end yet. Returns which pitches may begin,
        of those that are `free` to and those that have to; (B, 128) bool."""
        mask[:, self.off] &= ~self.held.take(step, 0)
        first = g.struck < 0
        ends = g.sounding & (self.stops.take(step, 0) | self.starts.take(step, 0)) & first[:, None]
        ending, begins = ends.any(1), due.any(1)
        waits = ending | begins
        if not np.count_nonzero(waits):
            return free
        mask[:, self.shift] &= ~waits[:, None]
        mask[:, EOS] &= ~waits
        if np.count_nonzero(ending):
            mask[:, self.off] &= ~ending[:, None] | (ends.argmax(1)[:, None] >= PITCHES)
            free = free & ~ending[:, None]
        begins &= ~ending
        if np.count_nonzero(begins):
            lowest = due.argmax(1)
            has_room = self.tables.polyphony.take(p.segment) > g.polyphony
            place = (lowest[:, None] == PITCHES) & (begins & has_room)[:, None]
            free = (free & (~begins[:, None] | (lowest[:, None] >= PITCHES))) | (place & ~g.sounding)
            mask[:, self.on] |= place & allowed[:, self.on]
        return free

    def _move(self, plan: Plan, g: Any, p: PlanState, owed: Owed, mask: np.ndarray) -> None:
        """How far time may go on, and whether the piece may end."""
        moves = mask[:, self.shift.start : self.shift.stop].any() or mask[:, EOS].any() or p.over.any()
        if not moves:
            return
        tables, clock, need, owing = self.tables, p.clock, owed.need, owed.owing
        position, line = clock.position, clock.step - clock.position
        beyond = np.minimum(p.stop, p.zone + 1)
        limit = np.full(len(position), self.end)
        if "rhythm" in tables.asked:
            coming = tables.following[p.rhythm, position + 1]
            here = (p.rhythm > 0) & (coming < beyond)
            first = np.where(p.last, MANY, self.first_x.take(tables.segments(clock.bar + 1)))
            limit = np.minimum(limit, line + np.where(here, coming, first))
        if self.zone < MANY:
            limit = np.where(clock.step < self.zone, np.minimum(limit, self.zone), limit)
        owes = owing > 0
        if np.count_nonzero(owes):
            many = -(-owing // np.maximum(self.most.take(p.segment), 1))
            latest = beyond - many
            limit = np.where(owes & ~(p.rhythm > 0), np.minimum(limit, line + latest), limit)
        if self.fixed is not None:
            limit = np.minimum(limit, self.event.take(np.minimum(clock.step, self.fixed.steps + 1)))
        target = clock.step[:, None] + self.shifts
        fits = (target <= limit[:, None]) & ((need <= 0) & ~p.over)[:, None]
        closable = g.sounding
        if self.fixed is not None:
            closable = closable & ~self.held.take(np.minimum(clock.step + 1, self.fixed.steps + 1), 0)
        silent = ~closable.any(1)
        if np.count_nonzero(silent):
            fits &= ~silent[:, None] | self._may_begin_at(plan, p, owed.spare, target, line, limit)
        held = p.last & (position >= p.zone)
        if np.count_nonzero(held):  # nothing ends before the end
            fits &= ~held[:, None] | (target == limit[:, None]) | (self.shifts == len(self.shifts))
        mask[:, self.shift] &= fits
        over = p.over
        if np.count_nonzero(over):  # all ends, from the lowest up, so that none is left
            mask[:, self.off] &= ~over[:, None] | (g.sounding.argmax(1)[:, None] >= PITCHES)
            mask[:, self.on] &= ~over[:, None]
            mask[:, self.velocity] &= ~over[:, None]
        end = (need <= 0) & ~((p.rhythm > 0) & ((p.later > 0) | (p.must & (p.struck == 0))))
        if plan.longest_repeat:
            end &= ~plan.repeats(p, p.mark)
        if tables.last_bar is not None:
            end &= (p.last & (p.begun >= p.low) if "ending" not in tables.asked else over) | over
        if self.fixed is not None:
            end &= clock.step >= self.fixed.steps
        mask[:, EOS] &= end | over

    def _may_begin_at(
        self, plan: Plan, p: PlanState, spare: np.ndarray, target: np.ndarray, line: np.ndarray, limit: np.ndarray
    ) -> np.ndarray:
        """Whether, when nothing sounds, time may go on to steps (B, shifts): a note has to begin there, or later."""
        tables, bar = self.tables, p.clock.bar
        place = target - line[:, None]
        within = place < BAR
        beyond = np.minimum(p.stop, p.zone + 1)[:, None]
        # A note that is needed at the next step of these has its place.
        room = (spare > 0)[:, None] | ((p.reserved > 0)[:, None] & (target == limit[:, None]))
        here = (place < beyond) & room
        there = np.ones_like(here) & ~p.last[:, None]
        following = tables.segments(bar + 1)
        if "density" in tables.asked:
            most = plan.bounds(bar + 1, plan.notes_before(p, bar + 1))[1]
            if self.zone < MANY:  # one of the last bar's is for the last sonority
                most = most - (bar + 1 == tables.last_bar)
            there &= (most > 0)[:, None] | (target == self.zone)
        if "rhythm" in tables.asked:
            here = here & tables.struck_at[p.rhythm[:, None], np.minimum(place, BAR)]
            rhythm = tables.rhythm_row[following, BAR]
            there &= tables.struck_at[rhythm[:, None], np.clip(place - BAR, 0, BAR)]
        fits: np.ndarray = np.where(within, here, there)
        # The longest shift may be followed by another, unless the piece ends before a note can begin.
        fits[:, -1] |= ~p.last
        fits[:, -1] |= p.last & (p.later > 0) & (place < beyond)[:, -1] & ((spare > 0) | (p.reserved > 0))
        if self.fixed is not None:
            fits |= target == limit[:, None]
        return fits
