from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musiclstm.errors import UserError
from musiclstm.generation.sampling import RowStreams, Sampling, apply_temperature, min_p, sample, top_k, top_p

WEIGHTS = np.array([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]])


def test_temperature_divides_the_logits() -> None:
    logits = np.array([[1.0, 3.0, -2.0], [0.0, 0.0, 0.0]], np.float32)
    weights = apply_temperature(logits, 0.5)
    expected = np.exp(logits / 0.5)
    assert np.allclose(weights / weights.sum(1, keepdims=True), expected / expected.sum(1, keepdims=True))


def test_a_tiny_temperature_takes_the_likeliest() -> None:
    assert apply_temperature(np.array([[1.0, 3.0, -2.0]]), 1e-300).tolist() == [[0, 1, 0]]


def test_top_k_keeps_the_k_largest() -> None:
    assert top_k(WEIGHTS[:1], 2).tolist() == [[0, 0.4, 0, 0.3]]
    assert top_k(WEIGHTS[:1], 9).tolist() == WEIGHTS[:1].tolist()


def test_top_p_keeps_the_largest_that_reach_p() -> None:
    assert top_p(WEIGHTS[:1], 0.4).tolist() == [[0, 0.4, 0, 0]]
    assert top_p(WEIGHTS[:1], 0.5).tolist() == [[0, 0.4, 0, 0.3]]
    assert top_p(WEIGHTS[:1], 1.0).tolist() == WEIGHTS[:1].tolist()
    assert top_p(7 * WEIGHTS[:1], 0.5).tolist() == top_p(WEIGHTS[:1] * 7, 0.5).tolist()


def test_min_p_keeps_what_is_near_the_largest() -> None:
    assert min_p(WEIGHTS[:1], 0.5).tolist() == [[0, 0.4, 0.2, 0.3]]
    assert min_p(WEIGHTS[:1], 0.0).tolist() == WEIGHTS[:1].tolist()


def test_equals_stay_or_go_together() -> None:
    for filtered in (top_k(WEIGHTS[1:], 1), top_p(WEIGHTS[1:], 0.3), min_p(WEIGHTS[1:], 0.99)):
        assert filtered.tolist() == WEIGHTS[1:].tolist()


@given(
    arrays(np.float32, (3, 7), elements=st.floats(-50, 50, width=32)),
    arrays(bool, (3, 7)),
    st.floats(0, 5),
    st.none() | st.integers(1, 9),
    st.none() | st.floats(1e-9, 1),
    st.none() | st.floats(0, 0.999),
)
def test_something_allowed_is_always_left(
    logits: np.ndarray, allowed: np.ndarray, temperature: float, k: int | None, p: float | None, m: float | None
) -> None:
    allowed[:, 2] = True
    weights = Sampling(temperature, k, p, m).weights(logits, allowed)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert not weights[~allowed].any()
    assert weights.any(axis=1).all()
    for uniform in (0.0, 0.37, 1 - 2**-53):
        tokens = sample(weights, np.full(3, uniform))
        assert (np.take_along_axis(weights, tokens[:, None], 1) > 0).all()


def test_the_order_is_mask_temperature_filters() -> None:
    logits = np.log(np.array([[0.5, 0.2, 0.2, 0.1]]))
    allowed = np.array([[False, True, True, True]])
    # of what is allowed the first two have 0.8, and at temperature 0.5 squared, 8/9
    assert (Sampling(0.5, top_p=0.85).weights(logits, allowed) > 0).tolist() == [[False, True, True, False]]
    assert (Sampling(1.0, top_p=0.85).weights(logits, allowed) > 0).tolist() == [[False, True, True, True]]


def test_temperature_zero_is_greedy() -> None:
    logits = np.array([[3.0, 1.0, 2.0]])
    assert Sampling(temperature=0).weights(logits, np.array([[False, True, True]])).tolist() == [[0, 0, 1]]


def test_sample_is_the_inverse_of_the_sum() -> None:
    weights = np.array([[0.0, 2.0, 0.0, 1.0, 1.0, 0.0]])
    uniform = np.array([0.0, 0.49, 0.5, 0.74, 0.75, 1 - 2**-53])
    assert sample(np.repeat(weights, 6, 0), uniform).tolist() == [1, 1, 3, 3, 4, 4]


def test_sample_draws_in_proportion() -> None:
    uniform = np.random.default_rng(0).random(40_000)
    tokens = sample(np.repeat(WEIGHTS[:1], len(uniform), 0), uniform)
    assert np.allclose(np.bincount(tokens, minlength=4) / len(uniform), WEIGHTS[0], atol=0.01)


def test_a_row_draws_the_same_whatever_is_beside_it() -> None:
    alone, together = RowStreams([(5, 2)]), RowStreams([(5, row) for row in range(4)])
    some = np.array([1, 2])
    drawn = []
    for i in range(600):  # nor on how often they draw
        both = together.uniform(some if i % 3 else np.arange(4))
        drawn.append((alone.uniform(np.array([0]))[0], both[1 if i % 3 else 2]))
    assert all(one == other for one, other in drawn)
    assert len({one for one, _ in drawn}) == 600


@pytest.mark.parametrize("bias", [None, [0.0, 1.0, 0.0, -1.0, 0.5, 0.0, 0.0]])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_p=0.7),
        Sampling(top_p=1e-9),
        Sampling(top_p=1.0),
        Sampling(0.6, top_p=0.95),
        Sampling(2.0, top_k=4, top_p=0.6),
        Sampling(top_p=0.9, min_p=0.4),
        Sampling(top_p=None, min_p=0.2),
        Sampling(1.5, top_k=2, top_p=None),
        Sampling(0.0),
    ],
)
def test_draws_are_as_likely_as_the_filtered_weights(sampling: Sampling, bias: list[float] | None) -> None:
    count = 1 << 14
    first, second = (np.arange(count) + 0.5) / count, np.arange(count) * (5**0.5 - 1) / 2 % 1  # evenly in the square
    uniform = first + second / 2**24
    ties = [1.0, 2.0, 1.0, 2.0, 0.0, 1.0, 3.0]
    for logits in (ties, [0.0] * 7, [3.0, -1.0, 2.5, 0.3, 1.1, -4.0, 2.0], [9.0, 0.0, -60.0, 1.0, -2.0, 0.5, 0.1]):
        rows = np.array([logits], np.float32)
        allowed = np.array([[True, True, True, True, True, False, True]])
        added = None if bias is None else np.array([bias], np.float32)
        weights = sampling.weights(rows if added is None else rows + added, allowed)[0].astype(np.float64)
        full = [np.repeat(each, count, 0) for each in (rows, allowed, rows * 0 if added is None else added)]
        drawn = sampling.draw(full[0], full[1], full[1], None if added is None else full[2], uniform)
        found = np.bincount(drawn.tokens, minlength=7) / count
        assert np.abs(found - weights / weights.sum()).max() <= 12 / count


def test_a_draw_does_not_hang_on_the_rows_beside_it() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (40, 391)).astype(np.float32)
    lawful = random.random(logits.shape) < 0.8
    allowed = lawful & (random.random(logits.shape) < 0.5)
    logits[7], logits[8, ~allowed[8]] = 0.0, 500.0  # one that is even, one that leaves next to nothing
    uniform = random.random(40)
    for sampling in (Sampling(), Sampling(0.8, top_p=0.3), Sampling(1.3, 20, 0.8, 0.1)):
        together = sampling.draw(logits, lawful, allowed, None, uniform)
        for row in range(40):
            own = slice(row, row + 1)
            alone = sampling.draw(logits[own], lawful[own], allowed[own], None, uniform[own])
            assert all(np.array_equal(one, many[own]) for one, many in zip(alone, together, strict=True))
        assert together.left.dtype == together.entropy.dtype == np.float32
        assert (together.entropy >= 0).all() and (together.masked > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -0.1}, "temperature=-0.1 .* at least 0"),
        ({"temperature": None}, "temperature=None"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_k": 0}, "top_k=0 .* at least 1"),
        ({"top_k": 1.5}, r"top_k=1\.5 .* whole number"),
        ({"top_p": 0}, "top_p=0 .* above 0 and at most 1"),
        ({"top_p": 1.1}, r"top_p=1\.1"),
        ({"top_p": "much"}, "top_p=much"),
        ({"min_p": 1}, "min_p=1 .* below 1"),
        ({"min_p": True}, "min_p=True"),
    ],
)
def test_bad_values_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Sampling(**arguments)


def test_draw_says_what_was_taken_away() -> None:
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4]], np.float32))
    lawful, allowed = np.array([[True, True, True, False]]), np.array([[False, True, True, False]])
    drawn = Sampling(top_p=None).draw(logits, lawful, allowed, None, np.array([0.39]))
    assert drawn.tokens.tolist() == [1]  # 0.2 of 0.5
    assert drawn.masked.tolist() == pytest.approx([0.4], abs=1e-6)
    assert drawn.left.tolist() == pytest.approx([0.5], abs=1e-6)
    assert Sampling(top_p=None).draw(logits, lawful, allowed, None, np.array([0.41])).tokens.tolist() == [2]
    biased = Sampling(top_p=None).draw(logits, lawful, allowed, np.array([[0, 50, 0, 99]]), np.array([0.9]))
    assert biased.tokens.tolist() == [1]
    assert biased.left.tolist() == pytest.approx([0.5], abs=1e-6)


def test_what_is_allowed_is_drawn_though_it_be_next_to_impossible() -> None:
    logits = np.array([[0.0, -2000.0, -2001.0]], np.float32)
    allowed = np.array([[False, True, True]])
    for temperature in (0, 0.5, 1.0):
        drawn = Sampling(temperature).draw(logits, allowed, allowed, None, np.array([0.1]))
        assert drawn.tokens.tolist() == [1]
        assert np.isfinite(drawn.left).all() and np.isfinite(drawn.entropy).all()
