"""How far apart two sets of numbers are as distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POINTS = 1024  # at which densities are taken
WIDEST = 4  # standard deviations of a kernel: what lies outside of them is nothing
NARROWEST = 1 / 100  # of the range of all values: no kernel is narrower, or equal values would have no density
EQUAL = 1e-9  # of their size: values no further apart are the same but for rounding
NAN = float("nan")


@dataclass(frozen=True)
class Distance:
    """How far one set of values is from another, the reference.

    overlap: the area that the kernel density estimates of both share: 1 where they are the same, 0 where apart.
    wasserstein: the first Wasserstein distance, in the unit of the values.
    intra_inter_overlap, intra_inter_kl: the same area, and the Kullback-Leibler divergence in nats, between the
        distances of values of the reference from each other and the distances of the set's values from the reference's:
        the "intra-set" and "inter-set" distances of Yang and Lerch (2020, "On the evaluation of generative models in
        music").

    All are NaN where either set has no value, those of Yang and Lerch also where the reference has but one.
    """

    overlap: float
    wasserstein: float
    intra_inter_overlap: float
    intra_inter_kl: float


def distance(values: np.ndarray, reference: np.ndarray) -> Distance:
    """How far `values` (N,) are from `reference` (M,), finite numbers. Needs N M + M M numbers of memory."""
    if not len(values) or not len(reference):
        return Distance(NAN, NAN, NAN, NAN)
    apart, divergence = NAN, NAN
    if len(reference) > 1:
        intra = np.abs(reference[:, None] - reference)[np.triu_indices(len(reference), 1)]
        inter = np.abs(values[:, None] - reference).ravel()
        apart, divergence = overlap(inter, intra), kl_divergence(intra, inter)
    return Distance(overlap(values, reference), wasserstein(values, reference), apart, divergence)


def overlap(values: np.ndarray, reference: np.ndarray) -> float:
    """The area below both sets' densities: 0 to 1."""
    at, p, q = densities(reference, values)
    return float(np.minimum(p, q).sum() * (at[1] - at[0]))


def kl_divergence(reference: np.ndarray, values: np.ndarray) -> float:
    """The Kullback-Leibler divergence, in nats, of the density of `values` from that of the reference: 0 or more.

    Where `values` have none, a hundred-millionth of their mean density stands for it, so that the figure is finite.
    """
    at, p, q = densities(reference, values)
    p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-8 / len(at))
    there = p > 0
    return max(0.0, float((p[there] * np.log(p[there] / q[there])).sum()))


def densities(reference: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """`POINTS` points, evenly spaced, and Gaussian kernel density estimates of the sets of values there, the reference
    first: (2 + others, POINTS).

    The kernel is as wide as the standard deviation of the reference times n ** (-1/5) (Scott 1992, "Multivariate
    density estimation"), at least `NARROWEST` of the range of all values, and the same for all sets: else values that
    are all alike, a spike, would share next to nothing with values most of which are the same. Values are shared out
    to the two points next to them, and the points smoothed (Wand 1994, "Fast computation of multivariate kernel
    estimators").
    """
    sets = (reference, *others)
    together = np.concatenate(sets)
    low, high = float(together.min()), float(together.max())
    span = high - low
    if span <= EQUAL * max(abs(low), abs(high), 1e-100):
        span = 1.0  # any will do
    deviation = float(reference.std(ddof=1)) if len(reference) > 1 else 0.0
    width = max(deviation * len(reference) ** -0.2, span * NARROWEST)
    at = np.linspace(low - WIDEST * width, high + WIDEST * width, POINTS)
    step = at[1] - at[0]
    reach = int(WIDEST * width / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    found = [at]
    for values in sets:
        place = (values - at[0]) / step
        below = np.minimum(place.astype(np.int64), POINTS - 2)
        share = place - below
        counts = np.bincount(below, 1 - share, POINTS) + np.bincount(below + 1, share, POINTS)
        found.append(np.convolve(counts, kernel)[reach : reach + POINTS] / (kernel.sum() * step * len(values)))
    return np.stack(found)


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """The first Wasserstein distance: the area between the two cumulative distributions, in the unit of the values."""
    values = np.sort(np.concatenate([first, second]))
    shares = [np.searchsorted(np.sort(one), values[:-1], "right") / len(one) for one in (first, second)]
    return float((np.abs(shares[0] - shares[1]) * np.diff(values)).sum())
