"""Which piece is for training, which for validation, which for the test."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

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


def split_by_share(keys: Sequence[str], shares: Sequence[float], seed: int) -> list[str]:
    """The split of the piece behind each key; pieces of one key stand on one side.

    It depends on the key and the seed alone, not on what other pieces there are. Only where that leaves nothing
    to train on, or nothing to validate on though a share of it was asked for, and there are at least two keys, the
    key that was drawn next to the border changes sides.
    """
    train, validation, _ = check_shares(shares)
    drawn = {key: draw(seed, key) for key in keys}
    chosen = {
        key: "train" if x < train else "validation" if x < train + validation else "test" for key, x in drawn.items()
    }
    by_draw = sorted(drawn, key=lambda key: (drawn[key], key))
    if by_draw and "train" not in chosen.values():
        chosen[by_draw[0]] = "train"
    if validation and len(by_draw) > 1 and "validation" not in chosen.values():
        last = sum(split == "train" for split in chosen.values()) - 1
        chosen[by_draw[last] if last > 0 else by_draw[1]] = "validation"
    return [chosen[key] for key in keys]


def split_by_csv(
    path: str | os.PathLike[str], files: Sequence[str], split_column: str = "split", file_column: str | None = None
) -> dict[str, str]:
    """From each of `files` (paths below the source folder) that a row of the CSV names, to its split.

    The column that names the files is the one that names most of them, unless it is given. A row may give more or
    fewer of the folders that a file stands in, and leave out its extension; rows without a file do not matter.
    Raises UserError for a CSV that cannot be used.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV that can be read ({error})") from None
    columns = [column for column in (rows[0] if rows else {}) if column]
    for column in (split_column, file_column):
        if column is not None and column not in columns:
            raise UserError(f"{path}: no column {column!r}; it has {', '.join(columns) or 'no rows'}")
    names = _Names(files)
    candidates = [file_column] if file_column else [column for column in columns if column != split_column]
    named = [{i: file for i, row in enumerate(rows) if (file := names.find(row[column]))} for column in candidates]
    found = max(named, key=lambda column: len(set(column.values())), default={})
    if not found:
        raise UserError(
            f"{path}: none of the {len(files):,} files is named in {', '.join(candidates) or 'it'}; "
            "give the CSV that belongs to this folder, and the column of the file names"
        )
    splits: dict[str, str] = {}
    for i, file in found.items():
        value = (rows[i][split_column] or "").strip()
        if not value:
            continue
        if value.lower() not in _SPELLINGS:
            raise UserError(f"{path}: {value!r} in column {split_column!r} is no split; it may say {', '.join(SPLITS)}")
        if splits.setdefault(file, _SPELLINGS[value.lower()]) != _SPELLINGS[value.lower()]:
            raise UserError(f"{path}: {file} stands in two splits, {splits[file]} and {value}; keep one of the rows")
    return splits


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
