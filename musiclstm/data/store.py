"""The note store: a collection of pieces as memory-mapped columns, prepared once and read by everything."""

from __future__ import annotations

import io
import json
import mmap
import os
import weakref
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from musiclstm.data.facts import FACTS
from musiclstm.data.near_duplicates import SKETCH
from musiclstm.errors import UserError
from musiclstm.score import METER, NOTE, PEDAL, TEMPO, Score

VERSION = 2
SPLITS = ("train", "validation", "test")
BLOCK = 1 << 16  # bytes of a file that share a checksum

COLUMNS = {"notes": NOTE, "tempos": TEMPO, "meters": METER, "pedals": PEDAL}
PIECE = np.dtype(
    [
        *((name, "<i8") for name in COLUMNS),  # the row at which this piece ends and the next begins
        ("ticks_per_quarter", "<i4"),
        ("first_bar", "<i4"),  # ticks
        ("file", "<i8"),  # the line of files.jsonl that it comes from
        ("group", "<i8"),  # the first piece of its group of near duplicates: itself, where it is alone
        ("digest", "<u8", (2,)),  # of all that the piece is
        ("split", "u1"),  # index into SPLITS
    ]
)
ROWS = {
    **COLUMNS,
    "pieces": PIECE,
    "facts": FACTS,
    "sketches": np.dtype([("sketch", SKETCH)]),
    "lines": np.dtype("<i8"),  # where each line of files.jsonl ends
}
FILES = "files.jsonl"
LINES = 1024  # of it that are read together


class NoteStore:
    """Pieces in a folder of memory-mapped arrays. `NoteStore.open(folder)` opens one, `StoreWriter` writes one.

    `store[i]` is a `Score` whose arrays are read-only views of the maps. It can be pickled: the other process
    opens the folder anew. Opening costs the same whatever the size; what is read is checked against its checksum
    when it is first read, and UserError raised where it is not what was written.
    """

    def __init__(self, folder: Path, head: dict[str, Any], sums: np.ndarray) -> None:
        self.folder = folder
        self.head = head
        """The manifest: version, source, settings and what else there is to say of the whole."""
        self._files: dict[str, _File] = {}
        for name, (size, first) in head["files"].items():
            self._files[name] = _File(folder / name, size, sums[first : first + _blocks(size)])
        self._rows = {name: _Rows(self._files[f"{name}.npy"], dtype) for name, dtype in ROWS.items()}

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> NoteStore:
        """The store in `folder`. Raises UserError where there is none, one of another version, or a damaged one."""
        folder = Path(folder).absolute()
        try:
            head = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            version = head["version"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{folder}: not a note store; prepare a folder of music to get one") from None
        if version != VERSION:
            raise UserError(f"{folder}: a note store of version {version}, not {VERSION}; prepare the music again")
        try:
            if head.pop("checksum") != manifest_checksum(head):
                raise ValueError("manifest.json was changed")
            sums = np.fromfile(folder / "checksums", "<u4")
            if zlib.crc32(sums.tobytes()) != head["checksums"]:
                raise ValueError("its checksums were changed")
            return cls(folder, head, sums)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, error) from None

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return NoteStore.open, (self.folder,)

    def __len__(self) -> int:
        return len(self._rows["pieces"])

    @property
    def num_notes(self) -> int:
        """The notes of all pieces."""
        return len(self._rows["notes"])

    def __getitem__(self, index: int) -> Score:
        index = range(len(self))[index]
        ends = self._rows["pieces"][max(0, index - 1) : index + 1]
        piece, before = ends[-1], ends[0] if index else np.zeros((), PIECE)
        columns = {name: self._rows[name][int(before[name]) : int(piece[name])] for name in COLUMNS}
        return Score(ticks_per_quarter=int(piece["ticks_per_quarter"]), first_bar=int(piece["first_bar"]), **columns)

    def __iter__(self) -> Iterator[Score]:
        return (self[i] for i in range(len(self)))

    def rows(self, name: str, first: int = 0, last: int | None = None) -> np.ndarray:
        """Rows of one of the arrays in `ROWS`, such as all notes of the pieces that follow one another."""
        return self._rows[name][first : len(self._rows[name]) if last is None else last]

    @cached_property
    def pieces(self) -> np.ndarray:
        """The array of `PIECE`, a row for each piece."""
        return self.rows("pieces")

    @cached_property
    def facts(self) -> np.ndarray:
        """The array of `FACTS`, a row for each piece."""
        return self.rows("facts")

    def split(self, name: str) -> np.ndarray:
        """The indices, ascending, of the pieces in "train", "validation" or "test"."""
        if name not in SPLITS:
            raise UserError(f"no split is called {name!r}: give one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.pieces["split"] == SPLITS.index(name))

    @cached_property
    def note_counts(self) -> np.ndarray:
        """How many notes each piece has."""
        return np.diff(self.pieces["notes"], prepend=0)

    def file(self, index: int) -> dict[str, Any]:
        """What is known of the `index`-th file that was found, whether it is kept or not.

        It has source, sha256, bytes, status ("kept", "repaired" or "dropped"), kind and reason (of a drop),
        repairs, remarks, and pieces: the names of its pieces that are in the store.
        """
        ends = self._rows["lines"][max(0, index - 1) : index + 1]
        content = self._files[FILES].read(int(ends[0]) if index else 0, int(ends[-1]))
        entry: dict[str, Any] = json.loads(content)
        return entry

    def files(self) -> Iterator[dict[str, Any]]:
        """`file` of every file that was found, in order."""
        for content, ends in self.lines():
            begin = 0
            for end in ends.tolist():
                yield json.loads(content[begin:end].decode())
                begin = end

    def lines(self) -> Iterator[tuple[bytes, np.ndarray]]:
        """The lines of files.jsonl, many at a time, and where each of these ends, counted from their beginning."""
        begin = 0
        for first in range(0, len(self._rows["lines"]), LINES):
            ends = self.rows("lines")[first : first + LINES]
            yield self._files[FILES].read(begin, int(ends[-1])), ends - begin
            begin = int(ends[-1])

    def name(self, index: int) -> str:
        """What a piece is called: its file's path below the source folder, '#2' and so on where that has more."""
        index = first = range(len(self))[index]
        file = self.pieces["file"][index]
        while first and self.pieces["file"][first - 1] == file:
            first -= 1
        name: str = self.file(int(file))["pieces"][index - first]
        return name

    @cached_property
    def names(self) -> list[str]:
        """What the pieces are called. In a large store, ask for the `name` of one."""
        return [name for entry in self.files() for name in entry["pieces"]]

    def verify(self) -> None:
        """Read everything and compare it with its checksums. Raises UserError where something was changed."""
        for file in self._files.values():
            file.check(0, file.size)


def manifest_checksum(head: dict[str, Any]) -> int:
    """The checksum of a manifest without its checksum."""
    return zlib.crc32(json.dumps(head, sort_keys=True).encode())


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _damaged(folder: Path, why: object) -> UserError:
    return UserError(f"{folder}: a damaged note store ({why}); delete it and prepare the music again")


class _File:
    """A file of which each block is checked when it is first read."""

    def __init__(self, path: Path, size: int, sums: np.ndarray) -> None:
        self.path, self.size = path, size
        self._file = path.open("rb", buffering=0)
        weakref.finalize(self, self._file.close)
        found = os.fstat(self._file.fileno()).st_size
        if found != size:
            raise ValueError(f"{path.name} has {found:,} bytes where {size:,} were written")
        self._sums = sums
        self._checked = bytearray(len(sums))

    def map(self) -> mmap.mmap:
        """The whole of it as memory."""
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def check(self, first: int, last: int) -> None:
        """Raises UserError where the bytes in this range, or near them, are not those that were written."""
        for block in range(first // BLOCK, _blocks(last)):
            if not self._checked[block]:
                # not through a map, in which it would stay and count as memory of this process
                if zlib.crc32(self._read(block * BLOCK, BLOCK)) != self._sums[block]:
                    raise _damaged(self.path.parent, f"{self.path.name} was changed")
                self._checked[block] = True

    def read(self, first: int, last: int) -> bytes:
        """The bytes in this range, checked."""
        self.check(first, last)
        return self._read(first, last - first)

    def _read(self, first: int, size: int) -> bytes:
        self._file.seek(first)
        return self._file.read(size)


class _Rows:
    """The array in a .npy file. Slices of it are views."""

    def __init__(self, file: _File, dtype: np.dtype) -> None:
        self._file, self._itemsize = file, dtype.itemsize
        offset = HEADER[dtype]
        count, rest = divmod(file.size - offset, dtype.itemsize)
        mapped = file.map()
        if count < 0 or rest or header(dtype, count) != mapped[:offset]:
            raise ValueError(f"{file.path.name} holds other columns")
        self._offset = offset
        self._array = np.frombuffer(mapped, dtype, count, offset)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: slice) -> np.ndarray:
        if rows.stop > rows.start:
            self._file.check(self._offset + rows.start * self._itemsize, self._offset + rows.stop * self._itemsize)
        return self._array[rows]


def header(dtype: np.dtype, rows: int) -> bytes:
    """The bytes that stand before the rows in a .npy file; as many, however many rows."""
    before, after = _HEADERS[dtype]
    return before + str(rows).rjust(ROOM).encode() + after


def _header_around(dtype: np.dtype) -> tuple[bytes, bytes]:
    written = io.BytesIO()
    most = 10**ROOM - 1  # NumPy and others read the number with spaces before it as well
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (most,)}
    np.lib.format.write_array_header_1_0(written, description)
    before, _, after = written.getvalue().partition(str(most).encode())
    return before, after


ROOM = 20  # digits of the number of rows
_HEADERS = {dtype: _header_around(dtype) for dtype in ROWS.values()}
HEADER = {dtype: len(header(dtype, 0)) for dtype in _HEADERS}
"""How many bytes the header of each kind of rows takes."""
