"""Encoding speed of the native tokenizers against MidiTok, on the same pieces in one run.

    python benchmarks/encode.py FOLDER [FOLDER ...] [--files 30] [--rounds 3]

Microseconds per note of the piece, the best of the rounds, one thread. Reading the files is not counted: MidiTok is
given the symusic score that it wants, the native tokenizers the Score that a note store gives them. Both give ids.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any

import miditok
import symusic

from musiclstm.errors import UserError
from musiclstm.midi import MIDI_EXTENSIONS, read_midi
from musiclstm.score import Score
from musiclstm.tokenizers import make_tokenizer

NATIVE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("remi", {"steps_per_quarter": 12}),
    ("performance", {}),
    ("performance", {"pedal": False}),
    ("frames", {"steps_per_quarter": 4}),
    ("voices", {"steps_per_quarter": 4}),
)
PEERS = ("REMI", "TSD", "MIDILike")


def read(folder: Path, files: int) -> tuple[list[Score], list[Any]]:
    """Files spread over the folder that both can read."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_EXTENSIONS)
    ours, theirs = [], []
    for path in paths[:: max(1, len(paths) // files)][:files]:
        try:
            ours.append(read_midi(path))
        except UserError as error:
            print(f"left out: {error}")
            continue
        theirs.append(symusic.Score(str(path)))
    return ours, theirs


def best(encode: Callable[[Any], Sized], pieces: Sequence[Any], rounds: int) -> tuple[float, int]:
    """Seconds that all pieces take in the quickest round, and how many tokens come of them."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        tokens = sum(len(encode(piece)) for piece in pieces)
        times.append(time.perf_counter() - began)
    return min(times), tokens


def _ids(tokenizer: Any, score: Any) -> Sized:
    ids: Sized = tokenizer.encode(score).ids
    return ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for folder in options.folders:
        ours, theirs = read(folder, options.files)
        notes = sum(len(score) for score in ours)
        print(f"\n{folder.name}: {len(ours)} files, {notes:,} notes")
        peers = {}
        for name in PEERS:
            tokenizer = getattr(miditok, name)(miditok.TokenizerConfig(use_programs=True, one_token_stream=True))
            seconds, tokens = best(partial(_ids, tokenizer), theirs, options.rounds)
            peers[name] = 1e6 * seconds / notes
            print(f"  MidiTok {name:<22} {peers[name]:6.2f} us/note  {tokens / notes:5.2f} tokens/note")
        for name, arguments in NATIVE:
            tokenizer = make_tokenizer(name, ours, **arguments)
            reason = next((why for score in ours if (why := tokenizer.admits(score))), None)
            if reason:
                print(f"  {name:<30} not for this music: {reason}")
                continue
            seconds, tokens = best(tokenizer.encode, ours, options.rounds)
            each = 1e6 * seconds / notes
            what = f"{name} {', '.join(f'{k}={v}' for k, v in arguments.items())}"
            print(
                f"  {what:<30} {each:6.2f} us/note  {tokens / notes:5.2f} tokens/note  "
                f"{peers['REMI'] / each:5.1f} times as fast as MidiTok REMI"
            )


if __name__ == "__main__":
    main()
