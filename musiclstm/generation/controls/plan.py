"""Controls at work on a batch of sequences: which tokens keep to them, and which come nearer to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.generation.controls.accounts import Accounts, PlanState
from musiclstm.generation.controls.finishing import finish
from musiclstm.generation.controls.settings import MANY
from musiclstm.tokenizers.grammar import Clock

if TYPE_CHECKING:
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.reading import Controls
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.generation.controls.writers import Writer
    from musiclstm.score import Score
    from musiclstm.tokenizers.base import Tokenizer


class Plan(Accounts):
    """What was asked for, compiled for one tokenizer. States belong to the sequences of a grammar and go with them."""

    def __init__(
        self,
        controls: Controls,
        tokenizer: Tokenizer,
        tables: Tables | None,
        writer: Writer | None,
        fixed: Fixed | None,
    ) -> None:
        super().__init__(tables, writer, fixed)
        self.controls, self.tokenizer = controls, tokenizer
        if writer is None or tables is None:
            self.dynamic = self.steering = self.by_bar = False
            return
        self.dynamic = self.counting or tables.has("polyphony") or writer.watches(tables)
        self.steering = tables.has("density")
        self.by_bar = not self.counting and not tables.has("chords")  # then a bar has one row
        writer.bind(tables, fixed)

    @property
    def bars(self) -> int | None:
        """The number of full bars that a piece has; None where that is free."""
        last = None if self.tables is None else self.tables.last_bar
        return None if last is None else last + 1

    def at_work(self, bar: int) -> str:
        """The settings in force in a bar (0 the first full one), in words."""
        return self.controls.at_work(bar)

    def finish(self, score: Score, begin: int = 0) -> Score:
        """A decoded piece with what tokens cannot say: exact tempos, velocities and instruments, from tick `begin`."""
        return finish(self.controls, self.tokenizer, score, begin)

    def start(self, batch: int) -> PlanState:
        """The state after BOS."""
        zero = np.zeros(batch, np.int64)
        none, mark = zero > 0, np.zeros(batch, np.uint64)
        length = zero + (1 if self.tables is None else int(self.tables.bars.lengths[0]))
        many = zero + MANY
        clock = Clock(zero, zero, zero, length, zero * 0.0)
        history = np.zeros((batch, self.longest_repeat if self.counting else 0), np.uint64)
        wide = self.counting and self.longest_repeat > 0 and self.writer.doubles
        together = np.zeros((batch, 128 if wide else 0), bool)
        state = PlanState(
            clock, zero, zero, zero, none, zero, none, length, none, many, ~none, none, zero, zero,
            zero, many, zero, zero, zero, mark, history, together,
        )  # fmt: skip
        if self.tables is None:
            return state
        return self.settle(self.enter_bar(state, clock), clock, zero)

    def narrow(self, gstate: Any, pstate: PlanState, allowed: np.ndarray) -> np.ndarray:
        """Of the tokens that the grammar allows ((B, V) bool) those that keep to what was asked for: a new array.

        A row in which there is none has come to a dead end, and has to go back.
        """
        if self.tables is None:
            return allowed.copy()
        mask: np.ndarray = self.writer.keep_to_rows(gstate, allowed, self.tables.rows.take(pstate.row, 0))
        if self.dynamic:
            self.writer.narrow(self, gstate, pstate, allowed, mask)
        if np.count_nonzero(pstate.wrong):
            signatures = self.writer.signatures
            change = allowed[:, signatures.start : signatures.stop].any(1) & pstate.wrong
            mask &= ~change[:, None] | self.writer.is_signature
        return mask

    def advance(self, pstate: PlanState, before: Any, tokens: np.ndarray, after: Any) -> PlanState:
        """The state after one more token a row (int64, (B,)), with those of the grammar before and after it."""
        if self.tables is None:
            return pstate
        if self.counting:
            begins, pitch = self.writer.begins(before, tokens)
            if np.count_nonzero(begins):
                pstate = self.count(pstate, begins, pitch, self.writer.position(before))
        clock = self.writer.clock(after)
        if clock is pstate.clock:
            return pstate
        old = pstate.clock
        same_bar = np.array_equal(clock.bar, old.bar)
        if (
            same_bar
            and (self.by_bar or (np.array_equal(clock.step, old.step) and np.array_equal(clock.position, old.position)))
            and not np.count_nonzero(self.writer.is_header.take(tokens))
        ):
            return pstate
        if not same_bar:
            pstate = self.enter_bar(pstate, clock)
        return self.settle(pstate, clock, self.writer.meter(after), self.writer.pickup(tokens))

    def bias(self, gstate: Any, pstate: PlanState) -> np.ndarray | None:
        """What to add to logits, float32 (B, V), so that hard limits seldom bite; None for nothing."""
        if not self.steering:
            return None
        low, high = pstate.low, pstate.high
        if high.min() == MANY:
            return None
        tables = self.tables
        middle = tables.average.take(tables.density_of.take(pstate.segment))
        unsaid = middle != middle
        if np.count_nonzero(unsaid):
            middle = np.where(unsaid, (low + high) / 2, middle)
        share = (self.writer.position(gstate) + 0.5) / np.maximum(pstate.stop, 1)
        short = (middle * share - pstate.begun) * (high < MANY) / np.sqrt(middle + 1)
        push = np.minimum(np.maximum(short, -2), 2) * 2
        towards: np.ndarray = self.writer.towards * push.astype(np.float32)[:, None]
        return towards
