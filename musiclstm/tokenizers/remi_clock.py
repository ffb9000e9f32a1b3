"""Where the bars and positions of a `remi` sequence put its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.base import Reading, carry_forward, delayed
from musiclstm.tokenizers.metre import Metre
from musiclstm.tokenizers.remi_pitches import PitchReading
from musiclstm.tokenizers.vocabulary import Vocabulary


@dataclass
class RemiReading(Reading):
    """Also, each (B,): the step of the bar line, the position in the bar, and what is in force of meter (index, -1
    none), program (plus one, 0 none) and tempo (microseconds a quarter note); and what was read of the pitches."""

    line: np.ndarray
    position: np.ndarray
    meter: np.ndarray
    program: np.ndarray
    microseconds: np.ndarray
    pitches: PitchReading

    @classmethod
    def start(cls, batch: int, microseconds: int) -> RemiReading:
        zero = np.zeros(batch, np.int64)
        return cls(zero * 0.0, zero, zero, zero, zero - 1, zero, zero + microseconds, PitchReading.start(batch))

    @property
    def step(self) -> np.ndarray:
        return np.maximum(self.line + self.position, 0)


class Places(NamedTuple):
    """At each token (B, T): its step, that of its bar line, its meter (index, -1 none), the full bars completed.

    The bar line of a pickup is that of the bar which the pickup is the end of, and so before step 0.
    """

    step: np.ndarray
    line: np.ndarray
    meter: np.ndarray
    bars: np.ndarray


def read_places(vocabulary: Vocabulary, metre: Metre, ids: np.ndarray, reading: RemiReading) -> Places:
    """The places of `ids` (int64, (B, T)) that go on from `reading`."""
    bar, pickup, position = (vocabulary.has(kind, ids) for kind in ("Bar", "Pickup", "Position"))
    signature = vocabulary.has("TimeSignature", ids)
    meter = carry_forward(ids - vocabulary.first("TimeSignature"), signature, reading.meter)
    before = delayed(meter, reading.meter)
    length = np.where(before >= 0, metre.lengths[before], 0)  # the first bar line ends no bar
    opened = ids - vocabulary.first("Pickup") + 1 - length
    line = reading.line[:, None] + np.cumsum(np.where(bar, length, np.where(pickup, opened, 0)), axis=1)
    bars = reading.bars[:, None] + np.cumsum((bar & (before >= 0)).astype(np.int64) - pickup, axis=1)
    within = carry_forward(np.where(bar, 0, ids - vocabulary.first("Position")), bar | position, reading.position)
    return Places(np.maximum(line + within, 0), line, meter, bars)
