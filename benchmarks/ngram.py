"""What an interpolated n-gram makes of the benchmarks: the baseline that every model has to be ahead of.

    python benchmarks/ngram.py FOLDER [--only SET ...]

FOLDER holds, at any depth, Jsb16thSeparated.json and the .mat files JSB_Chorales, Nottingham, MuseData and Piano_midi.
Natural logarithms, exact and joint: whole pieces, every symbol scored, the first included. Counts come from the
training split alone and nothing is drawn by chance, so a second run gives the same figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from musiclstm.data.published import FRAME_SETS, JSB_16TH, read_frames, read_jsb_16th
from musiclstm.errors import UserError
from musiclstm.evaluation.ngrams import FramesNGram, VoicesNGram
from musiclstm.evaluation.protocol import Scorer, evaluate

SPLITS = ("validation", "test")


def place_of(name: str, root: Path) -> Path:
    """Where a file lies below `root`; `root` itself, of which the reader can say that it is not there, if nowhere."""
    return next(iter(sorted(root.rglob(name))), root)


def baselines(root: Path, only: list[str]) -> Iterator[tuple[str, str, dict[str, list[Any]], Scorer]]:
    """Name, unit, pieces and fitted baseline of each set."""
    if "jsb_16th" in only:
        voices = read_jsb_16th(place_of(JSB_16TH, root))
        yield "JSB-16th, four voices", "note", voices, VoicesNGram().fit(voices["train"])
    for name in FRAME_SETS:
        if name in only:
            frames = read_frames(place_of(f"{name}.mat", root), name)
            yield f"{name}, frames", "frame", frames, FramesNGram().fit(frames["train"])


def main() -> None:
    """Prints a table in Markdown, a row for each set and split."""
    names = ["jsb_16th", *FRAME_SETS]
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("folder", type=Path, help="with the files of the benchmarks, at any depth")
    arguments.add_argument("--only", nargs="+", choices=names, default=names, help="only these sets")
    given = arguments.parse_args()
    print("| set | split | nats a | all symbols | mean over pieces | without each first step | symbols | pieces |")
    print("|---|---|---|---|---|---|---|---|")
    try:
        for name, unit, pieces, baseline in baselines(given.folder, given.only):
            for split in SPLITS:
                found = evaluate(baseline, pieces[split])
                figures = " | ".join(f"{x:.3f}" for x in (found.per_symbol, found.per_piece, found.skip_first))
                print(f"| {name} | {split} | {unit} | {figures} | {found.symbols:,} | {found.pieces} |", flush=True)
    except UserError as error:
        sys.exit(f"ngram: {error}")


if __name__ == "__main__":
    main()
