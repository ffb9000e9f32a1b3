"""Bars of held-out pieces filled again, and melodies of held-out chorales harmonised.

    python benchmarks/generate.py infill --checkpoint MODEL --data STORE [--pieces 16] [--bars 4] [--pictures FOLDER]

For each validation piece the middle `--bars` bars are written anew: as `infill=` does, and by plain forward sampling
with the right side put behind it. What is measured is the natural log of the probability that the model, at temperature
1, gives to the filled bars and all that follows, given what stands before. Plain sampling has the same compute: it goes
on until it has drawn and read as many tokens. Read are, of each row that infilling weighs, the tokens from the bar that
is written to the end, and, of each plain sample, those from the hole to the end, as telling the best takes.

`plain` is the mean of the samples, `cooler` that of as many at the temperature that infilling writes at, `best` the
likeliest of the first, and `human` the middle that was there. Likelihood alone favours long notes, so beside each it
stands how many notes begin in the hole. `alike` is the share of notes that two fills have in common, of all that either
has. It fails where a note outside the hole was changed.

With a `voices` model the highest voice of each piece is then harmonised by the others, by one row and by `--particles`,
and the melody has to be there note for note.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from musiclstm.data.store import NoteStore
from musiclstm.generation import MusicGenerator, load
from musiclstm.generation.infill import COOLER, InfillJob
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
    print(
        f"Filled: {bars} bars in the middle of each piece; nats of these bars and the rest, given the beginning; notes"
    )
    names = ("plain", "cooler", "best", "infill", "human")
    print(f"{'piece':16} " + " ".join(f"{name:>12}" for name in names) + "  alike  compute, plain and infill")
    rows, notes, alike = [], [], []
    for name, score in pieces:
        score = model.tokenizer.quantise(score)
        first = (len(score.bar_starts()) - bars) // 2
        if first < 2:
            continue
        job = model.prepare(2, prompt=score, infill=f"{first}-{first + bars - 1}", seed=seed, particles=particles)
        assert isinstance(job, InfillJob)
        counted = Counted(**vars(job))
        piece, other = counted.run()
        assert piece.new is not None
        begin, end = piece.new
        spent = counted.spent[0] // 2  # of one of the two
        warmer = replace(job, sampling=replace(job.sampling, temperature=job.sampling.temperature / COOLER))
        plain, compute = as_dear(warmer, begin, end, seed, spent)
        cooler, _ = as_dear(job, begin, end, seed, spent)
        for made in [piece.score, other.score, *plain, *cooler]:
            check_outside(score, made, begin, end)
        found = [np.array(likelihoods(model, each, begin)) for each in (plain, cooler, [piece.score, score])]
        best = int(found[0].argmax())
        rows.append((found[0].mean(), found[1].mean(), found[0].max(), *found[2]))
        count = [float(np.mean([len(begun(made, begin, end)) for made in each])) for each in (plain, cooler)]
        count += [len(begun(made, begin, end)) for made in (plain[best], piece.score, score)]
        notes.append(count)
        mine, others = begun(piece.score, begin, end), begun(other.score, begin, end)
        alike.append(len(mine & others) / max(len(mine | others), 1))
        print(line(name, rows[-1], count, alike[-1]) + f"  {compute:,} {spent:,}", flush=True)
        if pictures is not None:
            for what, made in (("infill", piece.score), ("plain", plain[0]), ("human", score)):
                title = f"{what}: bars {first} to {first + bars - 1}"
                path = pictures / f"{Path(name).name}-{what}.png"
                piano_roll(made, path, prompt_end=begin, prompt_again=end, title=title)
    print(line(f"mean of {len(rows)}", np.mean(rows, axis=0), np.mean(notes, axis=0), float(np.mean(alike))))
    for column, name in enumerate(names[:3]):
        better = np.mean([row[3] > row[column] for row in rows])
        print(f"infill is likelier than {name} in {better:.0%} of the pieces")


@dataclass(frozen=True)
class Counted(InfillJob):
    """An infill that counts what it costs."""

    spent: list[int] = field(default_factory=lambda: [0])
    """The tokens drawn and read."""

    def middles(self, piece: Score, start: int, stop: int, seed: int) -> tuple[list[Score], int, float]:
        made = super().middles(piece, start, stop, seed)
        self.spent[0] += made[1] + read(self, made[0], start)
        return made


def read(job: InfillJob, pieces: list[Score], begin: int) -> int:
    """How many tokens the model reads of `pieces` to tell how likely each is from tick `begin` on."""
    step = job.player.tokenizer.to_step(pieces[0], begin)
    return sum(int((job.player.tokenizer.events(piece)[1] >= step).sum()) for piece in pieces)


def as_dear(job: InfillJob, begin: int, end: int, seed: int, spent: int) -> tuple[list[Score], int]:
    """Plain samples between ticks `begin` and `end`, at least as many as `spent` tokens give; what they cost."""
    plain: list[Score] = []
    cost = 0
    while cost < spent:
        middles, drawn, _ = job.middles(job.score, begin, end, seed=seed + 1 + cost)
        plain, cost = plain + middles, cost + drawn + read(job, middles, begin)
    return plain, cost


def line(name: str, nats: Sequence[float] | np.ndarray, notes: Sequence[float] | np.ndarray, alike: float) -> str:
    """A row of the table."""
    cells = (f"{value:7.1f} {count:4.0f}" for value, count in zip(nats, notes, strict=True))
    return f"{name[:16]:16} " + " ".join(cells) + f"  {alike:5.2f}"


def begun(piece: Score, begin: int, end: int) -> set[tuple[int, ...]]:
    """Start, voice and pitch of what begins in the hole."""
    notes = piece.notes[(piece.notes["start"] >= begin) & (piece.notes["start"] < end)]
    return set(notes[["start", "track", "pitch"]].tolist())


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
            piano_roll(made[1], pictures / f"{Path(name).name}-harmonised.png", title="harmonised")
    mean = np.array(rows).mean(axis=0)
    print(f"{'mean of ' + str(len(rows)):28} " + " ".join(f"{value:9.1f}" for value in mean))
    print(f"particles are likelier than one row in {np.mean([row[1] > row[0] for row in rows]):.0%} of the pieces")


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
