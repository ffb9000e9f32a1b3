"""From music files to a note store: read in chunks by several processes, continued where it was cut off."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from musiclstm.console import progress, say
from musiclstm.data.joining import Joining, forbid_drops, joining
from musiclstm.data.music_files import MusicFile
from musiclstm.data.plan import Splitting
from musiclstm.data.pool import run_chunks
from musiclstm.data.reading import Reader, index_of_known, read_part
from musiclstm.data.selection import Selection
from musiclstm.data.store import VERSION, NoteStore
from musiclstm.data.store_writing import remove_remains
from musiclstm.data.worker import Limits
from musiclstm.errors import UserError

CHUNK = 64  # files that are read into one part


@dataclass(frozen=True)
class Recipe:
    """How a store is made of files.

    read: what is in a file; it runs in other processes and must be picklable. reading: names it, and changes when
    it does: files that were read in the same way are not read again. skipped: files that are not read at all, as
    (source, kind, reason). strict: whether a file that cannot be used is a failure.
    """

    read: Reader
    reading: str
    splitting: Splitting = field(default_factory=Splitting)
    selection: Selection = field(default_factory=Selection)
    settings: dict[str, Any] = field(default_factory=dict)
    skipped: Sequence[tuple[str, str, str]] = ()
    strict: bool = False
    limits: Limits = field(default_factory=Limits)


def build_store(
    files: Sequence[MusicFile],
    folder: Path,
    recipe: Recipe,
    *,
    source: str,
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
) -> NoteStore | None:
    """The store in `folder` of the pieces in `files`, made unless it is there and nothing has changed since.

    A chunk of files that has been read is kept in `<folder>.parts`, so that a run that was cut off is continued;
    of a store that is there, what has not changed is taken over. A file that cannot be read is dropped, counted and
    named. workers: the number of processes, by default that of the cores. shard: (i, n) reads the i-th of n shares
    of the files alone, beside others that do the same elsewhere; whoever finds all of them read makes the store,
    and the others give None. Raises UserError where no piece is left.
    """
    if workers is not None and workers < 1:
        raise UserError(f"{workers} worker processes: give 1 or more, or none for one per core")
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    parts_folder = folder.with_name(f"{folder.name}.parts")
    size = max(1, min(CHUNK, len(files) // 32))  # whatever the number of processes, so that chunks stay the same
    stamps = (_stamp_of(files[i : i + size]) for i in range(0, len(files), size))
    parts = [parts_folder / digest_of([recipe.reading, vars(recipe.limits), stamp]) for stamp in stamps]
    fingerprint = digest_of([recipe.settings, source, [part.name for part in parts], list(recipe.skipped)])
    chunks = [(part, i * size) for i, part in enumerate(parts)]
    if shard is not None:
        if _up_to_date(folder, fingerprint) is None:
            _read(chunks[shard[0] :: shard[1]], files, size, folder, recipe, workers)
        missing = sum(not _is_there(part) for part in parts)
        if missing and _up_to_date(folder, fingerprint) is None:
            say(f"Shard {shard[0]} is read; {missing:,} of {len(parts):,} parts are still to come from others")
            return None
    with _exclusive(folder):
        if (store := _up_to_date(folder, fingerprint)) is not None:
            say(f"Prepared before: {len(store):,} pieces in {folder} (report.html there says what was found)")
            if recipe.strict:
                forbid_drops(store)
            return store
        remove_remains(folder)
        head = {"source": source, "settings": recipe.settings, "fingerprint": fingerprint, "reading": recipe.reading}
        read = False
        try:
            with joining(parts, folder, recipe, head) as work:
                _read(chunks, files, size, folder, recipe, workers, work)
                read = True
        except UserError:
            if read and not recipe.strict:
                shutil.rmtree(parts_folder, ignore_errors=True)
            raise
        shutil.rmtree(parts_folder, ignore_errors=True)
        for line in work.lines:
            say(line)
        return NoteStore.open(folder)


def merge_stores(folders: Sequence[Path], folder: Path, recipe: Recipe) -> NoteStore:
    """The store in `folder` of all pieces in the stores `folders`, which keep their splits."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder):
        stores = [NoteStore.open(each) for each in folders]
        for store in stores:
            store.verify()
        source = "merged: " + ", ".join(str(store.head.get("source")) for store in stores)
        remove_remains(folder)
        head = {"source": source, "settings": recipe.settings, "fingerprint": None, "reading": recipe.reading}
        names = [Path(str(store.head.get("source"))).name for store in stores]
        with joining([Path(each) for each in folders], folder, recipe, head, names) as work:
            pass
        for line in work.lines:
            say(line)
        return NoteStore.open(folder)


def _stamp_of(files: Sequence[MusicFile]) -> list[tuple[str, int, int]]:
    return [(file.source, *file.stamp()) for file in files]


def digest_of(content: Any) -> str:
    """A short name for what can be written as JSON."""
    return hashlib.sha256(json.dumps([VERSION, content], sort_keys=True).encode()).hexdigest()[:16]


def _up_to_date(folder: Path, fingerprint: str) -> NoteStore | None:
    try:
        store = NoteStore.open(folder)
    except UserError:
        return None
    return store if store.head.get("fingerprint") == fingerprint else None


def _is_there(part: Path) -> bool:
    return (part / "manifest.json").is_file()  # parts are renamed into place when they are complete


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _read(
    chunks: Sequence[tuple[Path, int]],
    files: Sequence[MusicFile],
    size: int,
    folder: Path,
    recipe: Recipe,
    workers: int | None,
    work: Joining | None = None,
) -> None:
    """Read the chunks, each given as its part and its first file, that are not there already, and join beside it."""
    missing = [(part, first) for part, first in chunks if not _is_there(part)]
    total = sum(min(size, len(files) - first) for _, first in chunks)
    left = sum(min(size, len(files) - first) for _, first in missing)
    if not missing:
        return
    if left < total:
        say(f"Going on where an earlier run was cut off: {total - left:,} of {total:,} files are read")
    missing[0][0].parent.mkdir(parents=True, exist_ok=True)
    workers = min(workers or _cores(), len(missing))
    tasks = ((part, (part, files[first : first + size])) for part, first in missing)
    reused = 0
    with progress("Reading", left, unit="files") as bar, TemporaryDirectory() as scratch:
        known = index_of_known(folder, recipe.reading, Path(scratch) / "known.npy")
        reading = partial(read_part, read=recipe.read, limits=recipe.limits, known=known)
        for _, count in run_chunks(reading, tasks, workers=workers, limits=recipe.limits):
            bar.advance(count.files)
            reused += count.known
            if work is not None:
                work.advance(_is_there)
    if reused:
        say(f"Took over {reused:,} files that have not changed from the store that is there")
