"""Writing a note store, streaming: memory holds one piece, whatever the number of pieces."""

from __future__ import annotations

import glob
import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from musiclstm.data.store import (
    BLOCK,
    COLUMNS,
    FILES,
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

    def add_file(
        self,
        source: str,
        sha256: str,
        size: int,
        *,
        pieces: list[str],
        kind: str = "",
        reason: str = "",
        repairs: list[str] | tuple[str, ...] = (),
        remarks: list[str] | tuple[str, ...] = (),
    ) -> None:
        """Append what is known of a file. What `pieces` names is added next; without pieces it counts as dropped."""
        status = STATUSES[2 if not pieces else 1 if repairs else 0]
        self.add_lines(
            [
                {
                    "source": source,
                    "sha256": sha256,
                    "bytes": size,
                    "status": status,
                    "kind": kind,
                    "reason": reason,
                    "repairs": list(repairs),
                    "remarks": list(remarks),
                    "found": len(pieces),
                    "pieces": pieces,
                }
            ]
        )

    def add_lines(self, entries: list[dict[str, Any]]) -> None:
        """Append files as `NoteStore.file` gives them."""
        for entry in entries:
            self._lines.write(json.dumps(entry).encode() + b"\n")
            self._rows["lines"].append(np.array([self._lines.size], "<i8"))

    def add(self, score: Score, *, facts: np.ndarray, sketch: np.ndarray, digest: np.ndarray, split: str) -> None:
        """Append a piece of the file that was added last, alone in its group."""
        piece = np.zeros(1, PIECE)
        for name in COLUMNS:
            self._rows[name].append(getattr(score, name))
            piece[name] = self._rows[name].count
        piece["ticks_per_quarter"], piece["first_bar"] = score.ticks_per_quarter, score.first_bar
        piece["file"] = self._rows["lines"].count - 1
        piece["group"] = self._rows["pieces"].count
        piece["digest"], piece["split"] = digest, SPLITS.index(split)
        self._rows["pieces"].append(piece)
        self._rows["facts"].append(facts.reshape(1))
        self._rows["sketches"].append(np.array([(sketch,)], ROWS["sketches"]))

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

    def close(self) -> tuple[int, list[int]]:
        self._file.seek(0)
        self._file.write(header(self._dtype, self.count))
        self._file.close()
        with self.path.open("rb") as file:
            first = zlib.crc32(file.read(BLOCK))
        return self.size, [first, *self._sums[1:]]
