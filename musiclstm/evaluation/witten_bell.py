"""An interpolated n-gram over any contexts that nest, as a baseline that needs no training to speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Level = Sequence[np.ndarray]
"""What a context has more than the one that it refines: columns of whole numbers, (N,) each."""


class WittenBell:
    """P(symbol | context), where the context is refined level by level, interpolated as Witten and Bell (1991) do.

    With n(c, s) the times that symbol s was seen in the context c, n(c) their sum and t(c) the number of different
    symbols seen in it,

        P_k(s | c_k) = (n(c_k, s) + t(c_k) P_{k-1}(s | c_{k-1})) / (n(c_k) + t(c_k)),

    where c_k has the columns of levels 1 to k, c_0 has none, and below it P is uniform over the vocabulary. A context
    that was never seen leaves P as it was. (Method C in Witten and Bell, "The zero-frequency problem", IEEE
    Transactions on Information Theory 37(4), 1991; the recursion as in Chen and Goodman 1999, section 2.5.)

    vocabulary: the number of symbols, which are 0 to vocabulary - 1.
    """

    def __init__(self, *, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self._tables: list[_Table] = []

    def fit(self, symbols: np.ndarray, levels: Sequence[Level]) -> WittenBell:
        """Counts N symbols, (N,), each in the context that `levels` say; what was counted before is forgotten."""
        context = np.zeros(len(symbols), np.int64)
        self._tables = []
        for level in ((), *levels):
            columns = []
            for column in level:
                values, ids = np.unique(column, return_inverse=True)
                pairs, context = np.unique(context * len(values) + ids, return_inverse=True)
                columns.append((values, pairs))
            events, counts = np.unique(context * self.vocabulary + symbols, return_counts=True)
            types = np.bincount(events // self.vocabulary)
            self._tables.append(_Table(columns, events, counts, np.bincount(context), types))
        return self

    def log_probs(self, symbols: np.ndarray, levels: Sequence[Level]) -> np.ndarray:
        """The natural log of the probability of each of N symbols in its context: float64, (N,)."""
        probability = np.full(len(symbols), 1 / self.vocabulary)
        context = np.zeros(len(symbols), np.int64)
        seen = np.ones(len(symbols), bool)
        for table, level in zip(self._tables, ((), *levels), strict=True):
            for (values, pairs), column in zip(table.columns, level, strict=True):
                ids, known = _find(values, column)
                context, also = _find(pairs, context * len(values) + ids)
                seen &= known & also  # what was not seen stays so: what refines it was not seen either
            event, counted = _find(table.events, context * self.vocabulary + symbols)
            count, total, types = np.where(counted, table.counts[event], 0), table.totals[context], table.types[context]
            probability = np.where(seen, (count + types * probability) / (total + types), probability)
        return np.log(probability)


@dataclass(frozen=True)
class _Table:
    """What was counted at one level, of C contexts and E different events (a symbol in a context)."""

    columns: list[tuple[np.ndarray, np.ndarray]]  # of each: its values, and which of them followed which context
    events: np.ndarray  # (E,) context * vocabulary + symbol, ascending
    counts: np.ndarray  # (E,)
    totals: np.ndarray  # (C,) symbols
    types: np.ndarray  # (C,) different symbols


def _find(known: np.ndarray, sought: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `sought` stands in `known`, which ascends and is not empty, and whether it does (else 0)."""
    places = np.searchsorted(known, sought)
    places[places == len(known)] = 0
    found = known[places] == sought
    return np.where(found, places, 0), found
