"""Folders of made-up tunes, and what became of them in a store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from musiclstm.data.preparation import prepare
from musiclstm.data.store import SPLITS, NoteStore
from musiclstm.midi import write_midi
from musiclstm.score import Score, make_notes


def tune(seed: int, notes: int = 48) -> Score:
    """A tune that is like no other."""
    random = np.random.default_rng(seed)
    pitch = 60 + np.cumsum(random.integers(-4, 5, notes)) % 24
    start = np.cumsum(random.integers(1, 4, notes)) * 240
    return Score(make_notes(start, start + 240, pitch))


def transposed(score: Score, semitones: int) -> Score:
    notes = score.notes.copy()
    notes["pitch"] += np.uint8(semitones)
    return score.replace(notes=notes)


def a_folder(root: Path, count: int = 10) -> Path:
    """A folder of `count` MIDI files at several depths."""
    for i in range(count):
        write_midi(tune(i), root / ["", "a", "a/b", "c d"][i % 4] / f"piece {i}.mid")
    return root


def prepared(*given: Any, **settings: Any) -> NoteStore:
    """The store that `prepare` makes where there are no shards."""
    store = prepare(*given, **settings)
    assert store is not None
    return store


def splits_of(store: NoteStore) -> dict[str, str]:
    """The split of each piece by its name."""
    return {name: SPLITS[split] for name, split in zip(store.names, store.pieces["split"], strict=True)}


def dropped(store: NoteStore) -> dict[str, tuple[str, str]]:
    """Kind and reason of each file that was dropped."""
    return {
        entry["source"]: (entry["kind"], entry["reason"]) for entry in store.files() if entry["status"] == "dropped"
    }


def digests(folder: Path) -> dict[str, str]:
    """A hash of each file of a store."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
