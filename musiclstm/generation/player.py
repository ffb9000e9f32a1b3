"""One step of sequences under way: what may come next, and what model, grammar and constraints know after it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

from musiclstm.generation.controls import Plan
from musiclstm.generation.engines import Engine
from musiclstm.generation.lengths import Lengths
from musiclstm.generation.meters import Sayable
from musiclstm.generation.turns import Turn
from musiclstm.model.stack import State, put_state, select_state
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.grammar import Clock, put_rows, select_rows
from musiclstm.tokenizers.vocabulary import BOS, EOS


class Before(NamedTuple):
    """What came before the present piece of each row, where one follows the other; each (B,)."""

    step: np.ndarray
    bar: np.ndarray
    seconds: np.ndarray


class Options(NamedTuple):
    """What may come next in each row; (B, V) each.

    A row of `allowed` may be empty: then there is no way on that keeps to the constraints.
    """

    lawful: np.ndarray  # bool: what the grammar allows
    allowed: np.ndarray  # bool: what constraints and MIDI leave of it
    bias: np.ndarray | None  # what constraints would like, to be added to the logits


class Moment(NamedTuple):
    """B sequences after some tokens: all that it takes to go on. Nothing in it is ever changed in place."""

    model: State
    grammar: Any
    plan: Any  # None without constraints
    logits: np.ndarray  # float32, (B, V): what the model expects next
    before: Before | None = None  # where pieces follow each other
    options: Options | None = None  # where they are known already


def take(moment: Moment, index: Sequence[int] | np.ndarray) -> Moment:
    """The rows that `index` names, in its order; naming one twice branches it."""
    index = np.asarray(index)
    plan = None if moment.plan is None else select_rows(moment.plan, index)
    model = select_state(moment.model, torch.from_numpy(index))
    before = None if moment.before is None else select_rows(moment.before, index)
    return Moment(model, select_rows(moment.grammar, index), plan, moment.logits[index], before)


def put(moment: Moment, rows: np.ndarray, part: Moment) -> Moment:
    """`moment` with the rows of `part` in place of `rows` (int64)."""
    plan = None if moment.plan is None else put_rows(moment.plan, rows, part.plan)
    before = None if moment.before is None else put_rows(moment.before, rows, part.before)
    grammar, logits = put_rows(moment.grammar, rows, part.grammar), put_rows(moment.logits, rows, part.logits)
    return Moment(put_state(moment.model, rows.tolist(), part.model), grammar, plan, logits, before)


def met(counts: np.ndarray) -> np.ndarray:
    """Which tokens may be said by a model whose training met each so often: bool, (V,); all of one not trained."""
    return (counts > 0) | (not counts.any())


class Player:
    """A model's engine with its tokenizer's grammar and a plan of constraints. It has no state: moments have.

    counts: how often training met each token, (V,). What it never met is not said while there is anything else: a
        model that trained for a minute does not know yet which instruments and meters its collection never has.
        All zeros, of a model that was not trained, let it say anything.
    endless: where a piece ends the next begins, at the next bar line.
    lengths: how long a piece is that nobody asked a length of.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        counts: np.ndarray,
        plan: Plan | None = None,
        endless: bool = False,
        lengths: Lengths | None = None,
    ) -> None:
        self.engine, self.tokenizer, self.plan, self.endless = engine, tokenizer, plan, endless
        self.lengths = lengths
        self.grammar = tokenizer.grammar()
        self._sayable = Sayable(tokenizer)
        self._beginning: Moment | None = None
        known = met(counts)
        self._met = None if known.all() else known

    def read(self, ids: np.ndarray, hold_back: int | None = None) -> Moment:
        """One sequence after `ids` (T,), which begin with BOS.

        hold_back: the step of the tokenizer before which nothing new may begin.
        """
        ids = ids.astype(np.int64)
        features, _ = self.tokenizer.context(ids[None])
        logits, model = self.engine.read(ids, features[0])
        grammar, plan = self.grammar.start(1), self.plan.start(1) if self.plan else None
        for token in ids[1:]:  # the grammar begins after BOS
            grammar, plan = self._follow(grammar, plan, np.array([token]))
        if hold_back is not None:
            grammar = self.grammar.hold_back(grammar, hold_back)
        return Moment(model, grammar, plan, logits[None], self._nothing_before(1))

    def resume(self, ids: np.ndarray, moment: Moment) -> Moment:
        """The moment of one sequence after `ids`, which may come from elsewhere, under this player's plan."""
        grammar, plan = self.grammar.start(1), self.plan.start(1) if self.plan else None
        for token in ids[1:].astype(np.int64) if self.plan else ():
            grammar, plan = self._follow(grammar, plan, np.array([token]))
        return moment._replace(plan=plan, before=self._nothing_before(1))

    def options(self, moment: Moment) -> Options:
        """What may come next."""
        if moment.options is not None:
            return moment.options
        grammar, plan, bias = moment.grammar, moment.plan, None
        lawful = allowed = self.grammar.allowed(grammar)
        if self.plan:
            allowed, bias = self.plan.narrow(grammar, plan, lawful), self.plan.bias(grammar, plan)
        clock = self.grammar.clock(grammar)
        allowed = self._sayable.narrow(clock, allowed)
        if self._met is not None:
            known = allowed & self._met
            some = known.any(axis=1)
            allowed = known if some.all() else np.where(some[:, None], known, allowed)
        if self.lengths is not None:
            allowed = self.lengths.narrow(clock, allowed)
            if (late := self.lengths.bias(clock, allowed.shape[1])) is not None:
                bias = late if bias is None else bias + late
        return Options(lawful, allowed, bias)

    def follow(self, moment: Moment, tokens: np.ndarray) -> Moment:
        """After one more token a row, int64 (B,), but for what the model makes of it: that is for `step` to say.

        What needs no model is better done before the engine's step than after it: a step goes through all weights,
        and leaves nothing else in the caches.
        """
        grammar, plan = self._follow(moment.grammar, moment.plan, tokens)
        after = Moment(moment.model, grammar, plan, moment.logits, moment.before)
        if self.endless and np.count_nonzero(ended := tokens == EOS):
            rows = ended.nonzero()[0]
            after = put(after, rows, self._anew(take(after, rows)))
        return after._replace(options=self.options(after))

    def step(self, moment: Moment, tokens: np.ndarray, turn: Turn | None = None) -> Moment:
        """What `follow` gave for these tokens, with what the model expects next. `turn` is paused for the engine."""
        ended = (tokens == EOS).nonzero()[0] if self.endless else tokens[:0]
        features = self.grammar.features(moment.grammar)
        with nullcontext() if turn is None else turn.paused():
            logits, model = self.engine.step(tokens, features, moment.model)
        after = moment._replace(model=model, logits=logits)
        # Where a piece has ended the next one begins, of which nothing is said yet.
        return put(after, ended, take(moment, ended)) if len(ended) else after

    def clock(self, moment: Moment) -> Clock:
        """How far the music of each row has come, with the pieces before the present one."""
        clock = self.grammar.clock(moment.grammar)
        if moment.before is None:
            return clock
        step, bar, seconds = moment.before
        return Clock(clock.step + step, clock.bar + bar, clock.position, clock.length, clock.seconds + seconds)

    def _anew(self, ended: Moment) -> Moment:
        """The beginning of the next piece for each row of `ended`."""
        step, bar, position, length, seconds = self.grammar.clock(ended.grammar)
        rest = (length - position) % length  # to the next bar line
        spent = Before(step + rest, bar + (rest > 0), seconds + rest * self.tokenizer.seconds_per_step)
        if self._beginning is None:
            self._beginning = self.read(np.array([BOS]))
        assert ended.before is not None
        before = Before(*(old + new for old, new in zip(ended.before, spent, strict=True)))
        return take(self._beginning, [0] * len(ended.logits))._replace(before=before)

    def _nothing_before(self, batch: int) -> Before | None:
        zero = np.zeros(batch, np.int64)
        return Before(zero, zero, np.zeros(batch)) if self.endless else None

    def _follow(self, grammar: Any, plan: Any, tokens: np.ndarray) -> tuple[Any, Any]:
        after = self.grammar.advance(grammar, tokens)
        return after, self.plan.advance(plan, grammar, tokens, after) if self.plan else None
