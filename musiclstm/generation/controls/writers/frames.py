"""Frames: each step is a set of pitches, said upwards; one that the step before does not have begins a note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.generation.controls.tables import Bars
from musiclstm.generation.controls.writers.base import PITCHES, GridWriter

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.tokenizers.frames import Frames


class FramesWriter(GridWriter):
    """See `Writer`."""

    joins = True

    def __init__(self, tokenizer: Frames) -> None:
        super().__init__(tokenizer.vocabulary)
        self.pitch_tokens = tokenizer.vocabulary.range("Pitch")
        self.pitch = slice(self.pitch_tokens.start, self.pitch_tokens.stop)
        self.frame = tokenizer.frame
        self.bars = Bars.on_grid(tokenizer.metre.meters, tokenizer.steps_per_quarter)
        self.towards[self.pitch] = 1

    def bind(self, tables: Tables, fixed: Fixed | None) -> None:
        super().bind(tables, fixed)
        if fixed is None:
            return
        steps = fixed.steps + 2
        self.wanted, self.barred = np.zeros((2, steps, 128), bool)
        for start, end, pitch in zip(fixed.start, fixed.end, fixed.pitch, strict=True):
            self.wanted[start:end, pitch] = True
            self.barred[end, pitch] = True
            if start:
                self.barred[start - 1, pitch] = True
        self.barred &= ~self.wanted

    def _at_once(self) -> np.ndarray:
        # A pitch cannot begin in one frame after another: half of them always can.
        return np.maximum(self.tables.pitches[self.tables.base].sum(1) // 2, 1)

    def at_once(self, value: dict[str, Any], polyphony: int, pitches: np.ndarray, apart: bool = False) -> int:
        return min(polyphony, int(pitches.sum()) if apart else max(int(pitches.sum()) // 2, 1))

    def begins(self, g: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pitch = tokens - self.pitch.start
        said = (pitch >= 0) & (pitch < 128)
        pitch = pitch * said
        return said & ~g.before[np.arange(len(tokens)), pitch], pitch

    def keep_to_rows(self, g: Any, allowed: np.ndarray, rows: np.ndarray) -> np.ndarray:
        rows[:, self.pitch] |= g.before  # what goes on does not begin
        rows &= allowed
        return rows

    def narrow(self, plan: Plan, g: Any, p: PlanState, allowed: np.ndarray, mask: np.ndarray) -> None:
        tables, before = self.tables, g.before
        pitches = mask[:, self.pitch]  # a view
        number = g.present.sum(1)
        room = tables.polyphony.take(p.segment) - number
        want = None
        if self.fixed is not None:
            want = self._give(g, p, allowed, pitches, room)
            room = room - want.sum(1)
        pitches &= (room > 0)[:, None] if want is None else (room > 0)[:, None] | want
        if not plan.counting:
            return
        coming = None if want is None else (want & ~before).sum(1)
        need, _, spare, may = plan.owed(p, self.most.take(p.segment), coming)
        pitches &= before | may[:, None] if want is None else before | want | may[:, None]
        if "ending" in tables.asked and np.count_nonzero(p.last):
            self._final(g, p, number, pitches, mask)
        if "ending" in tables.asked or "rhythm" in tables.asked:
            self._leave_one(g, p, pitches)
        if np.count_nonzero(need > 0):
            self._begin(p, need, coming, room, before, pitches, mask)
        if plan.longest_repeat:
            self._differ(plan, p, before, pitches, mask)
        if np.count_nonzero(p.last):
            begin_later = (p.later > 0) & (spare > 0)
            quiet = p.last & ~p.over & ~begin_later & (number == 0)
            if np.count_nonzero(quiet):
                mask[:, self.frame] &= ~(quiet & pitches.any(1))
                mask[:, self.frame] &= ~(quiet & (p.clock.position == p.stop - 1))
        if want is not None:
            lowest = np.where(want.any(1), want.argmax(1), 128)
            pitches &= lowest[:, None] >= PITCHES
            mask[:, self.frame] &= lowest == 128
        self.end(plan, g, p, mask)

    def _begin(
        self, p: PlanState, need: np.ndarray, coming: np.ndarray | None, room: np.ndarray, before: np.ndarray,
        pitches: np.ndarray, mask: np.ndarray,
    ) -> None:  # fmt: skip
        """Leaves no more than is needed to begin `need` notes in this frame, as far as that is possible."""
        onset = pitches & ~before
        above = onset[:, ::-1].cumsum(1)[:, ::-1]  # itself among them
        total = np.minimum(above[:, 0], room)
        got = np.minimum(above, room[:, None])
        # After saying a pitch that goes on there is room for one less.
        got = np.where(before, np.minimum(above, room[:, None] - 1), got)
        pitches &= got >= np.minimum(need, total)[:, None]
        must = p.must & (p.struck == 0) if coming is None else p.must & (p.struck + coming == 0)
        strict = must | ((need > 0) & ((total > 0) | (p.later == 0)))
        mask[:, self.frame] &= ~(strict & (need > 0))

    def _leave_one(self, g: Any, p: PlanState, pitches: np.ndarray) -> None:
        """Before a step at which a note has to begin, one of the pitches that may begin there is left silent."""
        tables, clock = self.tables, p.clock
        position, bar, segment, rhythm = clock.position + 1, clock.bar, p.segment, p.rhythm
        wraps = position >= clock.length
        if np.count_nonzero(wraps):
            position, bar = np.where(wraps, 0, position), bar + wraps
            segment = tables.segments(bar)
            rhythm = tables.rhythm_row[segment, clock.length] if "rhythm" in tables.asked else rhythm
        must = (
            (rhythm > 0) & tables.struck_at[rhythm, position] if "rhythm" in tables.asked else np.zeros(len(bar), bool)
        )
        final = (position == p.zone) & ~wraps
        must = must | final
        if not np.count_nonzero(must):
            return
        row = tables.row_at(segment, bar, position, clock.length, g.bar.meter)
        there = tables.pitches.take(row, 0)
        if np.count_nonzero(final):
            there = there & (tables.triad | ~final[:, None])
        silent = there & ~g.present
        few = must & (silent.sum(1) <= 1)
        if np.count_nonzero(few):
            pitches &= ~(silent & few[:, None])

    def _final(self, g: Any, p: PlanState, number: np.ndarray, pitches: np.ndarray, mask: np.ndarray) -> None:
        """The last sonority: of the triad, the tonic lowest, and then held to the end."""
        tables, position = self.tables, p.clock.position
        after = p.last & (position > p.zone) & ~p.over
        if np.count_nonzero(after):
            held = g.before & (g.above[:, None] <= PITCHES)
            some = held.any(1)
            lowest = np.where(some, held.argmax(1), MANY)[:, None] == PITCHES
            pitches &= ~after[:, None] | lowest
            mask[:, self.frame] &= ~(after & some)
        now = position == p.zone
        if np.count_nonzero(now):
            pitches &= ~now[:, None] | (tables.triad & (tables.tonic | (number > 0)[:, None]))

    def _differ(self, plan: Plan, p: PlanState, before: np.ndarray, pitches: np.ndarray, mask: np.ndarray) -> None:
        """The last note that a bar may have makes it differ from those before."""
        closes = p.clock.position == p.stop - 1
        if np.count_nonzero(closes):
            mask[:, self.frame] &= ~(closes & plan.repeats(p, p.mark))
        chance = p.later == 0
        if np.count_nonzero(chance):
            onset = pitches & ~before
            top = onset & (onset[:, ::-1].cumsum(1)[:, ::-1] == 1)
            same = plan.repeats(p, p.mark[:, None] + plan.marks(p.clock.position))
            pitches &= ~(same & top & chance[:, None])

    def _give(self, g: Any, p: PlanState, allowed: np.ndarray, pitches: np.ndarray, room: np.ndarray) -> np.ndarray:
        """The pitches still to be said of those that have to sound now: bool, (B, 128). They may be said, and those
        that would run into them or out of them may not."""
        assert self.fixed is not None
        step = np.minimum(p.clock.step, self.fixed.steps + 1)
        want = self.wanted.take(step, 0) & ~g.present & ~p.over[:, None]
        pitches &= ~self.barred.take(step, 0)
        pitches |= want & allowed[:, self.pitch]
        return want
