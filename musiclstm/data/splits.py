"""Which piece is for training, which for validation, which for the test."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from musiclstm.data.store import SPLITS
from musiclstm.errors import UserError

_SPELLINGS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def check_shares(shares: Sequence[float]) -> tuple[float, float, float]:
    """`shares` as three numbers. Raises UserError unless they are at least 0, sum to 1 and leave some to train on."""
    numbers = tuple(float(share) for share in shares)
    if len(numbers) != 3 or min(numbers) < 0 or abs(sum(numbers) - 1) > 1e-6 or numbers[0] == 0:
        raise UserError(
            f"a split of {list(shares)}: give the shares of training, validation and test, such as 0.8,0.1,0.1, "
            "which sum to 1 and of which the first is above 0"
        )
    return numbers[0], numbers[1], numbers[2]


def draw(seed: int, key: str) -> float:
    """A number in 0 <= x < 1 that depends on nothing but `seed` and `key`."""
    digest = hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_by_draw(drawn: np.ndarray, groups: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """The split of each piece as an index into `SPLITS`, uint8, (N,); the pieces of a group stand on one side.

    drawn: (N,) a number from `draw` for each piece. groups: (N,) for each piece the first piece of its group, whose
    draw decides. So it depends on the groups and the seed alone, not on what other pieces there are, but for this:
    a group of several pieces that would make its split more than twice as large as was asked for is trained on;
    and where nothing is left to train on, or nothing to validate on though a share of it was asked for, the group
    that was drawn next to the border changes sides.
    """
    shares = check_shares(shares)
    if not len(drawn):
        return np.zeros(0, np.uint8)
    train, validation = shares[0], shares[0] + shares[1]
    heads, sizes = np.unique(groups, return_counts=True)
    x = drawn[heads]
    chosen = np.digitize(x, [train, validation]).astype(np.uint8)
    most = 2 * len(drawn) * np.array(shares)
    chosen[(sizes > 1) & (chosen > 0) & (sizes > most[chosen])] = 0
    by_draw = np.lexsort([heads, x])
    if not (chosen == 0).any():
        chosen[by_draw[0]] = 0
    if shares[1] and len(heads) > 1 and not (chosen == 1).any():
        trained, tested = by_draw[chosen[by_draw] == 0], by_draw[chosen[by_draw] != 0]
        chosen[trained[-1] if len(trained) > 1 else tested[0]] = 1
    return chosen[np.searchsorted(heads, groups)]


def split_by_csv(
    path: str | os.PathLike[str], files: Sequence[str], split_column: str = "split", file_column: str | None = None
) -> dict[str, str]:
    """From each of `files` (paths below the source folder) that a row of the CSV names, to its split.

    The column that names the files is the one that names most of them, unless it is given. A row may give more or
    fewer of the folders that a file stands in, and leave out its extension; rows without a file do not matter.
    Raises UserError for a CSV that cannot be used.
    """
    splits: dict[str, str] = {}
    for file, row in rows_by_file(path, files, file_column, [split_column]):
        value = (row[split_column] or "").strip()
        if not value:
            continue
        if value.lower() not in _SPELLINGS:
            raise UserError(f"{path}: {value!r} in column {split_column!r} is no split; it may say {', '.join(SPLITS)}")
        if splits.setdefault(file, _SPELLINGS[value.lower()]) != _SPELLINGS[value.lower()]:
            raise UserError(f"{path}: {file} stands in two splits, {splits[file]} and {value}; keep one of the rows")
    return splits


def rows_by_file(
    path: str | os.PathLike[str], files: Sequence[str], file_column: str | None, others: Sequence[str]
) -> list[tuple[str, dict[str, str]]]:
    """The rows of a CSV that name one of `files`, each with that file; `others` are columns that name none.

    Files are named as `split_by_csv` has it. Raises UserError for a CSV that cannot be used.
    """
    rows, columns = _read(path)
    for column in [*others, *([file_column] if file_column else [])]:
        if column not in columns:
            raise UserError(f"{path}: no column {column!r}; it has {', '.join(columns) or 'no rows'}")
    names = _Names(files)
    candidates = [file_column] if file_column else [column for column in columns if column not in others]
    named = [[(file, row) for row in rows if (file := names.find(row[column]))] for column in candidates]
    found = max(named, key=lambda column: len({file for file, _ in column}), default=[])
    if not found:
        raise UserError(
            f"{path}: none of the {len(files):,} files is named in {', '.join(candidates) or 'it'}; "
            "give the CSV that belongs to this folder, and the column of the file names"
        )
    return found


def csv_columns(path: str | os.PathLike[str]) -> list[str]:
    """The names of the columns of a CSV. Raises UserError for what is none."""
    return _read(path)[1]


def _read(path: str | os.PathLike[str]) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV that can be read ({error})") from None
    return rows, [column for column in (rows[0] if rows else {}) if column]


class _Names:
    """Finds the file that a name means: a path of which one is the end of the other, with or without extension."""

    def __init__(self, files: Iterable[str]) -> None:
        self._whole: dict[str, str | None] = {}
        self._ends: dict[str, str | None] = {}  # None where several files end alike
        for file in files:
            path = PurePosixPath(file)
            for whole in (path, path.with_suffix("")):
                for i in range(len(whole.parts)):
                    names = self._ends if i else self._whole
                    end = "/".join(whole.parts[i:])
                    names[end] = file if names.get(end, file) == file else None

    def find(self, value: str | None) -> str | None:
        parts = (value or "").strip().replace("\\", "/").removeprefix("./").split("/")
        for i in range(len(parts)):
            if file := self._whole.get("/".join(parts[i:])):
                return file
        return self._ends.get("/".join(parts))
