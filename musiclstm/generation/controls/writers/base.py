"""What every tokenizer's writer is, and what those on a grid of steps share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.general_midi import program_name
from musiclstm.generation.controls.tables import Bars
from musiclstm.score import DRUMS
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.vocabulary import EOS, Vocabulary

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.generation.controls.tables import Tables

NONE = range(0)
PITCHES = np.arange(128)


class Writer(ABC):
    """One tokenizer's side of a plan. `g` is a state of its grammar, `p` one of the plan; B sequences, V tokens."""

    bars: Bars
    pitch_tokens: range | None
    """Those that begin a note, in order of pitch; None where only drums play."""
    in_seconds = False
    num_voices = 0
    """Of a tokenizer that has a fixed number of voices, else 0."""
    doubles = False
    """Whether one pitch may begin twice at a step."""
    joins = False
    """Whether a pitch cannot begin at one step after another."""
    fills = False
    """Whether its pieces last to the end of their last step, so that something has to sound there."""
    signatures: range = NONE
    pickups: range = NONE
    left_by_pickup: np.ndarray
    """(M,): pickups have to be shorter, if the last bar is of this meter."""
    pickup_allowed: np.ndarray
    """(pickups,) bool, of a plan with an end."""
    towards: np.ndarray
    """(V,) float32: the share of each token in a push towards more notes."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.size = len(vocabulary)
        if "TimeSignature" in vocabulary.types:
            self.signatures, self.pickups = vocabulary.range("TimeSignature"), vocabulary.range("Pickup")
        ids = np.arange(self.size)
        self.is_signature = np.isin(ids, np.array(self.signatures, np.int64))
        self.pickup_steps = np.where(
            (ids >= self.pickups.start) & (ids < self.pickups.stop), ids - self.pickups.start + 1, 0
        )
        self.is_header: np.ndarray = (self.is_signature | (self.pickup_steps > 0)).astype(np.int64)
        self.only_ends = ids <= EOS
        self.towards = np.zeros(self.size, np.float32)

    def bind(self, tables: Tables, fixed: Fixed | None) -> None:
        """Takes the tables of a plan, and the notes that have to occur in it."""
        self.tables, self.fixed = tables, fixed
        self.most = np.minimum(tables.polyphony, self._at_once())
        if len(self.signatures):
            # A pickup has to leave something of the last bar, and a place at which a note may begin.
            least: np.ndarray = self.bars.lengths
            last = 0
            if tables.last_bar is not None:
                last = int(tables.segments(np.array(tables.last_bar)))
                if "rhythm" in tables.asked:
                    rhythm = tables.rhythm_row[last, least]
                    least = least - np.where(rhythm > 0, tables.following[rhythm, 0], 0)
            self.left_by_pickup = least
            steps = np.arange(1, len(self.pickups) + 1)
            self.pickup_allowed = np.any(tables.meters[last] & (steps[:, None] < least), axis=1)
            self.known_last = bool(tables.meters[last].sum() == 1)
            if not self.known_last:  # one that is asked for before may stay
                single = tables.meters[tables.meters.sum(1) == 1].any(0)
                self.pickup_allowed &= steps < least[single].min(initial=steps[-1] + 1)
            if fixed is not None:
                self.pickup_allowed &= steps == fixed.pickup

    @abstractmethod
    def _at_once(self) -> np.ndarray:
        """How many notes can begin at each of many steps, (S,)."""

    def at_once(self, value: dict[str, Any], polyphony: int, pitches: np.ndarray, apart: bool = False) -> int:
        """The same under a segment's values, of which `pitches` (128,) may begin; `apart`: at steps that need not
        follow each other."""
        return min(polyphony, int(pitches.sum()))

    def may_drum(self, value: dict[str, Any]) -> bool:
        """Whether under a segment's values there may be drums, which nothing limits."""
        return False

    @abstractmethod
    def clock(self, g: Any) -> Clock:
        """Of the grammar's state."""

    @abstractmethod
    def meter(self, g: Any) -> np.ndarray:
        """The index of the meter in force, (B,)."""

    @abstractmethod
    def begins(self, g: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens (B,) begin a note after `g`, bool, and its pitch (0 where none), both (B,)."""

    @abstractmethod
    def narrow(self, plan: Plan, g: Any, p: PlanState, allowed: np.ndarray, mask: np.ndarray) -> None:
        """Takes from `mask` (B, V), which has been narrowed to the rows in force, what a constraint forbids now.
        `allowed` is what the grammar allows."""

    def position(self, g: Any) -> np.ndarray:
        return self.clock(g).position

    def pickup(self, tokens: np.ndarray) -> np.ndarray:
        """The steps of the pickups among `tokens`, 0 for others."""
        return self.pickup_steps.take(tokens)

    def keep_to_rows(self, g: Any, allowed: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """`allowed` without what the rows in force ((B, V) bool) forbid: a new array."""
        rows &= allowed
        return rows

    def restrict(self, row: np.ndarray, value: dict[str, Any], met: np.ndarray) -> None:
        """Takes from a row (V,) what a segment's values forbid; raises UserError where nothing is left."""
        programs = value.get("instruments")
        if programs is not None and DRUMS in programs:
            raise UserError("instruments: the model plays no drums; leave them out, or take one with tokenizer=remi")

    def watches(self, tables: Tables) -> bool:
        """Whether there is something to narrow besides rows, of settings that concern this tokenizer alone."""
        return False


def hush(mask: np.ndarray, span: range | slice, rows: np.ndarray) -> None:
    """Takes the tokens of `span` from the rows of `mask` that `rows` ((B,) bool) names."""
    mask[:, span.start : span.stop] &= ~rows[:, None]


class GridWriter(Writer):
    """Voices and frames: step after step, none left out, and EOS where the piece is to end."""

    fills = True

    def clock(self, g: Any) -> Clock:
        clock: Clock = g.bar.clock
        return clock

    def meter(self, g: Any) -> np.ndarray:
        meter: np.ndarray = g.bar.meter
        return meter

    def end(self, plan: Plan, g: Any, p: PlanState, mask: np.ndarray) -> None:
        """The end of the piece, at which nothing else may follow and before which it may not come."""
        tables, clock = self.tables, p.clock
        if tables.last_bar is not None:
            mask[:, EOS] &= p.over
            if np.count_nonzero(p.over):
                mask &= ~p.over[:, None] | self.only_ends
            shorten(self, p, self.meter(g), mask)
            return
        if np.count_nonzero(mask[:, EOS]):
            inside = clock.position > 0
            if "rhythm" in tables.asked:
                mask[:, EOS] &= ~(inside & ((p.may & p.must) | (p.later > 0)) & (p.rhythm > 0))
            if plan.longest_repeat:
                mask[:, EOS] &= ~(inside & plan.repeats(p, p.mark))


def shorten(writer: Writer, p: PlanState, meter: np.ndarray, mask: np.ndarray) -> None:
    """Takes meters from `mask` that are no longer than the pickup, and pickups that leave nothing of the last bar,
    or are not those of the notes that have to occur."""
    signatures, pickups, fixed = writer.signatures, writer.pickups, writer.fixed
    if not len(signatures):
        return
    if not writer.known_last and np.count_nonzero(p.pickup):
        mask[:, signatures.start : signatures.stop] &= writer.left_by_pickup > p.pickup[:, None]
    opened = mask[:, pickups.start]
    if np.count_nonzero(opened):
        mask[:, pickups.start : pickups.stop] &= writer.pickup_allowed
        if not writer.known_last:
            steps = writer.pickup_steps[pickups.start : pickups.stop]
            mask[:, pickups.start : pickups.stop] &= steps < writer.left_by_pickup.take(meter)[:, None]
        if fixed is not None and fixed.pickup:
            mask &= ~opened[:, None] | (writer.pickup_steps == fixed.pickup)


def programs_said(programs: Any) -> str:
    """Programs in words, for a message."""
    return ", ".join("drums" if program == DRUMS else program_name(int(program)) for program in programs)
