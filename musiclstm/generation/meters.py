"""Which pickups and changes of meter a MIDI file can say, of those that tokens can.

MIDI has no pickup. It is written as a first bar with a meter of its own, so it has to be some number of 128ths or
longer notes, the meter after it cannot change with the first bar line, and a full first bar with a longer one behind
it would read as a pickup. What is read and encoded may have all of these; what is generated may not.
"""

from __future__ import annotations

import numpy as np

from musiclstm.score import as_meter
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.metre import Metre


class Sayable:
    """Takes from what is allowed next the pickups and meters that would not be in the file."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        metre = getattr(tokenizer, "metre", None)
        self._metre: Metre | None = metre if isinstance(metre, Metre) else None
        if self._metre is None:
            return
        self._signatures = slice(self._metre.signatures.start, self._metre.signatures.stop)
        self._pickups = slice(self._metre.pickups.start, self._metre.pickups.stop)
        self._said = sayable_pickups(self._metre)

    def narrow(self, clock: Clock, allowed: np.ndarray) -> np.ndarray:
        """`allowed` (B, V) where the clock stands, without them: the same array where there are none."""
        if self._metre is None or clock.bar.min() > 1:
            return allowed
        first = clock.step == 0
        if np.count_nonzero(first):
            if np.count_nonzero(allowed[:, self._pickups.start]):
                allowed = allowed.copy()
                allowed[:, self._pickups] &= self._said
            if np.count_nonzero(first) == len(first):
                return allowed
        # at the first bar line after a pickup, and at the second of a piece without one
        after_pickup = ~first & (clock.bar == 0) & (clock.position == 0)
        after_first = (clock.bar == 1) & (clock.step == clock.length)
        if np.count_nonzero(after_pickup | after_first):
            allowed = allowed.copy()
            allowed[:, self._signatures] &= ~after_pickup[:, None]
            longer = self._metre.lengths > clock.length[:, None]
            allowed[:, self._signatures] &= ~(longer & after_first[:, None])
        return allowed


def sayable_pickups(metre: Metre) -> np.ndarray:
    """Of pickups of 1, 2, ... steps those that MIDI has a meter for: bool."""
    denominators = sorted({denominator for _, denominator in metre.meters})
    return np.array(
        [
            all(as_meter(steps, metre.steps_per_quarter, denominator) for denominator in denominators)
            for steps in range(1, len(metre.pickups) + 1)
        ]
    )
