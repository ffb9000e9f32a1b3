"""The notes that have to occur in a remi sequence: none is passed over, and none is run into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.score import DRUMS

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.generation.controls.writers.remi import RemiWriter


class RemiGiven:
    """What the parts of a `RemiWriter` know in common, and its side of `notes`."""

    def __init__(self, writer: RemiWriter, tables: Tables, fixed: Fixed | None) -> None:
        self.writer, self.tables, self.fixed = writer, tables, fixed
        self.longest = int(tables.bars.lengths.max())
        self.places = np.arange(self.longest)
        self.position, self.duration = writer.spans["Position"], writer.spans["Duration"]
        self.bar = writer.spans["Bar"].start
        self.anywhere = np.ones((1, 1), bool)
        self.limited = bool((writer.most < MANY).any())
        """Whether so many notes at once are the most somewhere."""
        self.fewest_pitches = int(tables.pitches.sum(1).min()) * int(max(writer.melodic.min(), 1))
        if fixed is not None:
            order = np.lexsort([fixed.program * 128 + fixed.pitch, fixed.start])
            self.starts = fixed.start[order]
            self.keys = (fixed.program * 128 + fixed.pitch)[order]
            self.lengths = (fixed.end - fixed.start)[order]
            self.of_key = {int(key): np.append(self.starts[self.keys == key], MANY) for key in np.unique(self.keys)}

    def due(self, g: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the notes that have to begin at the present step and have not: the first's program * 128 + pitch (`MANY`
        for none), how many there are, and how many of them are drums; each (B,)."""
        first = np.searchsorted(self.starts, g.clock.step)
        stop = np.searchsorted(self.starts, g.clock.step, "right")
        key, number, drums = np.full(len(first), MANY), np.zeros(len(first), np.int64), np.zeros(len(first), np.int64)
        for row, (i, j) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
            left = self.keys[i:j][self.keys[i:j] > g.struck[row]]
            if len(left):
                key[row], number[row], drums[row] = left[0], len(left), (left >> 7 == DRUMS).sum()
        return key, number, drums

    def give(self, g: Any, due: tuple[np.ndarray, ...], allowed: np.ndarray, mask: np.ndarray) -> None:
        """The note that has to begin now is not passed over, and may begin whatever else would forbid it."""
        writer = self.writer
        key = due[0]
        program, pitch = key >> 7, key & 127
        for row in np.flatnonzero(due[1] > 0).tolist():
            own, at = int(program[row]), int(pitch[row])
            programs = mask[row, writer.spans["Program"]]
            programs[own + 1 :] = False
            if g.program[row] != own and allowed[row, writer.spans["Program"].start + own]:
                programs[own] = True
            span = writer.drum if own == DRUMS else writer.pitch
            if g.program[row] == own:
                mask[row, span.start + at + 1 : span.stop] = False
                if allowed[row, span.start + at]:
                    mask[row, span.start + at] = True
            elif g.program[row] > own:
                mask[row, writer.pitch] = False
                mask[row, writer.drum] = False

    def _keep_given(
        self, g: Any, p: PlanState, fits: np.ndarray, closes: np.ndarray, coming_x: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """No position behind the next note that has to begin, and none but its own where no other may."""
        opened = g.position >= 0
        coming = np.searchsorted(self.starts, g.clock.step + opened)
        following = np.append(self.starts, MANY).take(coming) - g.line
        assert self.fixed is not None
        ahead = self.fixed.begin_from(g.clock.step + opened, g.line + p.stop)
        fits = fits & (self.places <= following[:, None])
        only = p.begun + ahead >= p.high
        fits &= ~only[:, None] | (self.places == following[:, None])
        waiting = opened & (self.due(g)[1] > 0)
        fits |= (self.places == following[:, None]) & ((coming_x >= following) | (p.rhythm == 0))[:, None]
        fits &= ~waiting[:, None]
        closes = closes & (following >= g.clock.length) & ~waiting
        return fits, closes, coming == len(self.starts)

    def _given_lengths(self, g: Any, p: PlanState, longest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The longest durations that do not run into notes that have to occur, and the duration of one that does
        occur now (0 for none); each (B,)."""
        assert self.fixed is not None
        longest, given = longest.copy(), np.zeros(len(longest), np.int64)
        polyphony = self.tables.polyphony.take(p.segment)
        for row, (step, key) in enumerate(zip(g.clock.step.tolist(), g.struck.tolist(), strict=True)):
            mine = self.of_key.get(key)
            if mine is not None:
                here = np.flatnonzero((self.starts == step) & (self.keys == key))
                if len(here):
                    given[row] = self.lengths[here[0]]
                    continue
                longest[row] = min(longest[row], int(mine[np.searchsorted(mine, step, "right")]) - step)
            if polyphony[row] < MANY:
                later = (self.fixed.start > step) & (self.fixed.program != DRUMS)
                start = self.fixed.start[later]
                running = (self.fixed.start <= step) & (self.fixed.program != DRUMS)
                own = (self.fixed.end[running][:, None] > start).sum(0)
                held = (g.until[row][:, None] > start).sum(0) - own + self.fixed.sounding[start]
                full = start[held + 1 > polyphony[row]]
                if len(full):
                    longest[row] = min(longest[row], int(full.min()) - step)
        return np.maximum(longest, 1), given
