"""What tokenizers on a metrical grid share: steps, meters, bars and the pickup."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np

from musiclstm.score import METER, Score, bar_ticks

LONGEST_BAR = 8  # quarter notes


@cache
def supported_meters(steps_per_quarter: int) -> list[tuple[int, int]]:
    """(numerator, denominator) of every meter whose bar is whole in steps and not above `LONGEST_BAR`."""
    return [
        (numerator, denominator)
        for denominator in (2, 4, 8, 16)
        for numerator in range(1, 17)
        if numerator * 4 * steps_per_quarter % denominator == 0 and numerator * 4 <= LONGEST_BAR * denominator
    ]


def nearest_meter(numerator: int, denominator: int, supported: list[tuple[int, int]]) -> tuple[int, int]:
    """The supported meter that stands for one that may not be: of the nearest bar length, then denominator."""
    if (numerator, denominator) in supported:
        return numerator, denominator
    length = Fraction(max(numerator, 1), max(denominator, 1))
    while length * 4 > LONGEST_BAR and length.numerator % 2 == 0:
        length /= 2  # a 16/4 is heard as bars of 8/4, not as one of some other length
    return min(supported, key=lambda m: (abs(Fraction(*m) - length), abs(m[1] - denominator), m))


def steps_of(score: Score, steps_per_quarter: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest step (int64) of each note's start and end, ends at least a step after their starts."""
    scale, half = steps_per_quarter, score.ticks_per_quarter
    start, end = (
        (2 * scale * score.notes[key].astype(np.int64) + half) // (2 * score.ticks_per_quarter)
        for key in ("start", "end")
    )
    return start, np.maximum(end, start + 1)


def nearest_step(score: Score, tick: int, steps_per_quarter: int) -> int:
    """The step nearest to a tick."""
    return (2 * steps_per_quarter * tick + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)


def quantise_meters(score: Score, steps_per_quarter: int, end: int) -> tuple[np.ndarray, int]:
    """Meters (`METER`, ticks being steps) on bar lines before step `end`, and the step of the first full bar.

    A change that stands inside a bar waits for the next bar line: notes keep their time, only the line moves.
    """
    supported = supported_meters(steps_per_quarter)
    meters: list[tuple[int, int, int]] = []
    line, length, pickup = 0, 0, 0
    for tick, numerator, denominator in score.meters.tolist():
        meter = nearest_meter(numerator, denominator, supported)
        if not meters:
            length = bar_ticks(*meter, steps_per_quarter)
            pickup = nearest_step(score, score.first_bar, steps_per_quarter) % length
            meters.append((0, *meter))
            line = pickup
            continue
        at = line + max(0, -(-(nearest_step(score, tick, steps_per_quarter) - line) // length)) * length
        if at >= end:
            break
        if at == meters[-1][0]:
            meters.pop()
        if not meters or meters[-1][1:] != meter:
            meters.append((at, *meter))
            line = at
        length = bar_ticks(*meters[-1][1:], steps_per_quarter)
    return np.array(meters, METER), pickup
