"""What models make of the published benchmarks, as the table of the README has it.

    python benchmarks/results.py DATA SET=BUNDLE [SET=BUNDLE ...]

DATA is a folder that holds, at any depth, the files of the sets; SET is one of jsb_16th, JSB_Chorales, Nottingham,
MuseData, Piano_midi, and BUNDLE a model.safetensors that training on it wrote (docs/training.md). Natural logarithms,
exact and joint: whole pieces, every symbol scored, the first, the header and the end token included.

Rows beside that of the model: the n-gram of `ngram.py`; what others published; the same model as a mixture over
transpositions, in which the probability of a token is the mean of those that the model gives it in the piece moved up
and down by so many semitones; and, where a SET is named several times, the models one by one and their mixture. They
are ensembles, and do not compare with single models.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.ngram import SPLITS, baselines
from musiclstm.data.published import FRAME_SETS, frames_per_quarter
from musiclstm.data.published_pieces import frames_score, voices_score
from musiclstm.errors import UserError
from musiclstm.evaluation.likelihood import Likelihood, likelihood
from musiclstm.evaluation.protocol import evaluate
from musiclstm.evaluation.reading import ReadPiece, read_pieces
from musiclstm.model.bundle import Bundle, load_bundle
from musiclstm.score import Score
from musiclstm.tokenizers import Tokenizer, from_dict

SHIFTS = tuple(range(-5, 7))  # semitones: the twelve keys

# Validation figures as they were published, by others' protocols: crops of 1,024 tokens where it says so.
PUBLISHED = {
    "jsb_16th": [
        ("CoCoNet, chronological (Huang et al. 2017)", 0.436),
        ("Transformer, absolute positions, crops (Huang et al. 2018)", 0.417),
        ("Music Transformer, crops (Huang et al. 2018)", 0.335),
    ],
}

Pieces = list[tuple[str, Score]]


def read_set(root: Path, name: str) -> tuple[dict[str, Pieces], dict[str, float]]:
    """The pieces of each split as scores, and what the n-gram makes of them."""
    ((_, _, pieces, baseline),) = baselines(root, [name])
    ngram = {split: evaluate(baseline, pieces[split]).per_symbol for split in SPLITS}

    def score(piece: Any) -> Score:
        return frames_score(piece, frames_per_quarter(name)) if name in FRAME_SETS else voices_score(piece)

    return {split: [(f"{i}", score(piece)) for i, piece in enumerate(pieces[split])] for split in SPLITS}, ngram


def transposed(pieces: Pieces, semitones: int) -> Pieces:
    """The pieces moved up; the notes stay between the lowest and the highest pitch of MIDI."""
    moved = []
    for name, score in pieces:
        notes = score.notes.copy()
        notes["pitch"] = np.clip(notes["pitch"].astype(np.int64) + semitones, 0, 127)
        moved.append((name, score.replace(notes=notes)))
    return moved


def mixed(readings: Sequence[Sequence[ReadPiece]]) -> list[ReadPiece]:
    """Each piece under the mixture, token by token, of several models or of one in several keys."""
    by_name = [{piece.name: piece for piece in reading} for reading in readings]
    found = []
    for name, piece in by_name[0].items():
        nats, type_nats = (
            -np.logaddexp.reduce([-getattr(each[name], part) for each in by_name]) + np.log(len(by_name))
            for part in ("nats", "type_nats")
        )
        found.append(replace(piece, nats=nats, type_nats=type_nats))
    return found


def read_by(bundle: Bundle, pieces: Pieces) -> tuple[Tokenizer, list[ReadPiece]]:
    """What a bundle makes of pieces."""
    tokenizer = from_dict(bundle.tokenizer)
    return tokenizer, list(read_pieces(bundle.model, tokenizer, pieces))


def rows(pieces: dict[str, Pieces], bundles: list[Bundle], keys: bool) -> Iterator[tuple[str, dict[str, Likelihood]]]:
    """The rows of a set: a name, and the likelihood of each split."""
    alone: list[dict[str, list[ReadPiece]]] = []
    for bundle in bundles:
        read = {split: read_by(bundle, pieces[split]) for split in SPLITS}
        alone.append({split: found for split, (_, found) in read.items()})
        size, seed = bundle.model.num_parameters, bundle.provenance.get("seed")
        yield f"musiclstm, {size / 1e6:.2f}M, seed {seed}", {s: likelihood(r, t) for s, (t, r) in read.items()}
    tokenizer = from_dict(bundles[0].tokenizer)
    if keys:
        moved = {s: [read_by(bundles[0], transposed(pieces[s], k))[1] for k in SHIFTS] for s in SPLITS}
        yield (
            f"the first in {len(SHIFTS)} keys (mixture)",
            {s: likelihood(mixed(r), tokenizer) for s, r in moved.items()},
        )
    if len(bundles) > 1:
        together = {s: mixed([each[s] for each in alone]) for s in SPLITS}
        yield f"{len(bundles)} models (mixture)", {s: likelihood(r, tokenizer) for s, r in together.items()}


def main() -> None:
    """Prints a table in Markdown."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("data", type=Path, help="with the files of the sets, at any depth")
    arguments.add_argument("bundles", nargs="+", metavar="SET=BUNDLE")
    arguments.add_argument("--no-keys", action="store_true", help="leave out the mixture over transpositions")
    given = arguments.parse_args()
    named: dict[str, list[Path]] = {}
    for text in given.bundles:
        name, _, path = text.partition("=")
        if name not in ("jsb_16th", *FRAME_SETS) or not path:
            sys.exit(f"results: {text} is not SET=BUNDLE with a set of jsb_16th, {', '.join(FRAME_SETS)}")
        named.setdefault(name, []).append(Path(path))
    print("| set | model | nats a | validation | test | mean over pieces (test) |")
    print("|---|---|---|---|---|---|")
    try:
        for name, paths in named.items():
            pieces, ngram = read_set(given.data, name)
            unit = "note" if name == "jsb_16th" else "frame"
            print(f"| {name} | n-gram | {unit} | {ngram['validation']:.3f} | {ngram['test']:.3f} | |", flush=True)
            for label, figure in PUBLISHED.get(name, []):
                print(f"| {name} | {label} | {unit} | {figure:.3f} | | |")
            for label, found in rows(pieces, [load_bundle(path) for path in paths], not given.no_keys):
                means = {split: each.per_unit for split, each in found.items()}
                validation, test = means["validation"], means["test"]
                if validation is None or test is None:
                    sys.exit(f"results: {label} of {name} has a tokenizer without a unit that is published")
                print(
                    f"| {name} | {label} | {unit} | {validation.all:.4f} | {test.all:.4f} | {test.of_pieces:.4f} |",
                    flush=True,
                )
    except UserError as error:
        sys.exit(f"results: {error}")


if __name__ == "__main__":
    main()
