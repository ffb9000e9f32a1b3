from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import gaussian_kde, norm, wasserstein_distance

from musiclstm.evaluation.distributions import densities, distance, kl_divergence, overlap, wasserstein


def normal(seed: int, mean: float, deviation: float, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, deviation, size)


def test_densities_are_those_of_scipy() -> None:
    values, others = normal(0, 3, 2, 200), normal(1, 5, 1, 50)
    at, p, q = densities(values, others)
    kernel = gaussian_kde(values)
    assert p == pytest.approx(kernel(at), abs=3e-4)
    width = math.sqrt(kernel.covariance[0, 0])
    assert q == pytest.approx(norm.pdf(at[:, None], others, width).mean(1), abs=3e-4)
    assert p.sum() * (at[1] - at[0]) == pytest.approx(1, abs=1e-3)


def test_overlap_and_divergence_are_those_of_the_normal_distributions() -> None:
    reference, values = normal(0, 0, 1, 4000), normal(1, 1, 1, 4000)
    assert overlap(values, reference) == pytest.approx(2 * norm.cdf(-0.5), abs=0.03)
    assert kl_divergence(reference, values) == pytest.approx(0.5, abs=0.08)
    assert overlap(reference, reference) == pytest.approx(1, abs=1e-3)
    assert kl_divergence(reference, reference) == pytest.approx(0, abs=1e-9)
    far = kl_divergence(reference, reference + 1000)
    assert 10 < far < 100  # and not infinite


def test_values_that_are_all_alike_have_a_density_too() -> None:
    one, two = np.ones(5), np.full(3, 2.0)
    assert overlap(one, np.ones(3)) == pytest.approx(1, abs=1e-3)
    assert overlap(one + 1e-15, one) == pytest.approx(1, abs=1e-3)
    assert overlap(one, two) == pytest.approx(0, abs=1e-6)
    assert overlap(np.array([1.0]), np.array([1.0])) == pytest.approx(1, abs=1e-3)
    mostly = np.array([1.0] * 8 + [0.5, 0.6])
    assert overlap(one, mostly) == pytest.approx(0.8, abs=0.05)


def test_the_wasserstein_distance() -> None:
    assert wasserstein(np.array([0.0]), np.array([3.0])) == 3
    assert wasserstein(np.array([0.0, 1.0]), np.array([0.5])) == 0.5
    assert wasserstein(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == 1


finite = arrays(np.float64, st.integers(1, 30), elements=st.floats(-100, 100))


@settings(max_examples=50, deadline=None)
@given(finite, finite)
def test_the_wasserstein_distance_is_that_of_scipy(first: np.ndarray, second: np.ndarray) -> None:
    assert wasserstein(first, second) == pytest.approx(wasserstein_distance(first, second), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(finite, finite)
def test_all_sets_have_a_distance_in_its_bounds(first: np.ndarray, second: np.ndarray) -> None:
    found = distance(first, second)
    assert -1e-9 <= found.overlap <= 1.001
    assert found.wasserstein >= 0
    if len(second) > 1:
        assert -1e-9 <= found.intra_inter_overlap <= 1.001 and 0 <= found.intra_inter_kl < 100
    else:
        assert math.isnan(found.intra_inter_overlap)


def test_distances_within_the_reference_against_distances_to_it() -> None:
    reference = normal(0, 0, 1, 300)
    same, far = distance(normal(1, 0, 1, 300), reference), distance(normal(2, 5, 1, 300), reference)
    assert same.intra_inter_overlap > 0.95 and same.intra_inter_kl < 0.02
    assert far.intra_inter_overlap < 0.2 and far.intra_inter_kl > 1
    # one that always writes the same has the mean of the reference, and is told from it all the same
    collapsed = distance(np.zeros(300), reference)
    assert collapsed.overlap < 0.7 and collapsed.intra_inter_overlap < same.intra_inter_overlap - 0.1


def test_a_set_without_values_has_no_distance() -> None:
    found = distance(np.zeros(0), np.ones(3))
    assert math.isnan(found.overlap) and math.isnan(found.wasserstein) and math.isnan(found.intra_inter_kl)
    assert math.isnan(distance(np.ones(3), np.zeros(0)).overlap)
