"""How well and how fast versions of one piece are found.

    python benchmarks/near_duplicates.py MAESTRO

MAESTRO is the folder of that dataset, with its CSV. Pairs of one composer and title are taken for versions of one
piece, and compared with the pairs that stand in one group. The CSV is not the whole truth: it has one piece under
several titles (and sometimes composers), and different movements under one; so pairs on which the two differ are
shown. Then `sketch` is timed on these pieces, and `group` on made-up sketches, each count in a process of its own,
of whose memory the arrays (as traced) and the whole (as the system counts it, with the pages of the map) are given.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from musiclstm.data.near_duplicates import SKETCH, group, sketch
from musiclstm.data.sketches import MELODY, NONE, TEXTURE
from musiclstm.midi import read_midi

COUNTS = (2_000, 200_000)
EXAMPLES = 8


def read(folder: Path) -> tuple[np.ndarray, list[dict[str, str]]]:
    """The sketches of all pieces in the CSV that are there, and their rows; prints how long `sketch` took."""
    (table,) = folder.glob("*.csv")
    with table.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if (folder / row["midi_filename"]).exists()]
    sketches = np.zeros(len(rows), SKETCH)
    notes, seconds = 0, 0.0
    for i, row in enumerate(rows):
        score = read_midi(folder / row["midi_filename"])
        notes += len(score)
        began = time.perf_counter()
        sketches[i] = sketch(score)
        seconds += time.perf_counter() - began
    print(
        f"sketch: {1e3 * seconds / len(rows):.2f} ms a piece of {notes / len(rows):,.0f} notes, "
        f"{1e6 * seconds / notes:.3f} us a note"
    )
    return sketches, rows


def compare(groups: np.ndarray, rows: list[dict[str, str]]) -> None:
    """Print how pairs in one group agree with pairs of one composer and title."""
    composers = [set(row["canonical_composer"].split(" / ")) for row in rows]
    names = np.array([f"{row['canonical_composer']}: {row['canonical_title']}" for row in rows])
    grouped, titled = (np.triu(keys[:, None] == keys, 1) for keys in (groups, names))
    related = np.array([[bool(a & b) for b in composers] for a in composers])
    sizes = np.sort(np.unique(groups, return_counts=True)[1])[::-1]
    both = int((grouped & titled).sum())
    print(
        f"{len(rows):,} pieces: {sizes[sizes > 1].sum():,} in {(sizes > 1).sum()} groups, "
        f"the largest {sizes[:5].tolist()}\n"
        f"{grouped.sum():,} pairs in one group, {titled.sum():,} of one title, {both:,} both: "
        f"recall {both / titled.sum():.3f}, precision {both / grouped.sum():.3f} by title, "
        f"{(grouped & related).sum() / grouped.sum():.3f} by composer"
    )
    differ = {
        "in one group, of no composer in common": grouped & ~related,
        "of one title, not in one group": titled & ~grouped,
    }
    for what, wrong in differ.items():
        pairs = {f"{names[i]} | {names[j]}" if names[i] != names[j] else names[i]: None for i, j in np.argwhere(wrong)}
        print(f"{what}: {wrong.sum()} pairs, such as")
        for pair in list(pairs)[:: max(1, len(pairs) // EXAMPLES)][:EXAMPLES]:
            print(f"  {pair}")


def make_up(path: Path, count: int, versions: int) -> None:
    """Write sketches of pieces of 100 to 10,000 notes, of each `versions` that share two hashes in three.

    A tenth of the hashes are stock figures, of which there are ten thousand.
    """
    random = np.random.default_rng(0)
    stock = np.sort(random.random(10_000))
    with path.open("wb") as file:
        for _ in range(0, count, versions):
            notes = 10 ** random.uniform(2, 4)
            families = []
            for size, odd in ((TEXTURE, 0), (MELODY, 1)):
                # the smallest of so many random numbers between 0 and 1
                piece = np.cumsum(random.exponential(1 / notes, size))
                found = np.repeat(piece[None], versions, 0)
                change = random.random(found.shape)
                found = np.where(change < 1 / 3, random.random(found.shape) * piece[-1], found)
                figures = stock[: max(1, np.searchsorted(stock, piece[-1]))]
                found = np.where(change > 0.9, random.choice(figures, found.shape), found)
                hashes = (np.sort(found.clip(0, 0.999), 1) * 2**32).astype("<u4") & ~np.uint32(1) | np.uint32(odd)
                again = np.zeros(found.shape, bool)
                again[:, 1:] = hashes[:, 1:] == hashes[:, :-1]
                families.append(np.sort(np.where(again, NONE, hashes), 1))
            file.write(np.concatenate(families, 1).tobytes())


def measure(path: Path, count: int) -> None:
    """Print what `group` takes on a memory map of `count` sketches."""
    sketches = np.memmap(path, np.dtype([("sketch", SKETCH)]), "r", shape=(count,))["sketch"]
    before = _peak()
    began = time.perf_counter()
    groups = group(sketches)
    seconds = time.perf_counter() - began
    after = _peak()
    tracemalloc.start()
    group(sketches)
    arrays = tracemalloc.get_traced_memory()[1]
    sizes = np.unique(groups, return_counts=True)[1]
    print(
        f"group: {count:>7,} sketches in {seconds:6.2f} s ({1e6 * seconds / count:.0f} us each), "
        f"{len(sizes):,} groups, the largest {sizes.max():,}; arrays {arrays / 1e6:.1f} MB "
        f"({arrays / count:.0f} bytes each), the process {before:.0f} MB before and {after:.0f} MB at its peak",
        flush=True,
    )


def _peak() -> float:
    """The most memory that this process has had, in MB; NaN where the system is not Linux."""
    # not resource.getrusage, which counts what the process had that started this one
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM:")), float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maestro", type=Path)
    options = parser.parse_args()
    sketches, rows = read(options.maestro)
    compare(group(sketches), rows)
    with tempfile.TemporaryDirectory() as folder:
        for versions in (2, 1_000):
            print(f"made up, {versions:,} versions of each piece:", flush=True)
            for count in COUNTS:
                path = Path(folder) / "sketches"
                make_up(path, count, versions)
                process = multiprocessing.get_context("spawn").Process(target=measure, args=(path, count))
                process.start()
                process.join()


if __name__ == "__main__":
    main()
