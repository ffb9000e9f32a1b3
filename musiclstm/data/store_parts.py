"""Reading music files in several processes, chunk by chunk, each chunk into a part that is a store of its own."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musiclstm.console import progress, say
from musiclstm.data.store import SPLITS, NoteStore, StoreWriter
from musiclstm.errors import UserError
from musiclstm.midi import NOTATION_EXTENSIONS
from musiclstm.score import Score

WORTH_PROCESSES = 3.0  # seconds of reading below which starting processes takes longer than it saves


@dataclass(frozen=True)
class MusicFile:
    """A file to read: `source` is its path as the manifest gives it, `name` what its piece is called."""

    path: Path
    source: str
    name: str

    @property
    def notation(self) -> bool:
        """Whether it is notation, which music21 reads, and not MIDI."""
        return self.path.suffix.lower() in NOTATION_EXTENSIONS

    def seconds(self) -> float:
        """About how long it takes to read."""
        return 0.05 if self.notation else 0.001 + 8e-8 * max(0, self.stamp()[0])

    def stamp(self) -> tuple[int, int]:
        """Size in bytes and time of change in nanoseconds; (-1, -1) where the file cannot be reached."""
        try:
            stat = self.path.stat()
        except OSError:
            return -1, -1
        return stat.st_size, stat.st_mtime_ns


Reader = Callable[[MusicFile], "list[Score]"]


def read_parts(parts: Mapping[Path, Sequence[MusicFile]], read: Reader, workers: int | None = None) -> None:
    """Read the files of each part into it, but for the parts that are there already.

    Raises UserError where a process that reads dies; what has been read stays.
    """
    missing = {part: files for part, files in parts.items() if not _is_there(part)}
    files = [file for chunk in missing.values() for file in chunk]
    total = sum(len(chunk) for chunk in parts.values())
    if len(files) < total:
        say(f"Going on where an earlier run was cut off: {total - len(files):,} of {total:,} files are read")
    workers = min(workers or _cores(), len(missing))
    with progress("Reading", len(files), unit="files") as bar:
        if workers < 2 or sum(file.seconds() for file in files) < WORTH_PROCESSES:
            for part, chunk in missing.items():
                bar.advance(_read_part(part, chunk, read))
            return
        # not fork: the threads of torch, if it is there, would not survive it
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        with ProcessPoolExecutor(workers, context, _begin_worker) as pool:
            futures = [pool.submit(_read_part, part, chunk, read) for part, chunk in missing.items()]
            try:
                for future in as_completed(futures):
                    bar.advance(future.result())
            except BrokenProcessPool:
                raise UserError(
                    "a process that reads files died, for want of memory or over a file that crashes the parser; "
                    "what was read is kept, so run it again, with workers=1 if it happens again"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)


def _is_there(part: Path) -> bool:
    try:
        NoteStore.open(part)
    except UserError:
        return False
    return True


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which lets the chunks be finished
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        # a parent that was killed tells nobody, and its workers would wait for it forever
        threading.Thread(target=follow, daemon=True).start()


def _read_part(part: Path, files: Sequence[MusicFile], read: Reader) -> int:
    with StoreWriter(part) as writer:
        for file in files:
            try:
                sha256 = hashlib.sha256(file.path.read_bytes()).hexdigest()
                scores = read(file)
            except UserError as error:
                reason = str(error).removeprefix(f"{file.path}: ")
                writer.skipped.append({"source": file.source, "reason": reason})
                continue
            except OSError as error:
                writer.skipped.append({"source": file.source, "reason": error.strerror or str(error)})
                continue
            for i, score in enumerate(scores):
                name = file.name if i == 0 else f"{file.name}#{i + 1}"
                # the split is drawn when all pieces are known; until then it says nothing
                writer.add(
                    score,
                    name=name,
                    source=file.source,
                    sha256=sha256,
                    problems=problems(score),
                    split=SPLITS[0],
                )
    return len(files)


def problems(score: Score) -> list[str]:
    """What is odd about the notes of a piece that can be used nonetheless, for the manifest."""
    notes = score.notes
    found = []
    if count := int((notes["end"] <= notes["start"]).sum()):
        found.append(f"{count} notes without length")
    notes = notes[np.lexsort([notes["start"], notes["pitch"], notes["program"], notes["track"]])]
    same = notes[["track", "program", "pitch"]][1:] == notes[["track", "program", "pitch"]][:-1]
    if count := int((same & (notes["start"][1:] < notes["end"][:-1])).sum()):
        found.append(f"{count} notes that begin while their pitch sounds")
    return found
