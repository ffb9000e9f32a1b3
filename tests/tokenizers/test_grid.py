"""Steps, meters and bar lines on a metrical grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.score import METER, Score, bar_ticks, make_notes
from musiclstm.tokenizers.grid import (
    LONGEST_BAR,
    nearest_meter,
    nearest_step,
    quantise_meters,
    steps_of,
    supported_meters,
)
from tests.strategies import scores

STEPS = st.sampled_from([1, 2, 3, 4, 7, 12, 24])


def with_meters(*meters: tuple[int, int, int], first_bar: int = 0) -> Score:
    return Score(make_notes([0], [400], [60]), 4, meters=np.array(list(meters), METER), first_bar=first_bar)


@pytest.mark.parametrize("steps", range(1, 25))
def test_every_supported_bar_is_whole_in_steps(steps: int) -> None:
    supported = supported_meters(steps)
    assert {(2, 4), (3, 4), (4, 4), (8, 4)} <= set(supported)
    assert (6, 8) in supported or steps == 1
    for numerator, denominator in supported:
        length = numerator * 4 * steps / denominator
        assert length == bar_ticks(numerator, denominator, steps)
        assert length <= LONGEST_BAR * steps


@pytest.mark.parametrize(
    ("meter", "stands_for"),
    [((7, 8), (7, 8)), ((4, 1), (8, 4)), ((16, 4), (8, 4)), ((17, 16), (16, 16)), ((3, 32), (1, 16)), ((0, 4), (1, 4))],
)
def test_a_meter_that_is_not_supported(meter: tuple[int, int], stands_for: tuple[int, int]) -> None:
    length = stands_for[0] / stands_for[1]
    numerator, denominator = nearest_meter(*meter, supported_meters(4))
    assert numerator / denominator == length


def test_times_go_to_the_nearest_step() -> None:
    score = Score(make_notes([0, 59, 60, 2**31 - 481], [0, 61, 180, 2**31 - 1], 60), 480)
    start, end = steps_of(score, 4)
    assert start.tolist() == [0, 0, 1, 17895693]  # half a step goes up
    assert end.tolist() == [1, 1, 2, 17895697]  # no note is without length
    assert [nearest_step(score, tick, 4) for tick in (0, 59, 60, 179, 180)] == [0, 0, 1, 1, 2]


def test_a_change_inside_a_bar_waits_for_the_next() -> None:
    meters, first_bar = quantise_meters(with_meters((0, 4, 4), (17, 3, 4), (44, 3, 4), (60, 2, 4)), 4, 400)
    assert meters.tolist() == [(0, 4, 4), (32, 3, 4), (68, 2, 4)]
    assert first_bar == 0


def test_of_several_changes_at_one_bar_the_last_holds() -> None:
    meters, _ = quantise_meters(with_meters((0, 4, 4), (9, 3, 4), (12, 6, 8), (16, 2, 4)), 4, 400)
    assert meters.tolist() == [(0, 4, 4), (16, 2, 4)]
    meters, _ = quantise_meters(with_meters((0, 4, 4), (9, 3, 4), (16, 4, 4), (48, 2, 4)), 4, 400)
    assert meters.tolist() == [(0, 4, 4), (48, 2, 4)]
    meters, _ = quantise_meters(with_meters((0, 4, 4), (0, 3, 4)), 4, 400)
    assert meters.tolist() == [(0, 3, 4)]


def test_changes_at_the_end_or_later_are_left_out() -> None:
    score = with_meters((0, 4, 4), (32, 3, 4))
    assert quantise_meters(score, 4, 32)[0].tolist() == [(0, 4, 4)]
    assert quantise_meters(score, 4, 33)[0].tolist() == [(0, 4, 4), (32, 3, 4)]


def test_bars_are_counted_from_the_pickup() -> None:
    meters, first_bar = quantise_meters(with_meters((0, 3, 4), (16, 2, 4), first_bar=4), 4, 400)
    assert meters.tolist() == [(0, 3, 4), (16, 2, 4)]
    assert first_bar == 4


@settings(deadline=None)
@given(score=scores(), steps=STEPS, share=st.floats(0, 1))
def test_quantised_meters(score: Score, steps: int, share: float) -> None:
    end = int(share * nearest_step(score, score.end, steps)) + 1
    meters, first_bar = quantise_meters(score, steps, end)
    kept = Score(make_notes([0], [end], [60]), steps, meters=meters, first_bar=first_bar)
    assert meters["tick"][0] == 0
    assert (np.diff(meters["tick"]) > 0).all()
    assert (meters["tick"] < end).all()
    assert all(tuple(meter)[1:] in supported_meters(steps) for meter in meters.tolist())
    assert all(a[1:] != b[1:] for a, b in zip(meters.tolist(), meters.tolist()[1:], strict=False))
    _, numerator, denominator = meters.tolist()[0]
    assert first_bar < bar_ticks(numerator, denominator, steps)
    for (at, numerator, denominator), after in zip(meters.tolist(), meters["tick"][1:].tolist(), strict=False):
        begins = at + (first_bar if at == 0 else 0)
        assert (after - begins) % bar_ticks(numerator, denominator, steps) == 0  # so long as it holds bars are whole
    again, first_again = quantise_meters(kept, steps, end)
    assert again.tolist() == meters.tolist()
    assert first_again == first_bar
