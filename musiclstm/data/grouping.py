"""Which pieces belong together, and on which side of the split each group stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from musiclstm.data.splits import rows_by_file
from musiclstm.errors import UserError

Grouper = Callable[[str, str], "str | None"]
"""Gives, of the file of a piece and its name, what it has in common with others of its group; None for nothing."""


def join_groups(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest groups that hold those of both, each given as the (N,) smallest index in each piece's group."""
    groups = np.minimum(first, second)
    while True:
        before = groups
        for other in (first, second):
            least = np.full(len(groups), len(groups), np.int64)
            np.minimum.at(least, other, groups)  # of each group of the other kind, the least that its pieces have
            groups = least[other]
        if np.array_equal(groups, before):
            return groups


def groups_of(keys: np.ndarray) -> np.ndarray:
    """(N,) keys to the smallest index at which each stands; key 0 is like no other."""
    index = np.arange(len(keys), dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    begins = np.ones(len(keys), bool)
    begins[1:] = keys[order][1:] != keys[order][:-1]
    groups = np.empty_like(index)
    groups[order] = order[np.maximum.accumulate(np.where(begins, index, 0))]
    return np.where(keys == 0, index, groups)


def group_by_pattern(pattern: str) -> Grouper:
    """Groups by what a regular expression finds in a name: its first group, or all that it matches.

    Raises UserError for what is no regular expression.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"split.group_by={pattern!r} is no regular expression ({error})") from None

    def key(source: str, name: str) -> str | None:
        found = expression.search(name)
        return found and found.group(1 if expression.groups else 0)

    return key


def group_by_column(table: Path, column: str, file_column: str | None, files: Sequence[str]) -> Grouper:
    """Groups by a column of a CSV whose rows name files, as `split_by_csv` understands them."""
    found = {file: row[column] for file, row in rows_by_file(table, files, file_column, [column])}
    return lambda source, name: found.get(source) or None
