"""Bars of held-out pieces filled again, and melodies of held-out chorales harmonised.

    python benchmarks/generate.py infill --checkpoint MODEL --data STORE [--pieces 16] [--bars 4] [--pictures FOLDER]

For each validation piece the middle `--bars` bars are written anew in three ways with the same budget of rows, each of
which writes as many tokens: by plain forward sampling with the right side put behind it (all that it gives, on average,
and the best of them by the likelihood that the model gives it), and as `infill=` does. What is measured is the natural
log of the probability that the model gives to the filled bars and all that follows, given what stands before. The human
middle stands beside it. It fails where a note outside the hole was changed.

With a `voices` model the highest voice of each piece is then harmonised by the others, by one row and by `--particles`,
and the melody has to be there note for note.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musiclstm.data.store import NoteStore
from musiclstm.generation import MusicGenerator, load
from musiclstm.generation.infill import InfillJob
from musiclstm.generation.likelihood import token_log_likelihoods
from musiclstm.rendering.piano_roll import piano_roll
from musiclstm.score import Score


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="generate.py infill", description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", required=True, help="a bundle, or the folder of a run")
    parser.add_argument("--data", type=Path, required=True, help="the store that it was trained on")
    parser.add_argument("--pieces", type=int, default=16)
    parser.add_argument("--bars", type=int, default=4)
    parser.add_argument("--particles", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args(arguments)
    model = load(options.checkpoint)
    store = NoteStore.open(options.data)
    pieces = [(store.name(int(i)), store[int(i)]) for i in store.split("validation")]
    pieces = [(name, score) for name, score in pieces if model.tokenizer.admits(score) is None]
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    infill(model, pieces[: options.pieces], options.bars, options.particles, options.seed, options.pictures)
    if model.tokenizer.name == "voices":
        harmonise(model, pieces[: options.pieces], options.particles, options.seed, options.pictures)


def infill(
    model: MusicGenerator,
    pieces: list[tuple[str, Score]],
    bars: int,
    particles: int,
    seed: int,
    pictures: Path | None,
) -> None:
    """Prints the table of the fills."""
    print(f"Filled: {bars} bars in the middle of each piece; nats of these bars and the rest, given the beginning")
    print(f"{'piece':28} {'plain':>9} {'best of':>9} {'infill':>9} {'human':>9}  tokens drawn, plain and infill")
    rows = []
    for name, score in pieces:
        score = model.tokenizer.quantise(score)
        first = (len(score.bar_starts()) - bars) // 2
        if first < 2:
            continue
        job = model.prepare(1, prompt=score, infill=f"{first}-{first + bars - 1}", seed=seed, particles=particles)
        assert isinstance(job, InfillJob)
        (piece,) = job.run()
        assert piece.new is not None
        begin, end = piece.new
        plain: list[Score] = []
        drawn = 0
        while drawn < piece.tokens:
            middles, tokens, _ = job.middles(score, begin, end, seed=seed + 1 + drawn)
            plain, drawn = plain + middles, drawn + tokens
        for made in [piece.score, *plain]:
            check_outside(score, made, begin, end)
        found = np.array(likelihoods(model, [*plain, piece.score, score], begin))
        rows.append((found[:-2].mean(), found[:-2].max(), found[-2], found[-1]))
        print(f"{name[:28]:28} " + " ".join(f"{value:9.1f}" for value in rows[-1]) + f"  {drawn:,} {piece.tokens:,}")
        if pictures is not None:
            for what, made in (("infill", piece.score), ("human", score)):
                piano_roll(
                    made,
                    pictures / f"{Path(name).stem}-{what}.png",
                    title=f"{what}: bars {first} to {first + bars - 1}",
                )
    mean = np.array(rows).mean(axis=0)
    print(f"{'mean of ' + str(len(rows)):28} " + " ".join(f"{value:9.1f}" for value in mean))
    better = np.mean([row[2] > row[0] for row in rows]), np.mean([row[2] > row[1] for row in rows])
    print(f"infill is likelier than plain in {better[0]:.0%} of the pieces, than the best of plain in {better[1]:.0%}")


def likelihoods(model: MusicGenerator, pieces: list[Score], begin: int) -> list[float]:
    """The log of the probability of what stands at tick `begin` or later, given what stands before."""
    told = [model.tokenizer.events(piece) for piece in pieces]
    step = model.tokenizer.to_step(pieces[0], begin)
    found = []
    for ids, steps in told:
        (likely,) = token_log_likelihoods(model.model, model.tokenizer, [ids])
        found.append(float(likely[steps[1:] >= step].sum()))
    return found


def check_outside(score: Score, made: Score, begin: int, end: int) -> None:
    """Fails where a note outside the hole is not as it was."""
    outside = [
        piece.notes[(piece.notes["start"] < begin) | (piece.notes["start"] >= end)].tolist() for piece in (score, made)
    ]
    if outside[0] != outside[1]:
        raise SystemExit("a note outside the hole was changed")


def harmonise(
    model: MusicGenerator, pieces: list[tuple[str, Score]], particles: int, seed: int, pictures: Path | None
) -> None:
    """Prints the table of the harmonisations."""
    print(f"Harmonised: the highest voice given; nats of the whole piece, by one row and by {particles} particles")
    print(f"{'piece':28} {'1 row':>9} {'particles':>9} {'human':>9}")
    rows = []
    for name, score in pieces:
        score = model.tokenizer.quantise(score)
        melody = score.replace(notes=score.notes[score.notes["track"] == 0])
        made = [
            model.generate_scores(1, notes=melody, voice=1, particles=count, seed=seed)[0].score
            for count in (1, particles)
        ]
        for piece in made:
            check_melody(melody, piece)
        found = [likelihoods(model, [model.tokenizer.quantise(piece)], 0)[0] for piece in [*made, score]]
        rows.append(found)
        print(f"{name[:28]:28} " + " ".join(f"{value:9.1f}" for value in found))
        if pictures is not None:
            piano_roll(made[1], pictures / f"{Path(name).stem}-harmonised.png", title="harmonised")
    mean = np.array(rows).mean(axis=0)
    print(f"{'mean of ' + str(len(rows)):28} " + " ".join(f"{value:9.1f}" for value in mean))


def check_melody(melody: Score, made: Score) -> None:
    """Fails where the highest voice is not the melody, note for note."""
    scale = made.ticks_per_quarter // melody.ticks_per_quarter
    mine = made.notes[made.notes["track"] == 0]
    told = [
        list(zip(n["start"] // s, n["end"] // s, n["pitch"], strict=True))
        for n, s in ((mine, scale), (melody.notes, 1))
    ]
    if told[0] != told[1]:
        raise SystemExit("the melody was changed")


if __name__ == "__main__":
    main()
