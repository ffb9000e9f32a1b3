"""The interpolated n-gram, on counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from musiclstm.evaluation.witten_bell import WittenBell

# symbols a b a a b c, 0 1 0 0 1 2, after the symbol before each; 9 stands before the first
SYMBOLS = np.array([0, 1, 0, 0, 1, 2])
BEFORE = np.array([9, 0, 1, 0, 0, 1])


def probability(model: WittenBell, symbol: int, *columns: int) -> float:
    return float(np.exp(model.log_probs(np.array([symbol]), [[np.array([column])] for column in columns]))[0])


def test_without_context() -> None:
    model = WittenBell(vocabulary=4).fit(SYMBOLS, [])
    # 6 symbols, 3 of them different
    assert probability(model, 0) == pytest.approx((3 + 3 / 4) / 9)
    assert probability(model, 2) == pytest.approx((1 + 3 / 4) / 9)
    assert probability(model, 3) == pytest.approx((0 + 3 / 4) / 9)


def test_with_the_symbol_before() -> None:
    model = WittenBell(vocabulary=4).fit(SYMBOLS, [[BEFORE]])
    # after a came b, a, b: 3 symbols, 2 of them different
    assert probability(model, 1, 0) == pytest.approx((2 + 2 * (2 + 3 / 4) / 9) / 5)
    assert probability(model, 2, 0) == pytest.approx((0 + 2 * (1 + 3 / 4) / 9) / 5)
    # after c came nothing, and 7 is no symbol at all
    assert probability(model, 1, 2) == probability(model, 1, 7) == pytest.approx((2 + 3 / 4) / 9)


def test_levels_of_several_columns() -> None:
    first, second = np.array([1, 1, 2]), np.array([5, 6, 5])
    symbols = np.array([0, 1, 1])
    model = WittenBell(vocabulary=2).fit(symbols, [[first, second]])
    unigram = (2 + 2 / 2) / 5
    found = np.exp(model.log_probs(np.array([1, 1]), [[np.array([2, 2]), np.array([5, 6])]]))
    assert found == pytest.approx([(1 + 1 * unigram) / 2, unigram])  # 2 was seen with 5, never with 6


def test_an_unseen_context_stays_unseen_when_refined() -> None:
    model = WittenBell(vocabulary=4).fit(SYMBOLS, [[BEFORE], [np.zeros(6, np.int64)]])
    assert probability(model, 1, 7, 0) == probability(WittenBell(vocabulary=4).fit(SYMBOLS, []), 1)


def test_every_context_has_a_distribution() -> None:
    rng = np.random.default_rng(0)
    symbols, *columns = rng.integers(0, 5, (4, 200))
    model = WittenBell(vocabulary=5).fit(symbols, [[columns[0]], [columns[1], columns[2]]])
    for given in rng.integers(0, 6, (20, 3)):  # 5 was never seen
        levels = [[np.full(5, given[0])], [np.full(5, given[1]), np.full(5, given[2])]]
        assert np.exp(model.log_probs(np.arange(5), levels)).sum() == pytest.approx(1)
