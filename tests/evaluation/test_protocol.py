"""The protocol of the benchmarks, on cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musiclstm.evaluation.protocol import evaluate


class Said:
    """A scorer that gives the symbols as their own log-probabilities."""

    def log_probs(self, piece: list[float] | list[list[float]]) -> np.ndarray:
        return np.array(piece)


def test_means_over_symbols_and_over_pieces() -> None:
    found = evaluate(Said(), [[-4.0, -2.0, -3.0], [-1.0]])
    assert (found.symbols, found.pieces) == (4, 2)
    assert found.per_symbol == pytest.approx(10 / 4)
    assert found.per_piece == pytest.approx((3 + 1) / 2)
    assert found.skip_first == pytest.approx(5 / 2)


def test_several_symbols_in_a_step() -> None:
    found = evaluate(Said(), [[[-1.0, -2.0], [-3.0, -5.0]], [[-6.0, -1.0]]])
    assert found.symbols == 6
    assert found.per_symbol == pytest.approx(18 / 6)
    assert found.per_piece == pytest.approx((11 / 4 + 7 / 2) / 2)
    assert found.skip_first == pytest.approx(8 / 2)


def test_the_impossible_and_nothing() -> None:
    assert evaluate(Said(), [[-1.0, -math.inf]]).per_symbol == math.inf
    found = evaluate(Said(), [[], [-2.0]])
    assert (found.pieces, found.per_piece) == (1, 2)
    assert math.isnan(found.skip_first)
    assert math.isnan(evaluate(Said(), []).per_symbol)
