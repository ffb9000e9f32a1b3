"""The collections that music21 carries, written out once as MIDI files and a note store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from musiclstm.data.building import Recipe, build_store, digest_of
from musiclstm.data.grouping import group_by_pattern
from musiclstm.data.music_files import MusicFile
from musiclstm.data.plan import Splitting
from musiclstm.data.reading import Music
from musiclstm.data.selection import Selection
from musiclstm.data.store import NoteStore
from musiclstm.data.worker import Limits
from musiclstm.errors import FileError, UserError
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


def build_corpus(
    name: str,
    datasets_folder: str | os.PathLike[str],
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    group_by: str | None = None,
    selection: Selection | None = None,
    limit: int | None = None,
    workers: int | None = None,
    strict: bool = False,
    max_seconds: float = 60.0,
    max_megabytes: int = 1024,
) -> NoteStore:
    """The store of a collection in `CORPORA`, at `<datasets_folder>/<name>/store`, with its MIDI files in `midi`.

    It is made once, and continued where it was cut off. Settings other than the defaults, which are those of
    `prepare`, give a store of their own beside it. Pieces with the same notes are kept once, and near duplicates
    stand on one side of the split. Raises UserError for an unknown name.
    """
    if name not in CORPORA:
        raise UserError(f"no corpus is called {name!r}: give one of {', '.join(CORPORA)}")
    corpus = CORPORA[name]
    folder = Path(datasets_folder).absolute() / name
    files: dict[str, MusicFile] = {}
    skipped = []
    for file in _files(corpus):
        if files.setdefault(file.name, file) is not file:
            skipped.append((file.source, "duplicate", "the same piece in another format"))
    selection = selection or Selection()
    settings = {"shares": list(shares), "seed": seed, "group_by": group_by, "selection": asdict(selection)}
    usual = settings == {"shares": list(SHARES), "seed": 0, "group_by": None, "selection": asdict(Selection())}
    recipe = Recipe(
        partial(_read_and_write, corpus.read, folder / "midi"),
        f"corpus {name} 2",
        Splitting(shares, seed, group_by=group_by_pattern(group_by) if group_by is not None else None),
        selection,
        {"corpus": name, **settings},
        skipped,
        strict,
        Limits(float(max_seconds), max_megabytes),
    )
    whole = folder / ("store" if usual and limit is None else f"store-{digest_of([settings, limit])}")
    source = f"music21: {corpus.title}"
    store = build_store(list(files.values())[:limit], whole, recipe, source=source, workers=workers)
    assert store is not None  # there are no shards
    if whole.name == "store":
        _complete(store, folder / "midi")
    return store


def _complete(store: NoteStore, folder: Path) -> None:
    """Make the MIDI files in `folder` those of the pieces in `store`."""
    found = {path.stem for path in folder.glob("*.mid")}
    for i, name in enumerate(store.names):
        if name not in found:
            write_midi(store[i], folder / f"{name}.mid")
    for name in found - set(store.names):
        (folder / f"{name}.mid").unlink()


def _files(corpus: Corpus) -> list[MusicFile]:
    package = find_spec("music21")  # not imported, because that takes a second
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "corpus" / corpus.folder
    paths = sorted(path for path in folder.glob("*") if path.suffix in corpus.extensions)
    if not paths:
        raise UserError(f"{folder}: none of the {corpus.title} here; install a music21 that has its corpus")
    paths.sort(key=lambda path: (corpus.extensions.index(path.suffix), path.name))
    return [MusicFile(str(path), f"{corpus.folder}/{path.name}", path.stem) for path in paths]


def _read_and_write(read: Callable[[Path], list[Score]], folder: Path, file: MusicFile, content: bytes) -> Music:
    scores = read(file.path)
    for score in scores:
        write_midi(score, folder / f"{file.name}.mid")
    return Music(scores)


def read_chorale(path: Path) -> list[Score]:
    """A chorale for four voices, soprano to bass as tracks 0 to 3. Raises FileError for any other number of parts."""
    (score,) = read_scores(path)
    voices = len(np.unique(score.notes["track"]))
    if voices != 4:
        raise FileError(f"{voices} parts, not four", kind="selection")
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


CORPORA = {
    "bach_chorales": Corpus("four-part chorales by Bach", "bach", (".mxl", ".xml", ".krn"), read_chorale),
    "folk_tunes": Corpus("Ryan's Mammoth Collection of fiddle tunes", "ryansMammoth", (".abc",), read_tune),
}
