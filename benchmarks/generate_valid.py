"""Pieces under constraints made up by chance, written to MIDI and judged there by code that shares nothing with ours.

    python benchmarks/generate_valid.py [--pieces 10000] [--checkpoint FILE ...] [--free] [--job NUMBER]

Pieces come in jobs: one tokenizer, one set of settings, one model, `--batch` pieces. Without checkpoints the models are
tiny and have random weights, so what they want is noise. Every job can be run again alone, by its number. The exit
status is 1 where a file is not whole or a constraint is not kept.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.judge import judge
from benchmarks.judge_reading import read
from benchmarks.random_settings import LONGEST, random_settings

NATIVE = ("voices", "performance", "remi", "frames")
EXAMPLES = 5  # of each kind of failure


@dataclass(frozen=True)
class Job:
    """`pieces` pieces under one set of settings. All about it follows from `number` and `seed`."""

    number: int
    seed: int
    pieces: int
    tokenizer: str
    checkpoint: str | None
    free: bool


@dataclass
class Outcome:
    """What became of one or more jobs."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by tokenizer, constraint and what happened
    examples: dict[str, list[str]] = field(default_factory=dict)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def example(self, kind: str, text: str) -> None:
        self.examples.setdefault(kind, []).append(text)

    def add(self, other: Outcome) -> None:
        self.counts.update(other.counts)
        for tokenizer, seconds in other.seconds.items():
            self.seconds[tokenizer] += seconds
        for kind, texts in other.examples.items():
            self.examples.setdefault(kind, []).extend(texts)


def run(job: Job) -> Outcome:
    """Generates and judges the pieces of a job."""
    from musiclstm.errors import UserError

    draw = random.Random(f"{job.seed}/{job.number}")
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        settings = {} if job.free else random_settings(draw, job.tokenizer, Path(folder))
        arguments: dict[str, Any] = {"control": settings} if settings else {}
        if "bars" not in settings:
            arguments["max_bars"] = LONGEST
        generator = _generator(job, draw)
        about = f"job {job.number}, {job.tokenizer}, {_without_folder(settings)}"
        began = time.perf_counter()
        try:
            pieces = generator.generate_scores(job.pieces, seed=draw.getrandbits(32), **arguments)
        except UserError as error:
            outcome.counts[job.tokenizer, "", "refused"] += job.pieces
            outcome.example("refused", f"{about}: {error}")
            pieces = []
        outcome.seconds[job.tokenizer] += time.perf_counter() - began
        for number, made in enumerate(pieces):
            _judge(job, settings, made, f"{about}, piece {number}", outcome)
    return outcome


def _generator(job: Job, draw: random.Random) -> Any:
    import torch

    torch.set_num_threads(1)
    if job.checkpoint is not None:
        import musiclstm

        return musiclstm.load(job.checkpoint)
    from tests.generation.models import favour, make_generator

    made = make_generator(job.tokenizer, seed=draw.getrandbits(31))
    # noise alone seldom ends, and seldom lets time pass
    return favour(made, EOS=draw.choice((-9.0, 0.0, 1.0)), Frame=2.0, Bar=2.0, TimeShift=1.0, TimeSignature=-2.0)


def _judge(job: Job, settings: dict[str, Any], made: Any, about: str, outcome: Outcome) -> None:
    count, kind = outcome.counts, job.tokenizer
    count[kind, "", "pieces"] += 1
    content = io.BytesIO()
    try:
        made.to_pretty_midi().write(content)
    except Exception as error:  # whatever it is, it counts
        count[kind, "", "not written"] += 1
        outcome.example("not written", f"{about}: {error!r}")
        return
    piece = read(content.getvalue())
    for problem in piece.problems:
        what = next((name for name in ("hanging", "empty", "parse") if name in problem), "not whole")
        count[kind, "", what] += 1
        outcome.example(what, f"{about}: {problem}")
    if made.score.first_bar and Fraction(made.score.first_bar, made.score.ticks_per_quarter) != piece.pickup:
        count[kind, "", "pickup lost"] += 1
        outcome.example("pickup lost", f"{about}: {made.score.first_bar}/{made.score.ticks_per_quarter} quarters")
    if not piece.problems:
        for name, violations in judge(piece, settings, kind).items():
            count[kind, name, "pieces"] += 1
            count[kind, name, "violated"] += bool(violations)
            if violations:
                outcome.example(f"{name} violated", f"{about}: {violations[0]} ({len(violations)} in all)")


def _without_folder(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: Path(value).name if name == "notes" else value for name, value in settings.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=25, help="pieces under one set of settings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", nargs="+", help="trained models, instead of random weights")
    parser.add_argument("--tokenizer", nargs="+", choices=NATIVE, default=NATIVE)
    parser.add_argument("--free", action="store_true", help="without constraints: only whether files are whole")
    parser.add_argument("--job", type=int, help="only the job of this number, with all that is wrong")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)
    jobs = _jobs(options)
    began, total = time.perf_counter(), Outcome()
    if options.job is not None:
        total = run(jobs[options.job])
    else:
        with ProcessPoolExecutor(options.processes) as pool:
            for outcome in pool.map(run, jobs):
                total.add(outcome)
    report(total, len(jobs), None if options.job is not None else EXAMPLES)
    print(f"\n{time.perf_counter() - began:.0f} seconds")
    return int(any(what not in ("pieces", "refused") and n for (_, _, what), n in total.counts.items()))


def _jobs(options: argparse.Namespace) -> list[Job]:
    kinds: list[tuple[str, str | None]] = [(name, None) for name in options.tokenizer]
    if options.checkpoint:
        import musiclstm

        kinds = [(musiclstm.load(path).tokenizer.name, path) for path in options.checkpoint]
    counts = [min(options.batch, options.pieces - first) for first in range(0, options.pieces, options.batch)]
    return [
        Job(number, options.seed, pieces, *kinds[number % len(kinds)], options.free)
        for number, pieces in enumerate(counts)
    ]


def report(total: Outcome, jobs: int, most: int | None) -> None:
    """Prints the tables and examples of what went wrong."""
    kinds = list(dict.fromkeys(kind for kind, _, _ in total.counts))
    troubles = ("refused", "not written", "parse", "empty", "hanging", "not whole", "pickup lost")
    print(f"{jobs} sets of settings\n\n| tokenizer | pieces | {' | '.join(troubles)} | seconds |")
    print("|---" * (len(troubles) + 3) + "|")
    for kind in kinds:
        counts = [total.counts[kind, "", what] for what in ("pieces", *troubles)]
        print(f"| {kind} | {' | '.join(map(str, counts))} | {total.seconds[kind]:.0f} |")
    print("\nPieces under a constraint, and those that break it:\n")
    print(f"| constraint | {' | '.join(kinds)} |\n" + "|---" * (len(kinds) + 1) + "|")
    for name in dict.fromkeys(sorted(name for _, name, _ in total.counts if name)):
        cells = [f"{total.counts[kind, name, 'pieces']}, {total.counts[kind, name, 'violated']}" for kind in kinds]
        print(f"| {name} | {' | '.join(cells)} |")
    for what, texts in sorted(total.examples.items()):
        print(f"\n{what}, {len(texts)} times:", *texts[:most], sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
