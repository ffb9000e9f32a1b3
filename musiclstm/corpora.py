"""The collections that music21 carries, written out once as MIDI files and a note store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from musiclstm.data.splits import split_by_share
from musiclstm.data.store import NoteStore
from musiclstm.data.store_building import Recipe, build_store
from musiclstm.data.store_parts import MusicFile
from musiclstm.errors import UserError
from musiclstm.midi import write_midi
from musiclstm.notation import read_scores
from musiclstm.score import DEFAULT_TEMPO, TEMPO, Score

SHARES = (0.8, 0.1, 0.1)
CHOIR, VIOLIN = 52, 40  # General MIDI programs
CHORALE_BEATS, TUNE_BEATS = 96, 108  # per minute, where the notation has no tempo


@dataclass(frozen=True)
class Corpus:
    """A collection that music21 carries: where its files are in music21's corpus, and what is made of each."""

    title: str
    folder: str
    extensions: tuple[str, ...]  # of a piece in several formats, the first is read
    read: Callable[[Path], list[Score]]


def build_corpus(name: str, datasets_folder: str | os.PathLike[str], workers: int | None = None) -> NoteStore:
    """The store of a collection in `CORPORA`, at `<datasets_folder>/<name>/store`, with its MIDI files in `midi`.

    It is made once, by `workers` processes (one per core by default), and continued where it was cut off. Pieces
    with the same notes are kept once, and those that share their melody, in whatever key, stand on one side of the
    split. Raises UserError for an unknown name.
    """
    if name not in CORPORA:
        raise UserError(f"no corpus is called {name!r}: give one of {', '.join(CORPORA)}")
    corpus = CORPORA[name]
    folder = Path(datasets_folder).absolute() / name
    files: dict[str, MusicFile] = {}
    skipped = []
    for file in _files(corpus):
        if files.setdefault(file.name, file) is not file:
            skipped.append({"source": file.source, "reason": "the same piece in another format"})
    recipe = Recipe(
        partial(_read_and_write, corpus.read, folder / "midi"),
        lambda pieces: split_by_share([piece.group for piece in pieces], SHARES, seed=0),
        {"corpus": name, "split": list(SHARES)},
        group=melody,
        unique=True,
        skipped=skipped,
    )
    source = f"music21: {corpus.title}"
    store = build_store(list(files.values()), folder / "store", recipe, source=source, workers=workers)
    for stem in {path.stem for path in (folder / "midi").glob("*.mid")} - set(store.names):
        (folder / "midi" / f"{stem}.mid").unlink()
    return store


def _files(corpus: Corpus) -> list[MusicFile]:
    package = find_spec("music21")  # not imported, because that takes a second
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "corpus" / corpus.folder
    paths = sorted(path for path in folder.glob("*") if path.suffix in corpus.extensions)
    if not paths:
        raise UserError(f"{folder}: none of the {corpus.title} here; install a music21 that has its corpus")
    paths.sort(key=lambda path: (corpus.extensions.index(path.suffix), path.name))
    return [MusicFile(path, f"{corpus.folder}/{path.name}", path.stem) for path in paths]


def _read_and_write(read: Callable[[Path], list[Score]], midi_folder: Path, file: MusicFile) -> list[Score]:
    scores = read(file.path)
    for score in scores:
        write_midi(score, midi_folder / f"{file.name}.mid")
    return scores


def read_chorale(path: Path) -> list[Score]:
    """A chorale for four voices, soprano to bass as tracks 0 to 3. Raises UserError for any other number of parts."""
    (score,) = read_scores(path)
    voices = len(np.unique(score.notes["track"]))
    if voices != 4:
        raise UserError(f"{voices} parts, not four")
    return [_played_by(score, CHOIR, CHORALE_BEATS)]


def read_tune(path: Path) -> list[Score]:
    """A tune for one fiddle, its beat the half note in 2/2, the dotted quarter in 6/8, and else the quarter."""
    (score,) = read_scores(path)
    numerator, denominator = (int(score.meters[key][0]) for key in ("numerator", "denominator"))
    compound = denominator == 8 and numerator % 3 == 0
    return [_played_by(score, VIOLIN, TUNE_BEATS * (1.5 if compound else 2 if denominator == 2 else 1))]


def _played_by(score: Score, program: int, quarters_per_minute: float) -> Score:
    notes = score.notes.copy()
    notes["program"] = program
    silent = len(score.tempos) == 1 and score.tempos["microseconds"][0] == DEFAULT_TEMPO
    tempos = np.array([(0, round(6e7 / quarters_per_minute))], TEMPO) if silent else score.tempos
    return score.replace(notes=notes, tempos=tempos)


def melody(score: Score) -> str:
    """A name for the sequence of intervals in the first track: one for all pieces that share it, in any key."""
    first = score.notes[score.notes["track"] == 0]
    return hashlib.sha256(np.diff(first["pitch"].astype(np.int16)).tobytes()).hexdigest()[:16]


CORPORA = {
    "bach_chorales": Corpus("four-part chorales by Bach", "bach", (".mxl", ".xml", ".krn"), read_chorale),
    "folk_tunes": Corpus("Ryan's Mammoth Collection of fiddle tunes", "ryansMammoth", (".abc",), read_tune),
}
