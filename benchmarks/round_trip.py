"""The tokenizers' contract on real files: decode(encode(x)) == quantise(x), for every file that a tokenizer admits.

    python benchmarks/round_trip.py FOLDER

Reads all MIDI files below FOLDER in all processes of the machine, and prints a row for each folder in it. A difference
or an exception is printed with its file, and the exit status is then 1.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from musiclstm.errors import UserError
from musiclstm.midi import MIDI_EXTENSIONS, read_midi
from musiclstm.tokenizers import Tokenizer, from_dict

KINDS = {
    "voices": {"name": "voices", "arguments": {"num_voices": 12}},
    "remi, 12": {"name": "remi", "arguments": {"steps_per_quarter": 12}},
    "remi, 24": {"name": "remi", "arguments": {"steps_per_quarter": 24}},
    "performance": {"name": "performance", "arguments": {}},
    "performance of drums": {"name": "performance", "arguments": {"program": 128}},
    "frames, 4": {"name": "frames", "arguments": {"steps_per_quarter": 4}},
    "frames, 12": {"name": "frames", "arguments": {"steps_per_quarter": 12}},
}


def check(path: Path) -> Counter[str]:
    """What became of a file: read or not, and exact or not for each tokenizer that admits it."""
    try:
        score = read_midi(path)
    except UserError:
        return Counter(["not readable"])
    results = Counter(["read"])
    for kind, made in KINDS.items():
        tokenizer: Tokenizer = from_dict(made)
        if tokenizer.admits(score):
            continue
        quantised, ids = tokenizer.quantise(score), tokenizer.encode(score)
        exact = tokenizer.decode(ids) == quantised and np.array_equal(tokenizer.encode(quantised), ids)
        results[kind if exact else "DIFFERENT"] += 1
        if not exact:
            print(f"different: {kind}, {path}", flush=True)
    return results


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = Path(sys.argv[1])
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in MIDI_EXTENSIONS)
    totals: dict[str, Counter[str]] = {}
    with ProcessPoolExecutor() as pool:
        for path, results in zip(paths, pool.map(check, paths, chunksize=16), strict=True):
            totals.setdefault(path.relative_to(root).parts[0], Counter()).update(results)
    for folder, total in totals.items():
        print(f"{folder}: " + ", ".join(f"{kind} {count}" for kind, count in total.items()))
    sys.exit(any(total["DIFFERENT"] for total in totals.values()))


if __name__ == "__main__":
    main()
