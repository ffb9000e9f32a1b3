"""The header and bar lines that every tokenizer on a grid writes and reads: TimeSignature and Pickup.

`TimeSignature_n/d` stands at the bar line from which it holds, the first one before everything else; a
`Pickup_k` directly after the first says that the piece opens with k steps of an unfinished bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from musiclstm.score import METER, bar_ticks
from musiclstm.tokenizers.base import carry_forward
from musiclstm.tokenizers.grid import LONGEST_BAR, supported_meters
from musiclstm.tokenizers.vocabulary import Vocabulary


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


def bars_so_far(bars: np.ndarray) -> np.ndarray:
    """The context feature that says how far a piece has come: without it a model cannot know when to end.

    From full bars completed (a pickup is -1) to 0 up to `MOST_BARS`.
    """
    return np.clip(bars + 1, 0, MOST_BARS)


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
    before = np.concatenate([reading.origin[:, None], origin[:, :-1]], axis=1)
    length_before = metre.lengths[np.concatenate([reading.meter[:, None], meter[:, :-1]], axis=1)]
    gained = np.where(pickup, -1, np.where(signature, -(-(steps - before) // length_before), 0))
    base = reading.bars[:, None] + np.cumsum(gained, axis=1)
    since = steps - origin
    last = BarReading(meter[:, -1], origin[:, -1], base[:, -1])
    return since % length, meter, base + since // length, last


class BarState(NamedTuple):
    """The same for a grammar, in torch, one token at a time; each (B,)."""

    meter: torch.Tensor  # -1 before the first TimeSignature
    origin: torch.Tensor


class MetreGrammar:
    """The part of a grammar that knows where TimeSignature and Pickup may stand."""

    def __init__(self, metre: Metre) -> None:
        self.metre = metre
        self.lengths = torch.from_numpy(metre.lengths)

    def start(self, batch: int, device: torch.device | str) -> BarState:
        return BarState(
            torch.full((batch,), -1, dtype=torch.int64, device=device),
            torch.zeros(batch, dtype=torch.int64, device=device),
        )

    def position(self, state: BarState, step: torch.Tensor) -> torch.Tensor:
        """Steps since the bar line, (B,)."""
        return (step - state.origin) % self.length(state)

    def length(self, state: BarState) -> torch.Tensor:
        """Steps in the present bar, (B,)."""
        return self.lengths.to(state.meter.device)[state.meter.clamp(min=0)]

    def allow(self, mask: torch.Tensor, state: BarState, change: torch.Tensor, pickup: torch.Tensor) -> None:
        """Sets in `mask` (B, V) the meters that differ from the present one where `change`, and the pickups
        shorter than a bar where `pickup` (both (B,) bool)."""
        signatures, pickups = self.metre.signatures, self.metre.pickups
        index = torch.arange(len(signatures), device=mask.device)
        mask[:, signatures.start : signatures.stop] = change[:, None] & (index != state.meter[:, None])
        steps = torch.arange(1, len(pickups) + 1, device=mask.device)
        mask[:, pickups.start : pickups.stop] = pickup[:, None] & (steps < self.length(state)[:, None])

    def advance(self, state: BarState, tokens: torch.Tensor, step: torch.Tensor) -> BarState:
        """`step` (B,) is where the token stands."""
        signatures, pickups = self.metre.signatures, self.metre.pickups
        signature = (tokens >= signatures.start) & (tokens < signatures.stop)
        pickup = (tokens >= pickups.start) & (tokens < pickups.stop)
        meter = torch.where(signature, tokens - signatures.start, state.meter)
        opened = step + (tokens - pickups.start + 1) - self.length(state)
        origin = torch.where(signature, step, torch.where(pickup, opened, state.origin))
        return BarState(meter, origin)
