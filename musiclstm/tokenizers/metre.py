"""The header and bar lines that every tokenizer on a grid writes and reads: TimeSignature and Pickup.

`TimeSignature_n/d` stands at the bar line from which it holds, the first one before everything else; a
`Pickup_k` directly after the first says that the piece opens with k steps of an unfinished bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.score import METER, bar_ticks
from musiclstm.tokenizers.base import carry_forward, delayed
from musiclstm.tokenizers.grammar import ONE, ZERO, Clock, columns
from musiclstm.tokenizers.grid import LONGEST_BAR, supported_meters
from musiclstm.tokenizers.vocabulary import EOS, PAD, Vocabulary


class Metre:
    """Meters and pickups of one grid: their tokens, and the bar position that follows from them."""

    def __init__(self, steps_per_quarter: int) -> None:
        self.steps_per_quarter = steps_per_quarter
        self.meters = supported_meters(steps_per_quarter)
        self.lengths = np.array([bar_ticks(n, d, steps_per_quarter) for n, d in self.meters])
        self.longest = LONGEST_BAR * steps_per_quarter

    def types(self) -> dict[str, list[object]]:
        """The token types, for a vocabulary."""
        return {
            "TimeSignature": [f"{n}/{d}" for n, d in self.meters],
            "Pickup": list(range(1, self.longest)),
        }

    def bind(self, vocabulary: Vocabulary) -> None:
        """Takes the ids of its tokens from the vocabulary that they became part of."""
        self.signatures, self.pickups = vocabulary.range("TimeSignature"), vocabulary.range("Pickup")

    def encode(self, meters: np.ndarray, first_bar: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and steps of the meters and pickup of a quantised score."""
        index = {meter: i for i, meter in enumerate(self.meters)}
        ids = [self.signatures.start + index[n, d] for _, n, d in meters.tolist()]
        steps = meters["tick"].tolist()
        if first_bar:
            ids.insert(1, self.pickups.start + first_bar - 1)
            steps.insert(1, 0)
        return np.array(ids, np.int64), np.array(steps, np.int64)

    def decode(self, ids: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, int]:
        """Meters (`METER`) and pickup from a sequence and the step at which each of its tokens stands."""
        at = (ids >= self.signatures.start) & (ids < self.signatures.stop)
        meters = np.array(
            [(step, *self.meters[i - self.signatures.start]) for i, step in zip(ids[at], steps[at], strict=True)], METER
        )
        pickups = ids[(ids >= self.pickups.start) & (ids < self.pickups.stop)]
        return meters, int(pickups[0]) - self.pickups.start + 1 if len(pickups) else 0


MOST_BARS = 63  # from here on every bar looks the same to the model
LATEST = np.full(1, MOST_BARS)


def bars_so_far(bars: np.ndarray) -> np.ndarray:
    """The context feature that says how far a piece has come: without it a model cannot know when to end.

    From full bars completed (a pickup is -1) to 0 up to `MOST_BARS`.
    """
    return np.minimum(np.maximum(bars + ONE, ZERO), LATEST)


class BarReading(NamedTuple):
    """The meter in force (index), the step where its bars are counted from, and the bars before; each (B,)."""

    meter: np.ndarray
    origin: np.ndarray
    bars: np.ndarray

    @classmethod
    def start(cls, batch: int) -> BarReading:
        zero = np.zeros(batch, np.int64)
        return cls(zero, zero, zero)


def read_bars(
    metre: Metre, ids: np.ndarray, steps: np.ndarray, reading: BarReading
) -> tuple[np.ndarray, np.ndarray, np.ndarray, BarReading]:
    """Position in the bar, meter and number of full bars completed at `steps`, for each of `ids`; all (B, T).

    `steps` is the step at which the token after each of `ids` will stand.
    """
    signature = (ids >= metre.signatures.start) & (ids < metre.signatures.stop)
    pickup = (ids >= metre.pickups.start) & (ids < metre.pickups.stop)
    meter = carry_forward(ids - metre.signatures.start, signature, reading.meter)
    length = metre.lengths[meter]
    begun = signature | pickup
    origin_here = np.where(pickup, steps + (ids - metre.pickups.start + 1) - length, steps)
    origin = carry_forward(origin_here, begun, reading.origin)
    # How many bars were full where the present meter began: a running sum over the changes of meter.
    before = delayed(origin, reading.origin)
    length_before = metre.lengths[delayed(meter, reading.meter)]
    gained = np.where(pickup, -1, np.where(signature, -(-(steps - before) // length_before), 0))
    base = reading.bars[:, None] + np.cumsum(gained, axis=1)
    since = steps - origin
    last = BarReading(meter[:, -1], origin[:, -1], base[:, -1])
    return since % length, meter, base + since // length, last


BEGIN, OPENED, STATED, WITHIN, CLOSED, BAR, ENDED = range(7)
"""The phases of a sequence on a grid: before its first meter; after it, where a Pickup may follow; after another
TimeSignature or the Pickup; within a step; after a step, and after one that completed a bar; after EOS."""


class BarState(NamedTuple):
    """Where a grammar on a grid stands; each (B,)."""

    clock: Clock
    phase: np.ndarray
    """One of `BEGIN` to `ENDED`."""
    meter: np.ndarray
    """The index of the meter in force, 0 before the first."""


class MetreGrammar:
    """The part of a grammar that counts steps and bars, and knows where TimeSignature, Pickup and EOS may stand."""

    def __init__(self, metre: Metre, music: range, size: int, seconds_per_step: float) -> None:
        """`music` are the ids of all tokens but those, of the `size` that there are."""
        self.lengths, self.meters = metre.lengths, np.full(1, len(metre.meters))
        self.seconds_per_step = np.full(1, seconds_per_step)
        allowed = np.zeros((ENDED + 1, len(metre.meters), size), bool)
        allowed[OPENED:ENDED, :, music.start : music.stop] = True
        allowed[[BEGIN, BAR], :, metre.signatures.start : metre.signatures.stop] = True
        for meter, length in enumerate(metre.lengths.tolist()):
            allowed[BAR, meter, metre.signatures.start + meter] = False
            allowed[OPENED, meter, metre.pickups.start : metre.pickups.start + length - 1] = True
        allowed[[CLOSED, BAR], :, EOS] = True
        allowed[ENDED, :, PAD] = True
        self.rows = allowed.reshape(-1, size)
        index = np.arange(len(metre.meters))
        header = range(metre.signatures.start, metre.pickups.stop)
        self.leads_to = columns(size, {range(size): ENDED, header: STATED, music: WITHIN})[0]
        self.stated, self.said = columns(size, {metre.signatures: 1}, {metre.signatures: index})
        self.pickup = columns(size, {metre.pickups: np.arange(1, len(metre.pickups) + 1)})[0]

    def start(self, batch: int) -> BarState:
        zero = np.zeros(batch, np.int64)
        return BarState(Clock(zero, zero, zero, self.lengths[zero], zero * 0.0), zero, zero)

    def allowed(self, state: BarState) -> np.ndarray:
        """A mask (B, V), in which EOS may follow any step and any of the other tokens may stand within one."""
        return self.rows.take(state.phase * self.meters + state.meter, 0)

    def advance(self, state: BarState, tokens: np.ndarray, closes: np.ndarray) -> BarState:
        """The state after `tokens`, of which some close a step: `closes` is 1 for them and else 0, int64 (B,)."""
        clock, after = state.clock, self.leads_to.take(tokens)
        header = np.count_nonzero(after == STATED) > 0
        if np.count_nonzero(closes):
            step, position = clock.step + closes, clock.position + closes
            full = position // clock.length
            seconds = step.astype(np.float64) * self.seconds_per_step
            clock = Clock(step, clock.bar + full, position - full * clock.length, clock.length, seconds)
            after = after + closes + full
        moved = BarState(clock, after, state.meter)
        return self._state(moved, tokens, state.phase == BEGIN) if header else moved

    def _state(self, state: BarState, tokens: np.ndarray, begins: np.ndarray) -> BarState:
        """Sees to the TimeSignatures and Pickups among `tokens`; `begins` ((B,) bool) where none came before."""
        (step, bar, position, _, seconds), after, meter = state
        stated, pickup = self.stated.take(tokens) > 0, self.pickup.take(tokens)
        meter = np.where(stated, self.said.take(tokens), meter)
        length, opened = self.lengths.take(meter), pickup > 0
        position = np.where(opened, length - pickup, np.where(stated, 0, position))
        after = np.where(stated & begins, OPENED, after)
        return BarState(Clock(step, bar - opened, position, length, seconds), after, meter)
