"""The note store: a collection of pieces as memory-mapped columns, prepared once and read by everything."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import METER, NOTE, PEDAL, TEMPO, Score

VERSION = 1
SPLITS = ("train", "validation", "test")

COLUMNS = {"notes": NOTE, "tempos": TEMPO, "meters": METER, "pedals": PEDAL}
PIECE = np.dtype(
    [
        *((name, "<i8") for name in COLUMNS),  # the row at which this piece ends and the next begins
        ("ticks_per_quarter", "<i4"),
        ("first_bar", "<i4"),  # ticks
        ("split", "u1"),  # index into SPLITS
    ]
)


class NoteStore:
    """Pieces in a folder of memory-mapped arrays. `NoteStore.open(folder)` opens one, `StoreWriter` writes one.

    `store[i]` is a `Score` whose arrays are read-only views of the maps. It can be pickled: the other process
    opens the folder anew.
    """

    def __init__(self, folder: Path, head: dict[str, Any]) -> None:
        self.folder = folder
        self._head = head
        self._pieces = _load(folder / "pieces.npy", PIECE)
        self._columns = {name: _load(folder / f"{name}.npy", dtype) for name, dtype in COLUMNS.items()}

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> NoteStore:
        """The store in `folder`. Raises UserError where there is none, or one of another version."""
        folder = Path(folder).absolute()
        try:
            head = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            version = head["version"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{folder}: not a note store; prepare a folder of music to get one") from None
        if version != VERSION:
            raise UserError(f"{folder}: a note store of version {version}, not {VERSION}; prepare the music again")
        try:
            return cls(folder, head)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: a damaged note store ({error}); prepare the music again") from None

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return NoteStore.open, (self.folder,)

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, index: int) -> Score:
        index = range(len(self))[index]
        piece = self._pieces[index]
        before = self._pieces[index - 1] if index else np.zeros((), PIECE)
        columns = {name: rows[int(before[name]) : int(piece[name])] for name, rows in self._columns.items()}
        return Score(ticks_per_quarter=int(piece["ticks_per_quarter"]), first_bar=int(piece["first_bar"]), **columns)

    def __iter__(self) -> Iterator[Score]:
        return (self[i] for i in range(len(self)))

    def split(self, name: str) -> np.ndarray:
        """The indices, ascending, of the pieces in "train", "validation" or "test"."""
        if name not in SPLITS:
            raise UserError(f"no split is called {name!r}: give one of {', '.join(SPLITS)}")
        return np.flatnonzero(self._pieces["split"] == SPLITS.index(name))

    @cached_property
    def note_counts(self) -> np.ndarray:
        """How many notes each piece has."""
        return np.diff(self._pieces["notes"], prepend=0)

    @cached_property
    def names(self) -> list[str]:
        """What each piece is called: its file's path below the source folder, '#2' and so on where it has more."""
        return [piece["name"] for piece in self.manifest["pieces"]]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Where the store came from: version, source, settings, `pieces` and `skipped` (source and reason each).

        Each of the pieces has name, source, sha256, ticks_per_quarter, notes, split and problems.
        """
        pieces = json.loads((self.folder / "pieces.json").read_text(encoding="utf-8"))
        return {**self._head, "pieces": pieces}

    @property
    def head(self) -> dict[str, Any]:
        """The manifest without its pieces, of which there may be very many."""
        return self._head


class StoreWriter:
    """Writes a store piece by piece; memory holds one piece. Used as a context manager.

    What is written stands beside `folder` until the block ends without an error; then it takes its place.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        self.skipped: list[dict[str, str]] = []
        self.head: dict[str, Any] = {}
        self._beside = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.new")
        self._old = self._beside.with_suffix(".old")
        self._ends = dict.fromkeys(COLUMNS, 0)
        self._rows: list[tuple[int, ...]] = []
        self._pieces: list[dict[str, Any]] = []
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> StoreWriter:
        shutil.rmtree(self._beside, ignore_errors=True)
        self._beside.mkdir(parents=True)
        for name, dtype in COLUMNS.items():
            self._files[name] = (self._beside / f"{name}.npy").open("wb")
            _write_header(self._files[name], dtype, 0)
        return self

    def add(self, score: Score, *, name: str, source: str, sha256: str, problems: list[str], split: str) -> None:
        """Append a piece. `source` is the file it came from and `problems` what was wrong with it."""
        for column, file in self._files.items():
            rows = np.ascontiguousarray(getattr(score, column), COLUMNS[column])
            file.write(rows.tobytes())
            self._ends[column] += len(rows)
        numbers = (score.ticks_per_quarter, score.first_bar, SPLITS.index(split))
        self._rows.append((*self._ends.values(), *numbers))
        self._pieces.append(
            {
                "name": name,
                "source": source,
                "sha256": sha256,
                "ticks_per_quarter": score.ticks_per_quarter,
                "notes": len(score),
                "split": split,
                "problems": problems,
            }
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, file in self._files.items():
            with file:
                file.seek(0)
                _write_header(file, COLUMNS[name], self._ends[name])
        if kind is not None:
            shutil.rmtree(self._beside, ignore_errors=True)
            return
        np.save(self._beside / "pieces.npy", np.array(self._rows, PIECE))
        _write_json(self._beside / "pieces.json", self._pieces)
        _write_json(self._beside / "manifest.json", {"version": VERSION, **self.head, "skipped": self.skipped})
        if self.folder.exists():
            self.folder.rename(self._old)
        self._beside.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)


def remove_remains(folder: Path) -> None:
    """Delete what writers of the store in `folder` that were killed have left beside it."""
    for pattern in (".{}.*.new", ".{}.*.old"):
        for remains in folder.parent.glob(pattern.format(glob.escape(folder.name))):
            shutil.rmtree(remains, ignore_errors=True)


def _load(path: Path, dtype: np.dtype) -> np.ndarray:
    rows = np.asarray(np.load(path, mmap_mode="r"))  # views of np.memmap are slow to make, those of an array not
    if rows.dtype != dtype:
        raise ValueError(f"{path.name} holds other columns")
    return rows


def _write_header(file: BinaryIO, dtype: np.dtype, rows: int) -> None:
    # NumPy leaves room for the number of rows to grow, so the header can be written again when it is known
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": (rows,)})


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
