"""Reading a chunk of files into a part, which is a note store of its own: what a worker process does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from musiclstm.data.facts import facts
from musiclstm.data.music_files import MusicFile
from musiclstm.data.near_duplicates import sketch
from musiclstm.data.store import COLUMNS, SPLITS, NoteStore
from musiclstm.data.store_writing import StoreWriter
from musiclstm.data.worker import Limits
from musiclstm.errors import FileError, UserError
from musiclstm.midi import read_midi_bytes
from musiclstm.notation import read_scores
from musiclstm.score import Score

KNOWN = np.dtype([("key", "<u8"), ("file", "<i8"), ("piece", "<i8")])  # by key, of sha256 the first bytes
LASTING = ("damaged", "empty", "selection")  # why a file is dropped that will be dropped for the same reason tomorrow


class Music(NamedTuple):
    """What a file holds: its pieces, what was mended in it, and what else there is to say of it."""

    scores: Sequence[Score]
    repairs: Sequence[str] = ()
    remarks: Sequence[str] = ()


Reader = Callable[[MusicFile, bytes], Music]
"""Gives the music in a file of these bytes, or raises UserError."""


class Count(NamedTuple):
    """How many files were dealt with, and how many of these had been read before."""

    files: int
    known: int


def read_music(file: MusicFile, content: bytes) -> Music:
    """The music in a MIDI or notation file."""
    if file.notation:
        return Music(read_scores(file.path))
    reading = read_midi_bytes(content)
    return Music([reading.score], reading.repairs, reading.remarks)


def read_part(
    chunk: tuple[Path, Sequence[MusicFile]],
    lost: Mapping[int, tuple[str, str]],
    begin: Callable[[int], None],
    *,
    read: Reader,
    limits: Limits,
    known: tuple[Path, Path] | None = None,
) -> Count:
    """Write the part of a chunk: its folder and its files.

    lost: from the number of a file that cost a worker its life to the kind and the reason.
    begin: is told the number of each file before it is read, and -1 after the last.
    known: a store that has some of the files, and its `index_of_known`.
    """
    part, files = chunk
    reused = 0
    with StoreWriter(part) as writer:
        for number, file in enumerate(files):
            begin(number)
            if number in lost:
                kind, reason = lost[number]
                writer.add_file(file.source, "", max(0, file.stamp()[0]), pieces=[], kind=kind, reason=reason)
                continue
            reused += _add(writer, file, read, limits, _Known.open(*known) if known else None)
        begin(-1)
    return Count(len(files), reused)


def _add(writer: StoreWriter, file: MusicFile, read: Reader, limits: Limits, known: _Known | None) -> bool:
    """Append a file and its pieces; whether they were known."""
    size, sha256 = 0, ""
    try:
        content = file.content()
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        if known is not None and known.add(writer, file, size, sha256):
            return True
        music = read(file, content)
        rows = [(facts(score), sketch(score), digest(score)) for score in music.scores]
    except MemoryError:
        kind, reason = limits.too_large()
        error: UserError = FileError(reason, kind=kind)
    except RecursionError:
        error = FileError("nested so deeply that its parser gave up", kind="damaged")
    except UserError as user_error:
        error = user_error
    except Exception as exception:  # whatever a parser throws, it costs this file alone
        why = " ".join(f"{type(exception).__name__}: {exception}".split())
        error = FileError(f"its parser failed ({why})", kind="damaged")
    else:
        writer.add_file(
            file.source,
            sha256,
            size,
            pieces=_names(file, len(music.scores)),
            repairs=list(music.repairs),
            remarks=list(music.remarks),
        )
        for score, (row, hashes, whole) in zip(music.scores, rows, strict=True):
            # the split is drawn when all pieces are known; until then it says nothing
            writer.add(score, facts=row, sketch=hashes, digest=whole, split=SPLITS[0])
        return False
    reason = str(error).removeprefix(f"{file.path}: ")
    kind = error.kind if isinstance(error, FileError) else "damaged"
    if not sha256:  # it could not be opened
        size = max(0, file.stamp()[0])
    writer.add_file(file.source, sha256, size, pieces=[], kind=kind, reason=reason)
    return False


def _names(file: MusicFile, count: int) -> list[str]:
    return [file.name if i == 0 else f"{file.name}#{i + 1}" for i in range(count)]


def digest(score: Score) -> np.ndarray:
    """Two 64-bit numbers that are those of all pieces with the same notes, tempo, meter and pedal."""
    whole = hashlib.sha256(np.array([score.ticks_per_quarter, score.first_bar], "<i8").tobytes())
    for name, dtype in COLUMNS.items():
        whole.update(b"|")
        whole.update(np.ascontiguousarray(getattr(score, name), dtype).view(np.uint8).data)
    return np.frombuffer(whole.digest()[:16], "<u8")


def index_of_known(folder: Path, reading: str, path: Path) -> tuple[Path, Path] | None:
    """Write to `path` an index of the files in the store in `folder`, if one is there and was read as `reading`
    says, that need not be read again wherever they are found again. Gives both, or None."""
    try:
        store = NoteStore.open(folder)
        store.verify()
    except UserError:
        return None
    if store.head.get("reading") != reading:
        return None
    rows = np.zeros(len(store.rows("lines")), KNOWN)
    count = piece = 0
    for number, entry in enumerate(store.files()):
        whole = entry["found"] == len(entry["pieces"]) if entry["found"] else entry["kind"] in LASTING
        if whole and entry["sha256"]:
            rows[count] = _key(entry["sha256"]), number, piece
            count += 1
        piece += len(entry["pieces"])
    rows = rows[:count]
    np.save(path, rows[np.argsort(rows["key"], kind="stable")])
    return folder, path


def _key(sha256: str) -> int:
    return int(sha256[:16], 16)


class _Known:
    """A store whose pieces can be taken over by the hash of the file that they came from."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.store = NoteStore.open(folder)
        self.rows = np.load(index)
        self.keys = np.ascontiguousarray(self.rows["key"])

    @classmethod
    @lru_cache(maxsize=1)
    def open(cls, folder: Path, index: Path) -> _Known:
        return cls(folder, index)

    def add(self, writer: StoreWriter, file: MusicFile, size: int, sha256: str) -> bool:
        """Append what is known of a file with this hash; False where nothing is."""
        at = int(np.searchsorted(self.keys, np.uint64(_key(sha256))))
        while at < len(self.keys) and self.keys[at] == _key(sha256):
            number, piece = int(self.rows["file"][at]), int(self.rows["piece"][at])
            entry = self.store.file(number)
            if entry["sha256"] == sha256 and os.path.splitext(entry["source"])[1] == os.path.splitext(file.source)[1]:
                self._take(writer, file, size, entry, piece)
                return True
            at += 1
        return False

    def _take(self, writer: StoreWriter, file: MusicFile, size: int, entry: dict[str, Any], piece: int) -> None:
        known = {key: entry[key] for key in ("sha256", "kind", "reason", "repairs", "remarks")}
        writer.add_file(file.source, size=size, pieces=_names(file, len(entry["pieces"])), **known)
        for i in range(piece, piece + len(entry["pieces"])):
            writer.add(
                self.store[i],
                facts=self.store.facts[i],
                sketch=self.store.rows("sketches", i, i + 1)["sketch"][0],
                digest=self.store.pieces["digest"][i],
                split=SPLITS[0],
            )
