"""What it is worth to be told the chord of the step that is to be predicted, as TonicNet is: a leak.

    python benchmarks/leak.py DATA/Jsb16thSeparated.json --output FOLDER [--steps 1500] [KEY=VALUE ...]

Two models are trained by `experiment=jsb_16th` for as many steps: one as it is, and one with a context feature more,
the chord that the four notes of a step make together, from the first of them on. TonicNet (Peracha 2019) writes that
chord before the notes and publishes the nats of the notes alone, 0.220; but the notes determine the chord, so that what
it costs belongs to them. As there, chords are 12 roots of major, minor, diminished and augmented ones, one for all
others, and one for silence; root and quality are what music21 finds. A run of these steps and
settings that FOLDER has already is not made again.

Natural logarithms; whole pieces, every symbol scored, the header and the end included, per note: by 4 times the number
of 16ths.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from music21 import chord

sys.path.insert(0, str(Path(__file__).parents[1]))

import musiclstm.train as training
from benchmarks.ngram import SPLITS
from musiclstm.commands import CONF_DIR
from musiclstm.data.published import read_jsb_16th
from musiclstm.data.published_pieces import voices_score
from musiclstm.model.bundle import load_bundle
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import Score
from musiclstm.tokenizers.base import Reading
from musiclstm.tokenizers.voices import Voices, VoicesReading

QUALITIES = ("major", "minor", "diminished", "augmented")
OTHER, SILENCE = 12 * len(QUALITIES), 12 * len(QUALITIES) + 1
NONE = SILENCE + 1  # no note follows


class LeakyVoices(Voices):
    """`Voices` with a feature that they must not have: the chord of the step at which the next note stands."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.context_sizes = {**self.context_sizes, "chord": NONE + 1}

    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, VoicesReading]:
        """Of whole sequences only: the chord is that of notes which come later."""
        features, after = super().context(ids, reading)
        chords = np.full((*ids.shape, 1), NONE, np.int64)
        for row, told in zip(ids, chords[..., 0], strict=True):
            told[:-1] = self._chords(row)[1:]
        return np.concatenate([features, chords], axis=-1), after

    def _chords(self, ids: np.ndarray) -> np.ndarray:
        """Of each token of a sequence the chord of its step; NONE for those that are no note."""
        notes = np.flatnonzero(ids >= self.rest)
        places = notes[: len(notes) // self.num_voices * self.num_voices].reshape(-1, self.num_voices)
        pitch = np.where(ids[places] >= self.pitch, ids[places] - self.pitch, -1)  # (steps, voices)
        sung = np.maximum.accumulate(np.where(ids[places] == self.hold, 0, np.arange(len(places))[:, None]), axis=0)
        found = np.full(len(ids), NONE)
        for step, sounding in zip(places, np.take_along_axis(pitch, sung, axis=0), strict=True):
            found[step] = chord_of(sounding)
        return found


def chord_of(pitches: np.ndarray) -> int:
    """The number of a chord: root and quality, OTHER, or SILENCE. -1 is a rest."""
    sounding = sorted({int(pitch) for pitch in pitches if pitch >= 0})
    if not sounding:
        return SILENCE
    quality, root = _above(tuple(pitch - sounding[0] for pitch in sounding))
    return OTHER if quality is None else 12 * quality + (root + sounding[0]) % 12


@cache
def _above(intervals: tuple[int, ...]) -> tuple[int | None, int]:
    """The quality of a chord of these semitones above its lowest note, and its root, counted from there."""
    found = chord.Chord([60 + semitones for semitones in intervals])
    quality = QUALITIES.index(found.quality) if found.quality in QUALITIES else None
    return quality, found.root().pitchClass


def trained(data: Path, folder: Path, steps: int, leaky: bool, overrides: list[str]) -> Path:
    """The bundle of a run of the experiment, made if it is not there."""
    if not (folder / "result.json").is_file():
        given = ["experiment=jsb_16th", f"data.path={data}", f"trainer.max_steps={steps}", *overrides]
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            cfg = compose("train", overrides=given)
        kept = training.choose, training._sampler
        try:
            training._sampler = lambda *_: None  # nothing can be played that has to be told its chords
            if leaky:
                training.choose = lambda scores, wanted: LeakyVoices.fit(scores)
            training.train(cfg, folder, given)
        finally:
            training.choose, training._sampler = kept
    return folder / "model.safetensors"


@torch.inference_mode()
def nats_per_note(model: MusicLSTM, tokenizer: Voices, scores: list[Score]) -> float:
    """Of whole pieces, every token after BOS."""
    nats, notes = 0.0, 0
    for score in scores:
        ids = tokenizer.encode(score)[None].astype(np.int64)
        context = torch.from_numpy(tokenizer.context(ids)[0])
        logits = model(torch.from_numpy(ids[:, :-1]), context[:, :-1])[0]
        nats += float(F.cross_entropy(logits[0].double(), torch.from_numpy(ids[0, 1:]), reduction="sum"))
        notes += int((ids >= tokenizer.rest).sum())
    return nats / notes


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("data", type=Path, help="Jsb16thSeparated.json")
    arguments.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of training")
    arguments.add_argument("--output", type=Path, required=True, help="the folder of the two runs")
    arguments.add_argument("--steps", type=int, default=1500)
    given = arguments.parse_intermixed_args()
    pieces = {name: [voices_score(p) for p in each] for name, each in read_jsb_16th(given.data).items()}
    rows = []
    for name, leaky in (("joint", False), ("given the chord: leaky, not comparable", True)):
        settings = [str(given.steps), *(override.replace("/", "_") for override in given.overrides)]
        folder = given.output / "-".join(["leaky" if leaky else "joint", *settings])
        bundle = load_bundle(trained(given.data, folder, given.steps, leaky, given.overrides))
        tokenizer = (LeakyVoices if leaky else Voices)(**bundle.tokenizer["arguments"])
        rows.append((name, [nats_per_note(bundle.model.eval(), tokenizer, pieces[split]) for split in SPLITS]))
    print(f"\nNats a note after {given.steps:,} steps\n\n| | {' | '.join(SPLITS)} |\n|---|{'---|' * len(SPLITS)}")
    for name, found in rows:
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in found)} |")


if __name__ == "__main__":
    main()
