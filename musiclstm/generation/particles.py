"""Look-ahead by particles: several rows write one piece, and those that constraints suit less give way to the others.

Sequential Monte Carlo over tokens (Lew et al. 2023, "Sequential Monte Carlo steering of large language models using
probabilistic programs"): a row's weight is the probability that constraints have left it of all that the model wanted
to say. Drawn in proportion to the weights, pieces come as often as the model would write them among all pieces that
keep to the constraints, as the number of particles grows; a mask alone prefers pieces that run into a wall.
"""

from __future__ import annotations

import numpy as np

LEAST = 1e-300
ENOUGH = 0.5  # of the particles: while the effective number is above, nothing is resampled


class Particles:
    """The weights of `size` rows for each of `pieces`, piece by piece; they meet every `interval` steps."""

    def __init__(self, size: int, seed: int, pieces: range, interval: int) -> None:
        batch = size * len(pieces)
        self.size = size
        self.waiting = np.zeros(batch, bool)
        """The rows that have come to the place where they meet the others of their piece."""
        self._weights = np.zeros(batch)  # natural logarithms
        self._interval = interval
        self._next = np.full(len(pieces), interval, np.int64)  # the step at which the particles of a piece meet
        self._random = [np.random.default_rng([seed, piece, 1 << 32]) for piece in pieces]

    def weigh(self, rows: np.ndarray, left: np.ndarray, steps: np.ndarray) -> None:
        """Each of `rows` drew a token where constraints left this probability, and is now at one of `steps`."""
        self._weights[rows] += np.log(np.maximum(left, LEAST))
        self.waiting[rows] = steps >= self._next[rows // self.size]

    def give_up(self, row: int) -> None:
        """A row that found no way on waits for another to take its place."""
        self._weights[row], self.waiting[row] = -np.inf, True

    def meet(self, live: np.ndarray, steps: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """For each piece of which no row is on its way: its rows, and those that they become.

        None in place of these says that none of them found a way on: each has to go back. live: the rows (B,) that
        have not ended; steps: where each row is (B,).
        """
        met: list[tuple[np.ndarray, np.ndarray | None]] = []
        going = live.reshape(-1, self.size)
        ready = going.any(axis=1) & ~(going & ~self.waiting.reshape(-1, self.size)).any(axis=1)
        for piece in np.flatnonzero(ready).tolist():
            rows = np.arange(piece * self.size, (piece + 1) * self.size)
            weights = self._weights[rows]
            self.waiting[rows] = False
            furthest = int(steps[rows][live[rows]].max())
            self._next[piece] = (furthest // self._interval + 1) * self._interval
            if np.isneginf(weights).all():
                self._weights[rows] = 0.0
                met.append((rows, None))
                continue
            share = shares(weights)
            if 1 / (share**2).sum() < ENOUGH * self.size or np.isneginf(weights).any():
                self._weights[rows] = 0.0
                met.append((rows, rows[systematic(share, float(self._random[piece].random()))]))
        return met

    def choose(self) -> np.ndarray:
        """One row for each piece, drawn by the weights."""
        chosen = []
        for piece, random in enumerate(self._random):
            share = shares(self._weights[piece * self.size : (piece + 1) * self.size])
            chosen.append(piece * self.size + int(random.choice(self.size, p=share)))
        return np.array(chosen)


def systematic(share: np.ndarray, uniform: float) -> np.ndarray:
    """Indices (P,) that name each of P particles about P times its share, by one uniform number.

    Kitagawa 1996. A particle that stays keeps its place, so that little has to be moved.
    """
    size = len(share)
    drawn = np.searchsorted(np.cumsum(share) * size, np.arange(size) + uniform, side="right")
    counts = np.bincount(np.minimum(drawn, size - 1), minlength=size)
    result = np.arange(size)
    result[counts == 0] = np.repeat(np.arange(size), np.maximum(counts - 1, 0))
    return result


def shares(weights: np.ndarray) -> np.ndarray:
    """Log weights as shares of their sum: float64, same shape."""
    likely = np.exp(weights - weights.max())
    share: np.ndarray = likely / likely.sum()
    return share
