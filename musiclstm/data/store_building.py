"""From music files to a note store: read in chunks by several processes, continued where it was cut off."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from musiclstm.console import say
from musiclstm.data.store import SPLITS, VERSION, NoteStore, StoreWriter, remove_remains
from musiclstm.data.store_parts import MusicFile, Reader, read_parts
from musiclstm.errors import UserError
from musiclstm.score import Score

EXAMPLES = 3  # files named for each reason why files were skipped


@dataclass(frozen=True)
class Piece:
    """A piece that was read. Pieces of one `group` belong on one side of the split."""

    source: str
    name: str
    group: str


@dataclass(frozen=True)
class Recipe:
    """How a store is made of files.

    `read` runs in other processes and must be picklable. The rest runs here, when every piece is known: `split`
    gives each piece its split, `group` the group it belongs to (by default its name), and `unique` leaves out what
    has the same notes as a piece before it. `skipped` lists what was left out before reading.
    """

    read: Reader
    split: Callable[[Sequence[Piece]], Sequence[str]]
    settings: dict[str, Any] = field(default_factory=dict)
    group: Callable[[Score], str] | None = None
    unique: bool = False
    skipped: Sequence[dict[str, str]] = ()


def build_store(
    files: Sequence[MusicFile], folder: Path, recipe: Recipe, *, source: str, workers: int | None = None
) -> NoteStore:
    """The store in `folder` of the pieces in `files`, made unless it is there and nothing has changed since.

    A chunk of files that has been read is kept in `<folder>.parts`, so that a run that was cut off is continued.
    A file that cannot be read is skipped, counted and named. `workers` is the number of processes, by default
    that of the cores. Raises UserError where no piece is left.
    """
    if workers is not None and workers < 1:
        raise UserError(f"{workers} worker processes: give 1 or more, or none for one per core")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder):
        stamps = [(file.source, *file.stamp()) for file in files]
        fingerprint = _hash([recipe.settings, source, stamps, list(recipe.skipped)])
        try:
            store = NoteStore.open(folder)
        except UserError:
            pass
        else:
            if store.head.get("fingerprint") == fingerprint:
                skipped = len(store.head["skipped"])
                say(f"Prepared before: {len(store):,} pieces in {folder}; {skipped:,} were skipped")
                return store
        remove_remains(folder)
        size = max(1, min(64, len(files) // 32))  # whatever the number of processes, so that chunks stay the same
        parts_folder = folder.with_name(f"{folder.name}.parts")
        parts = {parts_folder / _hash(stamps[i : i + size]): files[i : i + size] for i in range(0, len(files), size)}
        read_parts(parts, recipe.read, workers)
        head = {"source": source, "settings": recipe.settings, "fingerprint": fingerprint}
        try:
            _join(list(parts), folder, recipe, head)
        finally:
            shutil.rmtree(parts_folder, ignore_errors=True)
        store = NoteStore.open(folder)
        _say_what_came_of_it(store)
        return store


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Let one process at a time make `folder`: the runs of a sweep begin together."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Another process is preparing {folder}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps([VERSION, content], sort_keys=True).encode()).hexdigest()[:16]


def _join(parts: Sequence[Path], folder: Path, recipe: Recipe, head: dict[str, Any]) -> None:
    """Write the store of all pieces in `parts`, one part after the other."""
    pieces: list[Piece] = []
    skipped = list(recipe.skipped)
    same: dict[str, str] = {}  # from a hash of a piece's notes to its name
    for part in map(NoteStore.open, parts):
        skipped += part.manifest["skipped"]
        for score, entry in zip(part, part.manifest["pieces"], strict=True):
            if recipe.unique:
                first = same.setdefault(_hash_of_notes(score), entry["name"])
                if first != entry["name"]:
                    skipped.append({"source": entry["source"], "reason": "the same notes as another", "same_as": first})
                    continue
            group = recipe.group(score) if recipe.group else entry["name"]
            pieces.append(Piece(entry["source"], entry["name"], group))
    if not pieces:
        raise UserError(
            f"{head['source']}: none of its {len(skipped):,} files can be used: {'; '.join(_reasons(skipped))}"
        )
    splits = dict(zip((piece.name for piece in pieces), recipe.split(pieces), strict=True))
    with StoreWriter(folder) as writer:
        writer.head, writer.skipped = head, skipped
        for part in map(NoteStore.open, parts):
            for score, entry in zip(part, part.manifest["pieces"], strict=True):
                if entry["name"] in splits:
                    keys = ("name", "source", "sha256", "problems")
                    writer.add(score, split=splits[entry["name"]], **{key: entry[key] for key in keys})


def _hash_of_notes(score: Score) -> str:
    columns = np.ascontiguousarray(score.notes[["start", "end", "track", "pitch"]].tolist(), np.int64)
    return hashlib.sha256(columns.tobytes()).hexdigest()


def _say_what_came_of_it(store: NoteStore) -> None:
    counts = ", ".join(f"{split} {len(store.split(split)):,}" for split in SPLITS)
    skipped = store.head["skipped"]
    say(
        f"Kept {len(store):,} pieces with {store.note_counts.sum():,} notes ({counts}) in {store.folder}; "
        f"skipped {len(skipped):,}{':' if skipped else ''}"
    )
    for line in _reasons(skipped):
        say(f"  {line}")


def _reasons(skipped: Sequence[dict[str, str]]) -> list[str]:
    """A line for each reason, the most frequent first; reasons that differ in numbers alone are one."""
    number = re.compile(r"0x[0-9a-f]+|\d[\d,.]*")
    by_reason: dict[str, list[dict[str, str]]] = {}
    for entry in skipped:
        by_reason.setdefault(number.sub("N", entry["reason"]), []).append(entry)
    lines = []
    for reason, entries in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        if len({entry["reason"] for entry in entries}) == 1:
            reason = entries[0]["reason"]
        names = ", ".join(entry["source"] for entry in entries[:EXAMPLES])
        more = f" and {len(entries) - EXAMPLES:,} more" if len(entries) > EXAMPLES else ""
        line = f"{len(entries):,} x {reason}: {names}{more}"
        lines.append(line.encode("utf-8", "replace").decode())  # names of files need not be text
    return lines
