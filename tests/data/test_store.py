"""A note store gives back what was written, piece by piece, from memory maps."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiclstm.data.store import SPLITS, NoteStore, StoreWriter
from musiclstm.errors import UserError
from musiclstm.score import Score, make_notes
from tests.strategies import scores


def write(folder: Path, pieces: list[Score], splits: list[str] | None = None) -> NoteStore:
    with StoreWriter(folder) as writer:
        writer.head = {"source": "made up", "settings": {"seed": 3}}
        writer.skipped = [{"source": "bad.mid", "reason": "no notes in it"}]
        for i, score in enumerate(pieces):
            split = splits[i] if splits else "train"
            writer.add(score, name=f"{i}.mid", source=f"{i}.mid", sha256="0", problems=["odd"] * i, split=split)
    return NoteStore.open(folder)


def some(count: int) -> list[Score]:
    return [Score(make_notes(np.arange(i + 1) * 10, np.arange(i + 1) * 10 + 5, 60 + i)) for i in range(count)]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(scores(max_notes=10), max_size=4))
def test_scores_come_back(tmp_path: Path, pieces: list[Score]) -> None:
    store = write(tmp_path / "store", pieces)
    assert list(store) == pieces
    assert [store[i] for i in range(-len(pieces), 0)] == pieces
    assert store.note_counts.tolist() == [len(score) for score in pieces]
    with pytest.raises(IndexError):
        store[len(pieces)]


def test_pieces_are_read_only_views_of_one_map(tmp_path: Path) -> None:
    store = write(tmp_path / "store", some(3))
    first, last = store[0].notes, store[2].notes
    assert not first.flags.owndata
    assert last.ctypes.data - first.ctypes.data == 3 * first.dtype.itemsize
    with pytest.raises(ValueError, match="read-only"):
        first["pitch"] = 1


def test_splits_and_names(tmp_path: Path) -> None:
    store = write(tmp_path / "store", some(5), ["test", "train", "validation", "train", "test"])
    assert {name: store.split(name).tolist() for name in SPLITS} == {"train": [1, 3], "validation": [2], "test": [0, 4]}
    assert store.names == ["0.mid", "1.mid", "2.mid", "3.mid", "4.mid"]
    with pytest.raises(UserError, match=r"'valid'.*train, validation, test"):
        store.split("valid")


def test_the_manifest(tmp_path: Path) -> None:
    manifest = write(tmp_path / "store", some(2)).manifest
    assert manifest["source"] == "made up"
    assert manifest["settings"] == {"seed": 3}
    assert manifest["skipped"] == [{"source": "bad.mid", "reason": "no notes in it"}]
    assert manifest["pieces"][1] == {
        "name": "1.mid",
        "source": "1.mid",
        "sha256": "0",
        "ticks_per_quarter": 480,
        "notes": 2,
        "split": "train",
        "problems": ["odd"],
    }


def test_opening_reads_nothing_that_grows_with_the_pieces(tmp_path: Path) -> None:
    store = write(tmp_path / "store", some(2))
    (store.folder / "pieces.json").unlink()
    assert len(NoteStore.open(store.folder)[1]) == 2


def test_a_store_can_be_sent_to_another_process(tmp_path: Path) -> None:
    store = write(tmp_path / "store", some(3))
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert list(pickle.loads(sent)) == list(store)


def test_a_new_store_takes_the_place_of_the_old_whole(tmp_path: Path) -> None:
    old = write(tmp_path / "store", some(3))
    with pytest.raises(ValueError, match="not in tuple"):
        write(tmp_path / "store", some(2), ["train", "training"])
    assert len(NoteStore.open(tmp_path / "store")) == 3
    new = write(tmp_path / "store", some(1))
    assert (len(old), len(new)) == (3, 1)
    assert list(old) == some(3)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "store", some(1)).folder
    for wrong in (tmp_path, tmp_path / "absent", folder / "notes.npy"):
        with pytest.raises(UserError, match="not a note store"):
            NoteStore.open(wrong)
    (folder / "notes.npy").write_bytes((folder / "tempos.npy").read_bytes())
    with pytest.raises(UserError, match=r"damaged note store \(notes.npy"):
        NoteStore.open(folder)
    (folder / "notes.npy").unlink()
    with pytest.raises(UserError, match="damaged note store"):
        NoteStore.open(folder)
    head = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**head, "version": 99}))
    with pytest.raises(UserError, match="version 99, not 1"):
        NoteStore.open(folder)
