"""Writing a note store, streaming: memory holds one piece, whatever the number of pieces."""

from __future__ import annotations

import glob
import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from musiclstm.data.store import (
    BLOCK,
    COLUMNS,
    FILES,
    HEADER,
    PIECE,
    ROWS,
    SPLITS,
    VERSION,
    NoteStore,
    header,
    manifest_checksum,
)
from musiclstm.score import Score

STATUSES = ("kept", "repaired", "dropped")


def file_entry(
    source: str,
    sha256: str,
    size: int,
    *,
    pieces: list[str],
    kind: str = "",
    reason: str = "",
    repairs: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """What `NoteStore.file` gives of a file that has these pieces; without pieces it counts as dropped."""
    return {
        "source": source,
        "sha256": sha256,
        "bytes": size,
        "status": STATUSES[2 if not pieces else 1 if repairs else 0],
        "kind": kind,
        "reason": reason,
        "repairs": list(repairs),
        "remarks": list(remarks),
        "found": len(pieces),
        "pieces": pieces,
    }


class StoreWriter:
    """Writes a store. Used as a context manager.

    What is written stands beside `folder` until the block ends without an error; then it takes its place. `head`
    goes into the manifest. `finish(store)`, if it is set, is called on the complete store before it takes its
    place, and may write more files into its folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        self.head: dict[str, Any] = {}
        self.finish: Callable[[NoteStore], None] | None = None
        self._beside = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.new")
        self._old = self._beside.with_suffix(".old")
        self._rows: dict[str, _RowsWriter] = {}

    def __enter__(self) -> StoreWriter:
        shutil.rmtree(self._beside, ignore_errors=True)
        self._beside.mkdir(parents=True)
        self._rows = {name: _RowsWriter(self._beside / f"{name}.npy", dtype) for name, dtype in ROWS.items()}
        self._lines = _FileWriter(self._beside / FILES)
        return self

    def add_file(self, source: str, sha256: str, size: int, *, pieces: list[str], **known: Any) -> None:
        """Append the `file_entry` of a file. What `pieces` names is added next."""
        self.add_lines([file_entry(source, sha256, size, pieces=pieces, **known)])

    def add_lines(self, entries: Sequence[dict[str, Any]]) -> None:
        """Append files as `NoteStore.file` gives them."""
        lines = [json.dumps(entry).encode() + b"\n" for entry in entries]
        ends = np.cumsum([self._lines.size, *map(len, lines)])[1:]
        self._lines.write(b"".join(lines))
        self._rows["lines"].append(ends)

    def add(self, score: Score, *, facts: np.ndarray, sketch: np.ndarray, digest: np.ndarray, split: str) -> None:
        """Append a piece of the file that was added last, alone in its group."""
        rows = {"facts": facts.reshape(1), "sketches": np.array([(sketch,)], ROWS["sketches"])}
        self.add_scores([score], np.array([self.num_files - 1]), digest, rows, SPLITS.index(split))

    def add_scores(
        self,
        scores: Sequence[Score],
        files: np.ndarray,
        digests: np.ndarray | Sequence[np.ndarray],
        rows: Mapping[str, np.ndarray],
        split: int = 0,
    ) -> None:
        """Append N pieces of the `files` of these numbers, (N,), each alone in its group, with their digests, (N, 2),
        facts and sketches."""
        pieces = np.zeros(len(scores), PIECE)
        columns = {}
        for name, dtype in COLUMNS.items():
            parts = [np.ascontiguousarray(getattr(score, name), dtype) for score in scores]
            pieces[name] = np.cumsum([len(part) for part in parts])
            columns[name] = np.frombuffer(b"".join([part.view(np.uint8).data for part in parts]), dtype)
        pieces["ticks_per_quarter"] = [score.ticks_per_quarter for score in scores]
        pieces["first_bar"] = [score.first_bar for score in scores]
        pieces["file"], pieces["digest"], pieces["split"] = files, digests, split
        pieces["group"] = self._rows["pieces"].count + np.arange(len(scores))
        self.add_pieces(pieces, {**columns, **rows})

    def copy_lines(self, store: NoteStore) -> None:
        """Append all files of a store as they stand there."""
        for content, ends in store.lines():
            self._rows["lines"].append(ends + self._lines.size)
            self._lines.write(content)

    def append(self, name: str, rows: np.ndarray) -> None:
        """Append rows to one of the arrays in `store.ROWS`, with all numbers in them as this store has them."""
        self._rows[name].append(rows)

    def cut(self, name: str, count: int) -> None:
        """Drop the rows beyond the first so many of one of the arrays."""
        self._rows[name].cut(count)

    def add_pieces(self, pieces: np.ndarray, rows: Mapping[str, np.ndarray]) -> None:
        """Append an array of `PIECE`, of which `file` and `group` are those of this store and the ends of the
        columns count from 0, with the rows of all other columns that belong to it."""
        pieces = pieces.copy()
        for name in COLUMNS:
            pieces[name] += self._rows[name].count
        self._rows["pieces"].append(pieces)
        for name, column in rows.items():
            self._rows[name].append(column)

    @property
    def num_files(self) -> int:
        """How many files were added."""
        return self._rows["lines"].count

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            files = {rows.path.name: rows.close() for rows in self._rows.values()}
            files[FILES] = self._lines.close()
            if kind is None:
                self._write_manifest(files)
                if self.finish is not None:
                    self.finish(NoteStore.open(self._beside))
        except BaseException:
            shutil.rmtree(self._beside, ignore_errors=True)
            raise
        if kind is not None:
            shutil.rmtree(self._beside, ignore_errors=True)
            return
        if self.folder.exists():
            self.folder.rename(self._old)
        self._beside.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def _write_manifest(self, files: dict[str, tuple[int, list[int]]]) -> None:
        sums = np.array([total for _, totals in files.values() for total in totals], "<u4")
        sums.tofile(self._beside / "checksums")
        places = np.cumsum([0, *(len(totals) for _, totals in files.values())]).tolist()
        head = {
            "version": VERSION,
            **self.head,
            "files": {name: [size, first] for (name, (size, _)), first in zip(files.items(), places, strict=False)},
            "checksums": zlib.crc32(sums.tobytes()),
        }
        content = json.dumps({**head, "checksum": manifest_checksum(head)}, indent=1)
        (self._beside / "manifest.json").write_text(content, encoding="utf-8")


def remove_remains(folder: Path) -> None:
    """Delete what those who wrote the store in `folder` and were killed have left beside it."""
    for ending in ("new", "old", "sketches"):
        for remains in folder.parent.glob(f".{glob.escape(folder.name)}.*.{ending}"):
            if remains.is_dir():
                shutil.rmtree(remains, ignore_errors=True)
            else:
                remains.unlink(missing_ok=True)


class _FileWriter:
    """Writes a file and keeps the checksums of its blocks."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        self._file = path.open("wb")
        self._sums: list[int] = []

    def write(self, content: bytes | memoryview) -> None:
        self._file.write(content)
        view = memoryview(content)
        while view:
            room = BLOCK - self.size % BLOCK
            if room == BLOCK:
                self._sums.append(0)
            self._sums[-1] = zlib.crc32(view[:room], self._sums[-1])
            self.size += min(room, len(view))
            view = view[room:]

    def _cut(self, size: int) -> None:
        """Drop what was written beyond so many bytes."""
        self._file.truncate(size)
        self._file.seek(size)
        whole = size // BLOCK
        with self.path.open("rb") as file:
            file.seek(whole * BLOCK)
            rest = file.read()
        self.size, self._sums = size, [*self._sums[:whole], *([zlib.crc32(rest)] if rest else [])]

    def close(self) -> tuple[int, list[int]]:
        """Size and checksums."""
        self._file.close()
        return self.size, self._sums


class _RowsWriter(_FileWriter):
    """Writes a .npy file row by row."""

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        super().__init__(path)
        self.count, self._dtype = 0, dtype
        self.write(header(dtype, 0))

    def append(self, rows: np.ndarray) -> None:
        self.count += len(rows)
        self.write(np.ascontiguousarray(rows, self._dtype).view(np.uint8).data)

    def cut(self, count: int) -> None:
        """Drop the rows beyond the first so many."""
        self.count = count
        self._cut(HEADER[self._dtype] + count * self._dtype.itemsize)

    def close(self) -> tuple[int, list[int]]:
        self._file.seek(0)
        self._file.write(header(self._dtype, self.count))
        self._file.close()
        with self.path.open("rb") as file:
            first = zlib.crc32(file.read(BLOCK))
        return self.size, [first, *self._sums[1:]]
