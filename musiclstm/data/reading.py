"""Reading a chunk of files into a part, which is a note store of its own: what a worker process does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from musiclstm.data.facts import facts_of
from musiclstm.data.music_files import MusicFile
from musiclstm.data.sketches import sketches
from musiclstm.data.store import COLUMNS, ROWS, NoteStore
from musiclstm.data.store_writing import StoreWriter, file_entry
from musiclstm.data.worker import Limits
from musiclstm.errors import FileError, UserError
from musiclstm.midi import read_midi_bytes
from musiclstm.notation import read_scores
from musiclstm.score import Score

KNOWN = np.dtype([("key", "<u8"), ("file", "<i8"), ("piece", "<i8")])  # by key, of sha256 the first bytes
BATCH = 1 << 16  # notes that are looked at together: fewer take longer, more take memory
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
        batch = _Batch(writer, limits)
        for number, file in enumerate(files):
            begin(number)
            if number in lost:
                kind, reason = lost[number]
                batch.add(file_entry(file.source, "", max(0, file.stamp()[0]), pieces=[], kind=kind, reason=reason))
                continue
            reused += _add(batch, file, read, _Known.open(*known) if known else None)
        batch.write()
        begin(-1)
    return Count(len(files), reused)


class _Batch:
    """Files that were read, whose pieces are looked at and written together: that is quicker than one by one."""

    def __init__(self, writer: StoreWriter, limits: Limits) -> None:
        self.writer, self.limits = writer, limits
        self._files: list[tuple[dict[str, Any], Sequence[Score]]] = []
        self._notes = 0

    def add(self, entry: dict[str, Any], scores: Sequence[Score] = ()) -> None:
        """Append a file and its pieces. It is written at once if it is large, while a worker's death is its fault."""
        self._files.append((entry, scores))
        self._notes += sum(map(len, scores))
        if self._notes >= BATCH:
            self.write()

    def write(self) -> None:
        """Write what was added."""
        files, self._files, self._notes = self._files, [], 0
        if not files:
            return
        scores = [score for _, those in files for score in those]
        try:
            rows = {"facts": facts_of(scores), "sketches": sketches(scores).view(ROWS["sketches"])[:, 0]}
            digests = [digest(score) for score in scores]
        except Exception as error:
            if len(files) > 1:  # the others are not to blame
                for file in files:
                    self.add(*file)
                    self.write()
                return
            kind, reason = _why(error, self.limits)
            ((entry, _),) = files
            known = (entry["source"], entry["sha256"], entry["bytes"])
            files = [(file_entry(*known, pieces=[], kind=kind, reason=reason), ())]
            scores, digests, rows = [], [], {}
        places = np.repeat(np.arange(len(files)), [len(those) for _, those in files]) + self.writer.num_files
        self.writer.add_lines([entry for entry, _ in files])
        if scores:
            self.writer.add_scores(scores, places, digests, rows)


def _add(batch: _Batch, file: MusicFile, read: Reader, known: _Known | None) -> bool:
    """Append a file and its pieces; whether they were known."""
    size, sha256 = 0, ""
    try:
        content = file.content()
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        if known is not None and known.add(batch, file, size, sha256):
            return True
        music = read(file, content)
    except Exception as error:  # whatever a parser throws, it costs this file alone
        kind, reason = _why(error, batch.limits)
        if not sha256:  # it could not be opened
            size = max(0, file.stamp()[0])
        reason = reason.removeprefix(f"{file.path}: ")
        batch.add(file_entry(file.source, sha256, size, pieces=[], kind=kind, reason=reason))
        return False
    names = _names(file, len(music.scores))
    entry = file_entry(file.source, sha256, size, pieces=names, repairs=music.repairs, remarks=music.remarks)
    batch.add(entry, music.scores)
    return False


def _why(error: Exception, limits: Limits) -> tuple[str, str]:
    """Kind and reason of a drop."""
    if isinstance(error, MemoryError):
        return limits.too_large()
    if isinstance(error, RecursionError):
        return "damaged", "nested so deeply that its parser gave up"
    if isinstance(error, UserError):
        return error.kind if isinstance(error, FileError) else "damaged", str(error)
    return "damaged", f"its parser failed ({' '.join(f'{type(error).__name__}: {error}'.split())})"


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

    def add(self, batch: _Batch, file: MusicFile, size: int, sha256: str) -> bool:
        """Append what is known of a file with this hash; False where nothing is."""
        at = int(np.searchsorted(self.keys, np.uint64(_key(sha256))))
        while at < len(self.keys) and self.keys[at] == _key(sha256):
            number, piece = int(self.rows["file"][at]), int(self.rows["piece"][at])
            entry = self.store.file(number)
            if entry["sha256"] == sha256 and os.path.splitext(entry["source"])[1] == os.path.splitext(file.source)[1]:
                self._take(batch, file, size, entry, piece)
                return True
            at += 1
        return False

    def _take(self, batch: _Batch, file: MusicFile, size: int, entry: dict[str, Any], piece: int) -> None:
        known = {key: entry[key] for key in ("sha256", "kind", "reason", "repairs", "remarks")}
        batch.write()  # what comes before it
        writer, count = batch.writer, len(entry["pieces"])
        own = slice(piece, piece + count)
        writer.add_lines([file_entry(file.source, size=size, pieces=_names(file, count), **known)])
        writer.add_scores(
            [self.store[i] for i in range(piece, piece + count)],
            np.full(count, writer.num_files - 1),
            self.store.pieces["digest"][own],
            {"facts": self.store.facts[own], "sketches": self.store.rows("sketches", own.start, own.stop)},
        )
