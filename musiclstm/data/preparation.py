"""A folder of music, or several note stores, become a note store."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Container, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from musiclstm.data.building import Recipe, build_store, digest_of, merge_stores
from musiclstm.data.grouping import Grouper, group_by_column, group_by_pattern
from musiclstm.data.music_files import FolderFiles, MusicFile, find_files
from musiclstm.data.plan import Splitting
from musiclstm.data.pool import warm_up
from musiclstm.data.published_pieces import READING as READING_PUBLISHED
from musiclstm.data.published_pieces import find_splits, is_published, read_split, split_of
from musiclstm.data.reading import read_music, read_part
from musiclstm.data.selection import Selection
from musiclstm.data.splits import check_shares, csv_columns, draw, rows_by_file, split_by_csv
from musiclstm.data.store import NoteStore
from musiclstm.data.worker import Limits
from musiclstm.errors import UserError

READING = "files 3"  # of what `read_music` makes of a file; to be changed whenever that changes


def prepare(
    path: str | os.PathLike[str],
    store_folder: str | os.PathLike[str],
    *,
    shares: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    csv: str | os.PathLike[str] | None = None,
    column: str = "split",
    file_column: str | None = None,
    group_by: str | None = None,
    leaks: str = "keep",
    selection: Selection | None = None,
    selection_csv: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    strict: bool = False,
    max_seconds: float = 30.0,
    max_megabytes: int = 1024,
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
) -> NoteStore | None:
    """The note store of all music in the folder `path`, at any depth, or in the file `path`.

    Hidden files and folders are passed over. Pieces with the same content are kept once, and near duplicates stand
    on one side of the split, which follows `shares`, by `seed` and the pieces' names alone; or it is what `csv`, a
    path as such or below `path`, has in `column`; `file_column` names the files there, and is found where it is not
    given. Files that the CSV does not split are left out. The file of a published benchmark (.json, .mat) comes
    whole, duplicates and all, in the split that was published.

    group_by: a column of `csv`, or else a regular expression on the names of pieces: those in which it finds the
    same stand on one side of the split, too. leaks: what becomes of a near duplicate of a piece that `csv` has in
    another split: "keep" it, or "drop" it from the training.
    selection, selection_csv: what pieces must be like, and a CSV whose rows name the files to take.
    limit: takes so many files, drawn by `seed`. strict: raises UserError where a file cannot be used.
    max_seconds, max_megabytes: the time and the memory that a file may cost. workers: processes, one per core by
    default. shard: (i, n) for the i-th of n shares of the files; None is given until the last of them is read.

    A store that is there and up to date is returned at once; what has changed since is read, the rest taken over;
    one that was cut off is continued. Raises UserError for bad values, and where there is no music that can be read.
    """
    if limit is not None and limit < 1:
        raise UserError(f"a limit of {limit} files: give 1 or more, or none")
    _check_limits(max_seconds, max_megabytes, shard)
    shares = check_shares(shares)
    warm_up(read_part.__module__)  # while the files are listed
    published = is_published(path)
    if published and (csv, selection_csv, limit) != (None, None, None):
        raise UserError(f"{path} is a benchmark, whole and split: leave out split.csv, select.csv and data.limit")
    files = find_splits(path) if published else find_files(path)
    if limit is not None and limit < len(files):
        least = set(heapq.nsmallest(limit, (draw(seed, file.source) for file in files)))
        files = _these(files, [draw(seed, file.source) in least for file in files])
    selection = selection or Selection()
    settings: dict[str, Any] = {"limit": limit, "selection": asdict(selection), "group_by": group_by}
    skipped: list[tuple[str, str, str]] = []
    if selection_csv is not None:
        table = _table(selection_csv, path)
        named = {file for file, _ in rows_by_file(table, [file.source for file in files], file_column, [])}
        files = _keep(files, named, skipped, "selection", f"not named in {table.name}")
        settings["selection_csv"] = digest_of(sorted(named))
    grouper: Grouper | None = None
    given = {part.source: split_of(part) for part in files} if published else None
    if published:
        settings |= {"published": True, "leaks": leaks}
    if csv is not None:
        table = _table(csv, path)
        sources = [file.source for file in files]
        columns = csv_columns(table)
        if group_by in columns:
            grouper = group_by_column(table, str(group_by), file_column, sources)
        if column in columns or grouper is None:
            given = split_by_csv(table, sources, column, file_column)
            files = _keep(files, given, skipped, "split", f"no split for it in {table.name}")
            settings |= {"splits": digest_of(sorted(given.items())), "leaks": leaks}
        settings["csv"] = hashlib.sha256(table.read_bytes()).hexdigest()[:16]
    if given is None:
        settings |= {"shares": list(shares), "seed": seed}
    if group_by is not None and grouper is None:
        grouper = group_by_pattern(group_by)
    recipe = Recipe(
        read_split if published else read_music,
        READING_PUBLISHED if published else READING,
        Splitting(shares, seed, given, group_by=grouper, leaks=leaks, keep_same=published),
        selection,
        settings,
        skipped,
        strict,
        Limits(float(max_seconds), max_megabytes),
    )
    source = str(Path(path).absolute())
    return build_store(files, Path(store_folder), recipe, source=source, workers=workers, shard=shard)


def merge(
    folders: Sequence[str | os.PathLike[str]],
    store_folder: str | os.PathLike[str],
    *,
    group_by: str | None = None,
    leaks: str = "keep",
    selection: Selection | None = None,
) -> NoteStore:
    """One note store of all that is in several, whose pieces keep their splits.

    What is in several of them is kept once: in the test split where it is there, else in the validation. The rest
    is as in `prepare`. Raises UserError for a folder that is no store, or a damaged one.
    """
    if len(folders) < 2:
        raise UserError(f"{len(folders)} note stores to merge: give two or more")
    selection = selection or Selection()
    grouper = group_by_pattern(group_by) if group_by is not None else None
    recipe = Recipe(
        read_music,
        "merged",
        Splitting(as_they_are=True, group_by=grouper, leaks=leaks),
        selection,
        {"merged": len(folders), "leaks": leaks, "group_by": group_by, "selection": asdict(selection)},
    )
    return merge_stores([Path(folder) for folder in folders], Path(store_folder), recipe)


def ensure_store(
    path: str | os.PathLike[str], datasets_folder: str | os.PathLike[str], **settings: Any
) -> NoteStore | None:
    """The store of the music in `path` under `datasets_folder`, prepared if need be, or `path` if it is a store.

    `settings` are those of `prepare`. Each path with its settings has a store of its own.
    """
    source = Path(path).absolute()
    if (source / "manifest.json").is_file() and (source / "pieces.npy").is_file():
        return NoteStore.open(source)
    made_from = {name: value for name, value in settings.items() if name not in ("workers", "strict", "shard")}
    if "shares" in made_from:
        made_from["shares"] = check_shares(made_from["shares"])
    if made_from.get("selection") is not None:
        made_from["selection"] = asdict(made_from["selection"])
    digest = digest_of([str(source.resolve()), made_from])[:8]
    name = source.stem if source.is_file() else source.name
    return prepare(path, Path(datasets_folder) / f"{name}-{digest}", **settings)


def _check_limits(max_seconds: float, max_megabytes: int, shard: tuple[int, int] | None) -> None:
    if max_seconds <= 0:
        raise UserError(f"prepare.max_seconds is {max_seconds:g}: give the seconds that a file may take, such as 30")
    if max_megabytes < 64:
        raise UserError(f"prepare.max_megabytes is {max_megabytes}: give 64 or more, such as 1024")
    if shard is not None and not 0 <= shard[0] < shard[1]:
        raise UserError(f"shard {shard[0]} of {shard[1]}: give shard=0 to shard={shard[1] - 1}, or more shards")


def _table(csv: str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """A CSV that is named as such, or from below the folder of the music."""
    table = Path(csv)
    return table if table.is_file() or not (Path(path) / table).is_file() else Path(path) / table


def _keep(
    files: Sequence[MusicFile], names: Container[str], skipped: list[tuple[str, str, str]], kind: str, reason: str
) -> Sequence[MusicFile]:
    """The files of these names; the others go to what is skipped."""
    skipped += [(file.source, kind, reason) for file in files if file.source not in names]
    return _these(files, [file.source in names for file in files])


def _these(files: Sequence[MusicFile], wanted: Sequence[bool]) -> Sequence[MusicFile]:
    kept = (file for file, keep in zip(files, wanted, strict=True) if keep)
    return FolderFiles(files.root, (file.source for file in kept)) if isinstance(files, FolderFiles) else list(kept)
