"""An hour of music in one stream: does it cost more towards the end, and is it still music?

    python benchmarks/generate.py endless --checkpoint MODEL --data STORE [--minutes 60]

Prints for some minutes of the music the time a token takes and the memory of the process, and how the notes a minute
and the entropy of the pitch classes of each minute lie within those of the minutes of the store's pieces, played one
after the other in a random order.

Other work on the machine changes from minute to minute. So after the hour the stream goes on in turns with one that
begins, some notes of one and then of the other, and the median of the ratios of these turns is what counts.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from musiclstm.data.store import NoteStore
from musiclstm.generation import load
from musiclstm.generation.notes import Note
from musiclstm.generation.stream import Stream
from musiclstm.score import DRUMS, Score

WINDOW = 60.0  # seconds
TURNS, NOTES_A_TURN = 40, 100
RANGE = (1, 99)  # per cent of the windows of human pieces


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="generate.py endless", description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", required=True, help="a bundle, or the folder of a run")
    parser.add_argument("--data", type=Path, help="the store that it was trained on")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rescue", action="store_true", help="with the generator's watch over itself")
    options = parser.parse_args(arguments)
    model = load(options.checkpoint)
    print(f"{model.tokenizer.describe()}; engine {model.engine.name}; {model.model.num_parameters:,} parameters")
    minutes: list[list[Note]] = [[] for _ in range(options.minutes)]
    seconds, memory, tokens = ([0.0] * options.minutes for _ in range(3))
    with model.engine.threads(1):
        stream = model.stream(seed=options.seed, rescue=options.rescue)
        for minute in range(options.minutes):
            began, drawn = time.perf_counter(), stream.tokens
            for note in stream:
                place = int(note.end // WINDOW)
                if place < options.minutes:
                    minutes[place].append(note)
                if note.end >= (minute + 1) * WINDOW:
                    break
            tokens[minute] = stream.tokens - drawn
            seconds[minute] = (time.perf_counter() - began) / max(tokens[minute], 1)
            memory[minute] = _resident()
        ratios = [_pace(stream) / _pace(fresh) for fresh in [model.stream(rescue=options.rescue)] for _ in range(TURNS)]
    _print_cost(tokens, seconds, memory)
    print(f"in turns with a stream that begins: {median(ratios):.3f} times the time a token, median of {TURNS} turns")
    print(f"rescued {len(stream.remarks)} times")
    if options.data is not None:
        human = _windows(_pieces(options.data))
        _print_drift([_describe([(n.start, n.end, n.pitch, n.program) for n in notes]) for notes in minutes], human)


def _pace(stream: Stream) -> float:
    """Seconds a token of the next notes."""
    drawn, began = stream.tokens, time.perf_counter()
    for _ in range(NOTES_A_TURN):
        next(stream)
    return (time.perf_counter() - began) / (stream.tokens - drawn)


def _resident() -> float:
    """The memory of this process now, in MB."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _print_cost(tokens: list[float], seconds: list[float], memory: list[float]) -> None:
    print("minute    tokens   us a token   memory, MB")
    last = len(seconds) - 1
    for minute in sorted({0, 1, last // 4, last // 2, 3 * last // 4, last}):
        print(f"{minute + 1:6d} {tokens[minute]:9,.0f} {seconds[minute] * 1e6:12.0f} {memory[minute]:12.1f}")
    print(f"last minute against first: memory {memory[-1] / memory[0]:.3f} times")


def _print_drift(ours: list[tuple[float, float]], human: list[tuple[float, float]]) -> None:
    for name, column in (("notes a minute", 0), ("pitch-class entropy, bits", 1)):
        values = np.array([row[column] for row in ours])
        low, high = np.percentile([row[column] for row in human], RANGE)
        within = np.mean((values >= low) & (values <= high))
        thirds = [float(part.mean()) for part in np.array_split(values, 3)]
        print(
            f"{name}: pieces {low:.2f} to {high:.2f} ({RANGE[0]} to {RANGE[1]} % of {len(human)} windows); "
            f"thirds of the hour {', '.join(f'{value:.2f}' for value in thirds)}; {within:.0%} of the minutes within"
        )


def _pieces(folder: Path) -> list[Score]:
    store = NoteStore.open(folder)
    return [store[int(index)] for index in store.split("train")]


def _of_score(score: Score) -> list[tuple[float, float, int, int]]:
    start, end = score.seconds(score.notes["start"]), score.seconds(score.notes["end"])
    pitch, program = score.notes["pitch"].tolist(), score.notes["program"].tolist()
    return list(zip(start.tolist(), end.tolist(), pitch, program, strict=True))


def _windows(scores: list[Score]) -> list[tuple[float, float]]:
    """What `_describe` says of each minute of the pieces played one after the other in a random order."""
    windows: list[list[tuple[float, float, int, int]]] = []
    before = 0.0
    for index in np.random.default_rng(0).permutation(len(scores)).tolist():
        for start, end, pitch, program in _of_score(scores[index]):
            place = int((before + end) // WINDOW)
            while len(windows) <= place:
                windows.append([])
            windows[place].append((start, end, pitch, program))
        before += scores[index].duration
    return [_describe(window) for window in windows[:-1]]


def _describe(notes: list[tuple[float, float, int, int]]) -> tuple[float, float]:
    """The number of notes, and the entropy in bits of their pitch classes."""
    pitches = np.array([pitch % 12 for _, _, pitch, program in notes if program != DRUMS], np.int64)
    share = np.bincount(pitches, minlength=12) / max(len(pitches), 1)
    share = share[share > 0]
    return float(len(notes)), float(-(share * np.log2(share)).sum())


if __name__ == "__main__":
    main()
