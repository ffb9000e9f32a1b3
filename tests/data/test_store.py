"""A note store gives back what was written, piece by piece, from memory maps."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiclstm.data.facts import FACTS, facts
from musiclstm.data.near_duplicates import SKETCH, sketch
from musiclstm.data.reading import digest
from musiclstm.data.store import ROWS, SPLITS, NoteStore
from musiclstm.data.store_writing import StoreWriter
from musiclstm.errors import UserError
from musiclstm.score import Score, make_notes
from tests.strategies import scores


def write(folder: Path, pieces: list[Score], splits: list[str] | None = None) -> NoteStore:
    with StoreWriter(folder) as writer:
        writer.head = {"source": "made up", "settings": {"seed": 3}}
        writer.add_file("bad.mid", "", 3, pieces=[], kind="empty", reason="no notes in it")
        for i, score in enumerate(pieces):
            split = splits[i] if splits else "train"
            writer.add_file(f"{i}.mid", "0", 10, pieces=[f"{i}.mid"], repairs=["odd"] * i)
            row = facts(score) if len(score) else np.zeros((), FACTS)
            hashes = np.full(SKETCH.shape, i, SKETCH.base)
            writer.add(score, facts=row, sketch=hashes, digest=digest(score), split=split)
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


def test_what_is_known_of_the_files(tmp_path: Path) -> None:
    store = write(tmp_path / "store", some(3))
    assert store.head["source"] == "made up"
    assert store.head["settings"] == {"seed": 3}
    assert [entry["status"] for entry in store.files()] == ["dropped", "kept", "repaired", "repaired"]
    assert store.file(0)["reason"] == "no notes in it"
    assert store.file(2) == {
        "source": "1.mid",
        "sha256": "0",
        "bytes": 10,
        "status": "repaired",
        "kind": "",
        "reason": "",
        "repairs": ["odd"],
        "remarks": [],
        "found": 1,
        "pieces": ["1.mid"],
    }
    assert [store.name(i) for i in range(3)] == store.names
    assert store.facts["notes"].tolist() == [1, 2, 3]
    assert store.rows("sketches")["sketch"][:, 0].tolist() == [0, 1, 2]


def test_a_file_of_several_pieces(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for name, count in (("a", 2), ("b", 3)):
            writer.add_file(name, "", 0, pieces=[f"{name}{i}" for i in range(count)])
            for score in some(count):
                writer.add(score, facts=facts(score), sketch=sketch(score), digest=digest(score), split="train")
    store = NoteStore.open(tmp_path / "store")
    assert [store.name(i) for i in range(5)] == store.names == ["a0", "a1", "b0", "b1", "b2"]
    assert store.pieces["file"].tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ROWS), "files.jsonl", "checksums", "manifest.json"])
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "store", some(3)).folder
    content = bytearray((folder / name).read_bytes())
    content[-9] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=r"damaged note store|not a note store") as error:
        NoteStore.open(folder).verify()
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("name", ["notes.npy", "files.jsonl"])
def test_a_truncated_store_is_refused_when_it_is_opened(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "store", some(3)).folder
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-5])
    with pytest.raises(UserError, match=f"{name} has {len(content) - 5:,} bytes where {len(content):,} were written"):
        NoteStore.open(folder)


def test_what_is_read_is_checked_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musiclstm.data.store.BLOCK", 4096)
    monkeypatch.setattr("musiclstm.data.store_writing.BLOCK", 4096)
    store = write(tmp_path / "store", some(60))
    assert list(store) == some(60)
    content = bytearray((store.folder / "notes.npy").read_bytes())
    content[-1] ^= 1
    (store.folder / "notes.npy").write_bytes(content)
    store = NoteStore.open(store.folder)
    assert [store[i] for i in range(50)] == some(50)
    with pytest.raises(UserError, match=r"damaged note store \(notes.npy was changed\)"):
        store[59]


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
    with pytest.raises(UserError, match="version 99, not 2"):
        NoteStore.open(folder)


@pytest.mark.parametrize("kept", [0, 1, 5_000, 10_000, 12_345])
def test_rows_that_are_cut_off_leave_no_trace(tmp_path: Path, kept: int) -> None:
    notes = make_notes(np.arange(20_000), np.arange(20_000) + 5, 60)  # several blocks
    with StoreWriter(tmp_path / "cut") as writer:
        writer.append("notes", notes)
        writer.cut("notes", kept)
        writer.append("notes", notes[kept:15_000])
    with StoreWriter(tmp_path / "never") as writer:
        writer.append("notes", notes[:15_000])
    for file in (tmp_path / "never").iterdir():
        assert (tmp_path / "cut" / file.name).read_bytes() == file.read_bytes(), file.name
    NoteStore.open(tmp_path / "cut").verify()
