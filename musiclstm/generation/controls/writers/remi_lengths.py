"""How long the notes of a remi sequence may last, so that what has to come finds its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.generation.controls.writers.remi_places import RemiPlaces

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.generation.controls.writers.remi import RemiWriter


class RemiAhead(RemiPlaces):
    """The part of a `RemiWriter` that looks ahead: positions, and durations as far as the end of the piece."""

    def __init__(self, writer: RemiWriter, tables: Tables, fixed: Fixed | None) -> None:
        super().__init__(writer, tables, fixed)
        self.least_most = int(writer.most.min())
        usual = np.maximum(tables.fewest, np.ceil(np.nan_to_num(tables.average) * 1.5 + 1)).max()
        self.highest_low = int(usual) if tables.has("density") else 1
        struck = tables.struck_at[:, :-1].sum(1)
        self.fewest_places = min(int(struck[struck > 0].min()), int(tables.bars.lengths.min()))
        most = writer.most[tables.segments(np.arange(-1, len(tables.segment_of)))]
        self.next_fewer = np.array([i + int((most[i:] < most[i]).argmax()) - 1 for i in range(len(most))])
        """By bar + 1, the first later one in which there may be fewer notes at once."""
        self.next_fewer = np.where(self.next_fewer < np.arange(len(most)), MANY, self.next_fewer)
        self.varies = bool((self.next_fewer < MANY).any())
        single = tables.meters.sum(1) == 1
        asked = np.where(single, tables.meters.argmax(1), -1)
        number = max(len(tables.segment_of), (tables.last_bar or 0) + 1)
        self.meter_of = asked[tables.segments(np.arange(number))]
        """The meter that each bar is to have, -1 where that is free."""
        if tables.last_bar is not None:
            self._lay_out(tables.last_bar)

    def _lay_out(self, last: int) -> None:
        """The lengths of bars as far as the meters that are asked for tell: how many bars from each one on have the
        meter in force there, the steps of those after them, and the meter of the last bar (-1 for that in force)."""
        asked = self.meter_of[: last + 1]
        bars = np.arange(last + 1)
        known = np.maximum.accumulate(np.where(asked >= 0, bars, -1))  # the bar that the meter of each is asked for in
        meter = np.where(known >= 0, asked[np.maximum(known, 0)], -1)
        steps = np.where(meter >= 0, self.tables.bars.lengths[meter], 0)
        after = np.append(steps[::-1].cumsum()[::-1], 0)
        first = np.minimum.accumulate(np.where(asked >= 0, bars, last + 1)[::-1])[::-1]  # from each bar on
        self.free = np.append(first - bars, [0, 0])
        self.steps = np.append(after[first], [0, 0])
        self.last_meter = np.append(np.where(first <= last, meter[-1], -1), [-1, -1])

    def _bar_ahead(self, g: Any, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The step and the length of the bar that is `ahead` bars from here, (B,), as far as meters are asked for."""
        line, length = g.line + g.clock.length, g.clock.length.copy()
        for row, bars in enumerate(ahead.tolist()):
            bar = int(g.clock.bar[row]) + 1
            while True:
                meter = self.meter_of[min(max(bar, 0), len(self.meter_of) - 1)]
                length[row] = self.tables.bars.lengths[meter] if meter >= 0 else length[row]
                bars -= 1
                if bars <= 0 or line[row] > g.clock.step[row] + self.writer.durations[-1]:
                    break
                line[row] += length[row]
                bar += 1
        return line, length

    def durations(self, plan: Plan, g: Any, p: PlanState, mask: np.ndarray) -> None:
        """Takes the durations after which what has to come would find no place."""
        tables = self.tables
        step, line, position = g.clock.step, g.line, g.position
        limit = np.full(len(step), MANY)
        exact = np.zeros(len(step), bool)
        if tables.last_bar is not None:
            limit, exact = self._until_end(plan, g, p)
        most = self.writer.most.take(p.segment)
        tight = most < MANY
        if plan.counting and self.limited and self._crowded(g, p):
            if np.count_nonzero(tight):
                beyond = np.minimum(p.stop, p.zone + 1)
                owing = np.maximum(p.low - p.begun, 0)
                end = self._until_full(g, line, position + 1, beyond, p.rhythm, most, owing)
                limit = np.where(tight, np.minimum(limit, end), limit)
            # In the next bar, and in the next one that is to have fewer notes at once, these have to find room.
            fewer = self.next_fewer.take(g.clock.bar + 1, mode="clip") - g.clock.bar
            for ahead in (np.ones_like(fewer), fewer) if self.varies else (np.ones_like(fewer),):
                start, its_length = self._bar_ahead(g, ahead)
                crosses = (limit > start) & (step + self.writer.durations[-1] > start)
                if np.count_nonzero(crosses):
                    end = self._until_next_is_full(plan, g, p, np.where(crosses, ahead, 1), start, its_length)
                    limit = np.where(crosses, np.minimum(limit, end), limit)
        if "rhythm" in tables.asked or "ending" in tables.asked:
            limit = self._leave_one(g, p, limit)
        longest = np.maximum(limit - step, 1)
        wanted = mask[:, self.duration]  # a view
        if self.fixed is not None:
            longest, given = self._given_lengths(g, p, longest)
        wanted &= self.writer.durations <= longest[:, None]
        if np.count_nonzero(exact):
            last = np.searchsorted(self.writer.durations, longest, "right") - 1
            wanted &= ~exact[:, None] | (np.arange(wanted.shape[1]) == last[:, None])
        if self.fixed is not None:
            forced = given > 0
            wanted &= ~forced[:, None] | (self.writer.durations == given[:, None])

    def _crowded(self, g: Any, p: PlanState) -> bool:
        """Whether one more note that sounds on for long might leave no room for those to come."""
        spare = self.least_most - 1 - (g.until > g.clock.step[:, None]).sum(1)
        fits = (spare > 0) & (p.low - p.begun <= spare * p.later) & (self.highest_low <= spare * self.fewest_places)
        return bool(np.count_nonzero(fits) < len(fits))

    def _until_next_is_full(
        self, plan: Plan, g: Any, p: PlanState, ahead: np.ndarray, line: np.ndarray, length: np.ndarray
    ) -> np.ndarray:
        """See `_until_full`, of the bar that is `ahead` bars from here and of `length` steps, each (B,)."""
        tables, bar = self.tables, g.clock.bar + ahead
        segment, stop = tables.segments(bar), length
        rhythm = tables.rhythm_row[segment, length] if "rhythm" in tables.asked else p.rhythm
        if tables.last_bar is not None and not tables.whole_last_bar:
            stop = length - p.pickup * (bar >= tables.last_bar)
        density = tables.density_of.take(segment)
        usual = np.maximum(tables.fewest, np.ceil(np.nan_to_num(tables.average))).astype(np.int64)
        next_low, _ = plan.bounds(bar, plan.notes_before(p, bar))
        low = np.where(ahead == 1, next_low, usual.take(density))
        most, start = self.writer.most.take(segment), np.zeros_like(stop)
        return self._until_full(g, line, start, stop, rhythm, most, np.maximum(low, 1))

    def _until_full(
        self, g: Any, line: np.ndarray, start: np.ndarray, stop: np.ndarray, rhythm: np.ndarray, most: np.ndarray,
        owing: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """The step until which one more note may sound if, in the bar from `line` on, `owing` notes are to find room
        at positions from `start` up to `stop`, and one at each x of its rhythm; `MANY` where it may sound on."""
        tables = self.tables
        room = most[:, None] - (g.until[:, :, None] > (line[:, None] + self.places)[:, None]).sum(1)
        within = (self.places >= start[:, None]) & (self.places < stop[:, None])
        if "rhythm" in tables.asked:
            within &= tables.struck_at[rhythm, : self.longest]
        # One place less at each of these that the note sounds at.
        taken = within.cumsum(1)
        fits = taken <= (np.maximum(room, 0) * within).sum(1)[:, None] - owing[:, None]
        if "rhythm" in tables.asked:
            fits &= ~(within & (rhythm > 0)[:, None] & (room <= 1)).cumsum(1).astype(bool)
        fits |= taken == 0
        full = ~fits
        return np.where(full.any(1), line + full.argmax(1), MANY)

    def _until_end(self, plan: Plan, g: Any, p: PlanState) -> tuple[np.ndarray, np.ndarray]:
        """The step by which a note has to end, and whether it has to last until then; each (B,)."""
        tables = self.tables
        assert tables.last_bar is not None
        end, last_line, meter = self._end(g, p, g.clock.length, g.meter)
        if "ending" not in tables.asked:
            return end, np.zeros(len(end), bool)
        rhythm = p.rhythm
        if "rhythm" in tables.asked:
            segment = tables.segments(np.full(len(end), tables.last_bar))
            rhythm = tables.rhythm_row[segment, tables.bars.lengths.take(meter)]
        zone = plan.zone(rhythm, meter, np.clip(end - last_line, 0, self.longest))
        now = g.position == p.zone
        return np.where(now, end, last_line + zone), now

    def _end(
        self, g: Any, p: PlanState, length: np.ndarray, meter: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The step at which the piece ends and that of its last bar line, and the meter there, if the meter stays."""
        tables = self.tables
        bar = np.minimum(g.clock.bar + 1, len(self.free) - 1)
        free, steps, last_meter = self.free.take(bar), self.steps.take(bar), self.last_meter.take(bar)
        last_meter = np.where(last_meter < 0, meter, last_meter)
        end = g.line + length + free * length + steps
        last_line = end - tables.bars.lengths.take(last_meter)
        if not tables.whole_last_bar:
            end = end - p.pickup
        return end, last_line, last_meter

    def meters(self, g: Any, p: PlanState, mask: np.ndarray) -> None:
        """Takes meters with which the piece would end before what sounds, or the bar have no room for its notes."""
        span = self.writer.signatures
        changes = mask[:, span.start : span.stop]  # a view
        for row in np.flatnonzero(changes.any(1) & (g.phase == self.writer.phase["bar line"])).tolist():
            until, line = g.until[row], int(g.line[row])
            if self.tables.last_bar is not None:
                changes[row] &= self._ends(int(g.clock.bar[row]), line, int(p.pickup[row])) >= until.max(initial=0)
            most = int(self.writer.most[p.segment[row]])
            if most < MANY:
                room = np.maximum(most - (until[:, None] > line + self.places).sum(0), 0)
                less = int(p.pickup[row]) if p.last[row] and not self.tables.whole_last_bar else 0
                changes[row] &= self._has_room(room, int(p.low[row]), int(p.segment[row]), less)

    def _ends(self, bar: int, line: int, pickup: int) -> np.ndarray:
        """For each meter the step by which notes have to end if it holds from `bar` on: (M,)."""
        tables = self.tables
        lengths, bar = tables.bars.lengths, min(bar + 1, len(self.free) - 1)
        end = line + lengths * (1 + self.free[bar]) + self.steps[bar]
        if "ending" not in tables.asked:
            return end - pickup
        last = np.where(self.last_meter[bar] < 0, np.arange(len(lengths)), self.last_meter[bar])
        stop = np.clip(lengths[last] - pickup, 0, self.longest)
        zone = tables.bars.last_beat[last, stop]
        if "rhythm" in tables.asked:
            rhythm = tables.rhythm_row[int(tables.segments(np.array(tables.last_bar))), lengths[last]]
            zone = np.where(rhythm > 0, tables.last_x[rhythm, stop], zone)
        ends: np.ndarray = end - lengths[last] + zone
        return ends

    def _has_room(self, room: np.ndarray, low: int, segment: int, less: int) -> np.ndarray:
        """Which meters have `low` places, and one at each x, where the positions have so much `room` and bars are
        `less` steps shorter: (M,) bool."""
        tables = self.tables
        lengths = tables.bars.lengths
        within = self.places < lengths[:, None] - less
        each = np.where(within, room, 0)
        if "rhythm" not in tables.asked:
            return each.sum(1) >= low
        rhythm = tables.rhythm_row[segment, lengths]
        struck = tables.struck_at[rhythm, : self.longest] & within
        fits: np.ndarray = (each * struck).sum(1) >= low
        return fits & ~((rhythm > 0) & (struck & (each == 0)).any(1))

    def _leave_one(self, g: Any, p: PlanState, limit: np.ndarray) -> np.ndarray:
        """Leaves one of the pitches silent that may begin where the next note has to."""
        tables, writer = self.tables, self.writer
        if "rhythm" not in tables.asked:
            return limit
        number = (g.until > g.clock.step[:, None]).sum(1)
        coming = tables.following[p.rhythm, np.minimum(g.position + 1, self.longest)]
        checked = (p.rhythm > 0) & (coming < g.clock.length) & ~writer.drums.take(p.segment)
        checked &= number + 1 >= self.fewest_pitches
        if not np.count_nonzero(checked):
            return limit
        place = np.minimum(coming, g.clock.length - 1)
        row = tables.row_at(p.segment, g.clock.bar, place, g.clock.length, g.meter)
        there = tables.pitches.take(row, 0)
        batch = np.arange(len(row))
        sounds = (g.until > (g.line + place)[:, None]) & there[batch[:, None], g.voices & 127]
        own = there[batch, np.maximum(g.struck, 0) & 127]
        few = sounds.sum(1) + own >= there.sum(1) * writer.melodic.take(p.segment)
        return np.where(checked & own & few, np.minimum(limit, g.line + place), limit)
