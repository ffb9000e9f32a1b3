"""Preparing a collection against other ways of reading it, in one run; what the pool of workers costs; how it scales.

    python benchmarks/prepare.py speed FOLDER [FOLDER ...] [--every 1] [--rounds 5] [--workers 2]
    python benchmarks/prepare.py pool FOLDER [FOLDER ...] [--rounds 5] [--workers 2]
    python benchmarks/prepare.py scale FOLDER [--files 2000 200000] [--workers 2]
    python benchmarks/prepare.py large STORE [--gigabytes 1 20]

speed: `musiclstm.data.preparation.prepare`, from the files to the store with its checksums, fingerprints and report on
the disk, workers started and ended, against (a) a loop of `pretty_midi.PrettyMIDI(file)` and (b) `symusic.Score(file)`
and MidiTok's REMI in as many processes, whose start is not counted. Nobody's imports are counted; the whole command
`python -m musiclstm.prepare` is given beside. Medians of the rounds for ours. Files are read once before, so that all
find them in memory. `--every 10` gives the two peers each tenth file and multiplies their time.
pool: files read by symusic in our pool against the same in a loop of its own in each of as many processes; both from
the start of the processes to their end, and without the start.
scale: a folder of copies of a collection, each with its notes changed so that none is like another: the highest sum of
the resident memory of all processes, and files a second. Needs some 10 KB of disk for each file.
large: stores that repeat the pieces of a store until they have so many gigabytes; the memory of its own and the mapped
memory of a training of 200 steps on each, and the seconds until its first step.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from musiclstm.data.pool import run_chunks
from musiclstm.data.store import COLUMNS, NoteStore
from musiclstm.data.store_writing import StoreWriter
from musiclstm.data.worker import Limits
from musiclstm.midi import MIDI_EXTENSIONS

CHUNK = 64


def files_in(folders: Sequence[Path]) -> list[str]:
    return sorted(str(p) for f in folders for p in f.rglob("*") if p.suffix.lower() in MIDI_EXTENSIONS)


def prepare(music: Path, store: Path, workers: int) -> tuple[float, float, str]:
    """Runs the command; its seconds, the most resident memory of it and its children in MB, and what it said."""
    arguments = [f"data.path={music}", f"output={store}", f"prepare.workers={workers}"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "musiclstm.prepare", *arguments], stdout=subprocess.PIPE, text=True
    )
    most, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        parent = psutil.Process(process.pid)
        while not over.wait(0.1):
            total = 0
            for each in [parent, *_children(parent)]:
                try:
                    total += each.memory_info().rss
                except psutil.Error:
                    continue
            most = max(most, total / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = process.communicate()
    seconds = time.perf_counter() - began
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(said)
    return seconds, most, said


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def with_pretty_midi(paths: Sequence[str]) -> float:
    import pretty_midi

    began = time.perf_counter()
    for path in paths:
        try:
            pretty_midi.PrettyMIDI(path)
        except Exception as error:
            print(f"pretty_midi cannot read {path}: {error!r}")
    return time.perf_counter() - began


def with_miditok(paths: Sequence[str]) -> float:
    """Seconds of a process that reads and tokenises files, without its start."""
    import symusic
    from miditok import REMI, TokenizerConfig

    tokenizer = REMI(TokenizerConfig())
    began = time.perf_counter()
    for path in paths:
        tokenizer(symusic.Score(path))
    return time.perf_counter() - began


def in_processes(function: Callable[[Sequence[str]], float], paths: Sequence[str], workers: int) -> tuple[float, float]:
    """Seconds of all, and of the slowest process without its start."""
    began = time.perf_counter()
    with get_context("spawn").Pool(workers) as pool:
        inside = pool.map(function, [paths[i::workers] for i in range(workers)], chunksize=1)
    return time.perf_counter() - began, max(inside)


def inside(music: Path, store: Path, workers: int) -> float:
    """Seconds of `prepare` in a process of its own that has imported it."""
    code = (
        "import sys, time; from musiclstm.data.preparation import prepare; began = time.perf_counter(); "
        "prepare(sys.argv[1], sys.argv[2], workers=int(sys.argv[3])); print(time.perf_counter() - began)"
    )
    command = [sys.executable, "-c", code, str(music), str(store), str(workers)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def speed(folders: Sequence[Path], every: int, rounds: int, workers: int) -> None:
    paths = files_in(folders)
    for path in paths:
        Path(path).read_bytes()
    times, whole = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            music = Path(scratch) / "music"
            music.mkdir()
            for folder in folders:
                (music / folder.name).symlink_to(folder.resolve())
            times.append(inside(music, Path(scratch) / "one", workers))
            seconds, _, said = prepare(music, Path(scratch) / "two", workers)
            whole.append(seconds)
    print(said)
    ours = statistics.median(times)
    print(f"musiclstm: {len(paths):,} files, prepare {ours:.2f} s ({min(times):.2f} to {max(times):.2f}), ", end="")
    print(f"the whole command {statistics.median(whole):.2f} s ({min(whole):.2f} to {max(whole):.2f})", flush=True)
    some = paths[::every]
    factor = len(paths) / len(some)
    _, slowest = in_processes(with_miditok, some, workers)
    tokenised = slowest * factor
    print(f"symusic + MidiTok REMI, {workers} processes: {tokenised:.1f} s, {tokenised / ours:.1f} times", flush=True)
    loop = with_pretty_midi(some) * factor
    print(f"a loop of pretty_midi: {loop:.1f} s, {loop / ours:.1f} times")


def read_alone(paths: Sequence[str]) -> float:
    import symusic

    began = time.perf_counter()
    for path in paths:
        symusic.Score(path)
    return time.perf_counter() - began


def read_chunk(
    paths: Sequence[str], lost: Mapping[int, tuple[str, str]], begin: Callable[[int], None]
) -> tuple[float, float]:
    """When a chunk was begun and done."""
    import symusic

    began = time.perf_counter()
    for i, path in enumerate(paths):
        begin(i)
        symusic.Score(path)
    begin(-1)
    return began, time.perf_counter()


def pool(folders: Sequence[Path], rounds: int, workers: int) -> None:
    paths = files_in(folders)
    read_alone(paths)
    whole, inner = [], []
    for _ in range(rounds):
        alone, inside = in_processes(read_alone, paths, workers)
        began = time.perf_counter()
        chunks = ((i, paths[i : i + CHUNK]) for i in range(0, len(paths), CHUNK))
        spans = [span for _, span in run_chunks(read_chunk, chunks, workers=workers, limits=Limits())]
        ours = time.perf_counter() - began
        own = max(end for _, end in spans) - min(begin for begin, _ in spans)
        whole.append(ours / alone)
        inner.append(own / inside)
        print(f"a bare loop {alone:.2f} s ({inside:.2f} without the start), the pool {ours:.2f} s ({own:.2f})")
    print(
        f"{len(paths):,} files, {workers} processes: the pool takes {statistics.median(inner):.3f} times as long as "
        f"bare loops, {statistics.median(whole):.3f} with the start of the processes (medians of {rounds})"
    )


def copies(paths: Sequence[str], folder: Path, count: int) -> None:
    """Files of the sizes of `paths`, each with other notes: pitches wander anew, by 0 to 11 semitones a note."""
    import symusic

    random = np.random.default_rng(0)
    pieces: list[Any] = [symusic.Score(path) for path in paths]
    for i in range(count):
        piece = pieces[i % len(pieces)].copy()
        for track in piece.tracks:
            columns = track.notes.numpy()
            shift = np.cumsum(random.integers(-2, 3, len(columns["pitch"]))) % 12
            columns["pitch"] = np.clip(columns["pitch"] + shift - 6, 21, 108).astype(columns["pitch"].dtype)
            track.notes = symusic.Note.from_numpy(**columns, ttype=piece.ttype)
        path = folder / f"{i // 1000:04d}" / f"{i:07d}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        piece.dump_midi(path)


def scale(folder: Path, counts: Sequence[int], workers: int) -> None:
    paths = files_in([folder])
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            music = Path(scratch) / "music"
            copies(paths, music, count)
            seconds, memory, said = prepare(music, Path(scratch) / "store", workers)
            size = sum(path.stat().st_size for path in (Path(scratch) / "store").iterdir()) / 2**20
            began = time.perf_counter()
            code = f"from musiclstm.data.store import NoteStore; s = NoteStore.open({str(Path(scratch) / 'store')!r}); "
            code += "s.split('train'); s[0]; s[len(s) - 1]"
            subprocess.run([sys.executable, "-c", code], check=True)
            opened = time.perf_counter() - began
        print(said)
        rows.append((seconds, memory))
        print(
            f"{count:,} files: {seconds:.1f} s, {count / seconds:.0f} files a second, {memory:.0f} MB at most, "
            f"a store of {size:,.0f} MB, opened and read from by a new process in {opened:.2f} s",
            flush=True,
        )
    (first, small), (last, large) = rows[0], rows[-1]
    rate = (counts[-1] / last) / (counts[0] / first)
    print(
        f"memory {large / small:.2f} times, files a second {rate:.2f} times, {counts[-1] // counts[0]} times the files"
    )


TRAINING = """
import resource, sys, time
began = time.perf_counter()
import torch
from lightning import Trainer
from musiclstm.data.augmentation import Augmentation
from musiclstm.data.datamodule import MusicData
from musiclstm.data.store import NoteStore
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers import make_tokenizer
loaded = time.perf_counter()
store = NoteStore.open(sys.argv[1])
pieces = store.split("train")
sample = [store[int(i)] for i in pieces[:: max(1, len(pieces) // 200)]]
tokenizer = make_tokenizer("performance", sample)
data = MusicData(store, tokenizer, Augmentation(), lanes=16, window=128)
model = MusicLSTM(len(tokenizer.vocabulary), tuple(tokenizer.context_sizes.values()), hidden_size=64, num_layers=1)
state = None
for step, window in enumerate(data.train_dataloader()):
    if step == 0:
        first = time.perf_counter() - loaded
    if step == 200:
        break
    model(window.tokens, context=window.context)[0].sum().backward()
memory = dict(line.split(":") for line in open("/proc/self/status"))
own, mapped = (int(memory[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
print(f"first window after {first:.2f} s; {own:.0f} MB of its own, {mapped:.0f} MB mapped", end="")
"""


def large(store: Path, gigabytes: Sequence[float]) -> None:
    source = NoteStore.open(store)
    pieces = source.pieces.copy()
    rows = {name: source.rows(name) for name in (*COLUMNS, "facts", "sketches")}
    for size in gigabytes:
        with tempfile.TemporaryDirectory() as scratch:
            with StoreWriter(Path(scratch) / "store") as writer:
                writer.add_lines([source.file(0)])
                count = int(size * 2**30 / sum(column.nbytes for column in rows.values())) + 1
                for _ in range(count):
                    writer.add_pieces(pieces, rows)
            run = subprocess.run(
                [sys.executable, "-c", TRAINING, scratch + "/store"], capture_output=True, text=True, check=True
            )
            print(f"{size:g} GB, {count * len(pieces):,} pieces: {run.stdout}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "pool", "scale", "large"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--files", type=int, nargs="+", default=[2000, 200_000])
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1, 20])
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.folders, given.every, given.rounds, given.workers)
    elif given.what == "pool":
        pool(given.folders, given.rounds, given.workers)
    elif given.what == "large":
        large(given.folders[0], given.gigabytes)
    else:
        scale(given.folders[0], given.files, given.workers)


if __name__ == "__main__":
    main()
