"""The files of a collection: found at any depth of a folder, in an order that is always the same."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from musiclstm.errors import FileError, UserError
from musiclstm.midi import EXTENSIONS, NOTATION_EXTENSIONS

MAX_BYTES = 64 << 20  # of a file: more than any music, and little enough to read at once


@dataclass(frozen=True)
class MusicFile:
    """A file to read: `source` is its path as the store gives it, `name` what its piece is called.

    Where it lies is a string: a `Path` takes longer to make than the rest, in this process and in the one that reads.
    """

    location: str
    source: str
    name: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)

    @property
    def notation(self) -> bool:
        """Whether it is notation, which music21 reads, and not MIDI."""
        return os.path.splitext(self.location)[1].lower() in NOTATION_EXTENSIONS

    def stamp(self) -> tuple[int, int]:
        """Size in bytes and time of change in nanoseconds; (-1, -1) where the file cannot be reached."""
        try:
            found = os.stat(self.location)
        except OSError:
            return -1, -1
        return found.st_size, found.st_mtime_ns

    def content(self) -> bytes:
        """The bytes of the file. Raises FileError where it is not a file that can be opened, or too large."""
        try:
            found = os.stat(self.location)
            if not stat.S_ISREG(found.st_mode):
                raise FileError("not a file but something else, such as a pipe or a folder", kind="damaged")
            if found.st_size > MAX_BYTES:
                size = f"{found.st_size / 2**20:,.0f} MB"
                raise FileError(f"a file of {size}, where music takes {MAX_BYTES >> 20} at most", kind="limit")
            with open(self.location, "rb") as file:
                return file.read(found.st_size)
        except OSError as error:
            raise FileError(f"cannot be opened ({error.strerror or error})", kind="damaged") from None


class FolderFiles(Sequence[MusicFile]):
    """Files below a folder, given by their paths below it. Each takes the bytes of its path and no more."""

    def __init__(self, root: Path, sources: Iterable[str]) -> None:
        self.root = root
        self._ends = array("q", [0])
        self._paths = bytearray()
        for source in sources:
            self._paths += os.fsencode(source)
            self._ends.append(len(self._paths))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> MusicFile: ...
    @overload
    def __getitem__(self, index: slice) -> list[MusicFile]: ...
    def __getitem__(self, index: int | slice) -> MusicFile | list[MusicFile]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        source = os.fsdecode(bytes(self._paths[self._ends[index] : self._ends[index + 1]]))
        return MusicFile(os.path.join(self.root, source), source, source)


def find_files(path: str | os.PathLike[str]) -> Sequence[MusicFile]:
    """The music files in a folder, folder by folder in the order of their names, or the one file that `path` is.

    Hidden files and folders are passed over. Raises UserError where there is none.
    """
    root = Path(path)
    if root.is_file():
        if root.suffix.lower() not in EXTENSIONS:
            raise UserError(f"{path}: not a music file; give one that ends in {', '.join(EXTENSIONS)}, or a folder")
        return [MusicFile(str(root), root.name, root.name)]
    if not root.is_dir():
        raise UserError(f"{path}: no such folder; give the path of a folder with music")
    files = FolderFiles(root, _walk(root))
    if not files:
        raise UserError(f"{path}: no music in this folder, which would be files that end in {', '.join(EXTENSIONS)}")
    return files


def _walk(root: Path) -> Iterator[str]:
    seen = {os.path.realpath(root)}  # links may lead in a circle
    for folder, folders, files in os.walk(root, followlinks=True):
        inside = sorted(name for name in folders if not name.startswith("."))
        folders.clear()
        for name in inside:
            real = os.path.realpath(os.path.join(folder, name))
            if real not in seen:
                seen.add(real)
                folders.append(name)
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS:
                yield name if below == "." else f"{below}/{name}"
