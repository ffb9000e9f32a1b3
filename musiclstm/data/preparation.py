"""A folder of music becomes a note store."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from musiclstm.data.splits import check_shares, draw, split_by_csv, split_by_share
from musiclstm.data.store import NoteStore
from musiclstm.data.store_building import Recipe, build_store
from musiclstm.data.store_parts import MusicFile
from musiclstm.errors import UserError
from musiclstm.midi import EXTENSIONS, read_midi
from musiclstm.notation import read_scores
from musiclstm.score import Score


def prepare(
    path: str | os.PathLike[str],
    store_folder: str | os.PathLike[str],
    *,
    split: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    split_csv: str | os.PathLike[str] | None = None,
    split_column: str = "split",
    file_column: str | None = None,
    limit: int | None = None,
    workers: int | None = None,
) -> NoteStore:
    """The note store of all music in the folder `path`, at any depth, or in the file `path`.

    Hidden files and folders are passed over. The pieces are split by the shares `split`, by `seed` and each
    piece's name alone, or as `split_csv` says (a path as such, or below `path`) in `split_column`; `file_column`
    names the files, and is found where it is not given. Files that the CSV does not split are left out. `limit`
    keeps so many files, drawn by `seed`. A store that is there and up to date is returned at once; one that was
    cut off is continued. Raises UserError for bad values, and where there is no music that can be read.
    """
    shares = check_shares(split)
    if limit is not None and limit < 1:
        raise UserError(f"a limit of {limit} files: give 1 or more, or none")
    files = find_files(path)
    if limit is not None:
        files = sorted(sorted(files, key=lambda file: draw(seed, file.source))[:limit], key=lambda file: file.source)
    settings: dict[str, Any] = {"split": list(shares), "seed": seed, "limit": limit}
    if split_csv is None:
        recipe = Recipe(_read, lambda pieces: split_by_share([piece.group for piece in pieces], shares, seed), settings)
    else:
        table = Path(split_csv)
        if not table.is_file() and (Path(path) / table).is_file():
            table = Path(path) / table
        splits = split_by_csv(table, [file.source for file in files], split_column, file_column)
        left_out = [file.source for file in files if file.source not in splits]
        files = [file for file in files if file.source in splits]
        settings = {"split_csv": str(table.absolute()), "splits": _digest(sorted(splits.items())), "limit": limit}
        recipe = Recipe(
            _read,
            lambda pieces: [splits[piece.source] for piece in pieces],
            settings,
            skipped=[{"source": source, "reason": f"no split for it in {table.name}"} for source in left_out],
        )
    return build_store(files, Path(store_folder), recipe, source=str(Path(path).absolute()), workers=workers)


def ensure_store(path: str | os.PathLike[str], datasets_folder: str | os.PathLike[str], **settings: Any) -> NoteStore:
    """The store of the music in `path` under `datasets_folder`, prepared if need be, or `path` if it is a store.

    `settings` are those of `prepare`. Each path with its settings has a store of its own.
    """
    source = Path(path).absolute()
    if (source / "manifest.json").is_file() and (source / "pieces.npy").is_file():
        return NoteStore.open(source)
    made_from = {name: value for name, value in settings.items() if name != "workers"}
    if "split" in made_from:
        made_from["split"] = check_shares(made_from["split"])
    digest = _digest([str(source.resolve()), made_from])
    name = source.stem if source.is_file() else source.name
    return prepare(path, Path(datasets_folder) / f"{name}-{digest}", **settings)


def find_files(path: str | os.PathLike[str]) -> list[MusicFile]:
    """The music files in a folder, by the order of their paths below it, or the one file that `path` is.

    Raises UserError where there is none.
    """
    root = Path(path)
    if root.is_file():
        if root.suffix.lower() not in EXTENSIONS:
            raise UserError(f"{path}: not a music file; give one that ends in {', '.join(EXTENSIONS)}, or a folder")
        return [MusicFile(root, root.name, root.name)]
    if not root.is_dir():
        raise UserError(f"{path}: no such folder; give the path of a folder with music")
    sources = sorted(file.relative_to(root).as_posix() for file in _walk(root))
    if not sources:
        raise UserError(f"{path}: no music in this folder, which would be files that end in {', '.join(EXTENSIONS)}")
    return [MusicFile(root / source, source, source) for source in sources]


def _walk(root: Path) -> Iterator[Path]:
    seen = {os.path.realpath(root)}  # links may lead in a circle
    for folder, folders, files in os.walk(root, followlinks=True):
        inside = [name for name in folders if not name.startswith(".")]
        real = {name: os.path.realpath(os.path.join(folder, name)) for name in inside}
        folders[:] = sorted(name for name in inside if real[name] not in seen)
        seen.update(real.values())
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS:
                yield Path(folder, name)


def _read(file: MusicFile) -> list[Score]:
    return read_scores(file.path) if file.notation else [read_midi(file.path)]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]
