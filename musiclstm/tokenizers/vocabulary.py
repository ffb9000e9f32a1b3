"""Token names and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

PAD, BOS, EOS = 0, 1, 2
SPECIALS = ("PAD", "BOS", "EOS")


class Vocabulary:
    """Tokens written `Type_Value`, each type a contiguous range of ids after PAD, BOS and EOS.

    A type whose only value is the empty string is written bare (`Bar`, `Hold`).
    """

    def __init__(self, types: Mapping[str, Iterable[object]]) -> None:
        self.tokens: list[str] = list(SPECIALS)
        self._ranges: dict[str, range] = {}
        for kind, values in types.items():
            first = len(self.tokens)
            self.tokens += [f"{kind}_{value}" if value != "" else kind for value in values]
            self._ranges[kind] = range(first, len(self.tokens))
        self._ids = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, token: str) -> int:
        return self._ids[token]

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    @property
    def types(self) -> list[str]:
        return list(self._ranges)

    def range(self, kind: str) -> range:
        """The ids of a type."""
        return self._ranges[kind]

    def first(self, kind: str) -> int:
        """The id of the first value of a type."""
        return self._ranges[kind].start

    def has(self, kind: str, ids: np.ndarray) -> np.ndarray:
        """Which of `ids` are of a type: bool, same shape."""
        span = self._ranges[kind]
        return (ids >= span.start) & (ids < span.stop)
