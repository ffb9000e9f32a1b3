"""Folders of music become note stores: what is kept, what is left out, how it is split, and going on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musiclstm.data import preparation
from musiclstm.data.music_files import find_files
from musiclstm.data.preparation import prepare
from musiclstm.data.splits import split_by_draw
from musiclstm.data.store import NoteStore
from musiclstm.errors import UserError
from musiclstm.midi import write_midi
from musiclstm.score import Score, make_notes
from tests.data.folders import a_folder, digests, dropped, prepared, splits_of, tune

REPOSITORY = Path(__file__).parents[2]


def test_a_nested_folder(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music")
    write_midi(tune(70), root / "a" / "loud.MIDI")
    (root / "tune.abc").write_text("X:1\nL:1/4\nK:C\nCDEF|\n\nX:2\nL:1/4\nK:C\nGABc|\n")
    (root / "readme.txt").write_text("no music")
    for hidden in (".hidden.mid", "._piece 0.mid", ".git/piece.mid", "a/.cache/piece.mid"):
        write_midi(tune(60), root / hidden)
    os.symlink(root, root / "a" / "circle")
    store = prepared(root, tmp_path / "store")
    assert len(store) == 13
    assert {"a/loud.MIDI", "tune.abc", "tune.abc#2", "c d/piece 3.mid"} <= set(store.names)
    assert store[store.names.index("tune.abc#2")].notes["pitch"].tolist() == [67, 69, 71, 72]
    assert dropped(store) == {}
    assert sum(len(store.split(name)) for name in ("train", "validation", "test")) == 13
    assert not (tmp_path / "store.parts").exists()


def test_a_single_file(tmp_path: Path) -> None:
    write_midi(tune(60), tmp_path / "piece.mid")
    store = prepared(tmp_path / "piece.mid", tmp_path / "store")
    assert store.names == ["piece.mid"]
    assert list(store) == [tune(60)]


def test_bad_files_are_dropped_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 4)
    for i in range(5):
        (root / f"broken {i}.mid").write_bytes(b"no MIDI at all" * (i + 1))
    write_midi(Score(make_notes([], [], [])), root / "silence.mid")
    store = prepared(root, tmp_path / "store")
    assert len(store) == 4
    assert {name: kind for name, (kind, _) in dropped(store).items()} == {
        **{f"broken {i}.mid": "damaged" for i in range(5)},
        "silence.mid": "empty",
    }
    statuses = [entry["status"] for entry in store.files()]
    assert (len(statuses), statuses.count("kept")) == (10, 4)
    said = capsys.readouterr().out
    assert "silence.mid" in said
    assert "broken 1.mid" in said
    assert {"report.html", "report.csv"} <= {path.name for path in store.folder.iterdir()}


def test_what_is_no_file_is_dropped(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 2)
    os.mkfifo(root / "pipe.mid")
    (root / "loop.mid").symlink_to(root / "loop.mid")
    (root / "nowhere.mid").symlink_to(root / "absent")
    (root / "folder.mid").mkdir()
    with (root / "huge.mid").open("wb") as file:
        file.truncate(10 << 30)
    odd = os.fsencode(root) + b"/caf\xe9.mid"
    os.rename(os.fsencode(root / "piece 0.mid"), odd)
    store = prepared(root, tmp_path / "store")
    assert {name: kind for name, (kind, _) in dropped(store).items()} == {
        "pipe.mid": "damaged",
        "loop.mid": "damaged",
        "nowhere.mid": "damaged",
        "huge.mid": "limit",
    }
    assert [os.fsencode(name) for name in store.names] == [b"caf\xe9.mid", b"a/piece 1.mid"]
    assert list(prepared(root, tmp_path / "again", workers=1)) == list(store)


def test_no_usable_file_is_an_error_that_lists_why(tmp_path: Path) -> None:
    root = tmp_path / "music"
    root.mkdir()
    with pytest.raises(UserError, match=r"music: no music in this folder.*mid"):
        prepare(root, tmp_path / "store")
    (root / "a.mid").write_text("no")
    (root / "b.mid").write_text("this is no MIDI file")
    (root / "c.mid").write_text("this is none either")
    with pytest.raises(UserError, match=r"none of its files can be used.*b\.mid"):
        prepare(root, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "store.parts").exists()
    for wrong in ("absent", "store"):
        with pytest.raises(UserError, match=f"{wrong}: no such folder"):
            prepare(tmp_path / wrong, tmp_path / "store")
    (tmp_path / "song.mp3").touch()
    with pytest.raises(UserError, match=r"song.mp3: not a music file"):
        prepare(tmp_path / "song.mp3", tmp_path / "store")


def test_a_drop_can_be_a_failure(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 4)
    (root / "same.mid").write_bytes((root / "piece 0.mid").read_bytes())
    strict = prepared(root, tmp_path / "strict", strict=True)  # a duplicate is no failure
    assert len(strict) == 4
    (root / "broken.mid").touch()
    with pytest.raises(UserError, match=r"1 files were dropped.*broken.mid"):
        prepare(root, tmp_path / "strict", strict=True)
    assert len(NoteStore.open(tmp_path / "strict").names) == 4
    assert len(list(prepared(root, tmp_path / "strict").files())) == 6
    with pytest.raises(UserError, match=r"1 files were dropped"):
        prepare(root, tmp_path / "strict", strict=True)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"shares": (0.5, 0.4)}, "sum to 1"),
        ({"shares": (0.5, 0.6, -0.1)}, "sum to 1"),
        ({"shares": (0, 0.5, 0.5)}, "first is above 0"),
        ({"limit": 0}, "a limit of 0"),
        ({"workers": 0}, "0 worker processes"),
        ({"csv": "absent.csv"}, "absent.csv: not a CSV"),
    ],
)
def test_bad_settings(tmp_path: Path, settings: dict[str, object], why: str) -> None:
    with pytest.raises(UserError, match=why):
        prepare(a_folder(tmp_path / "music", 3), tmp_path / "store", **settings)  # type: ignore[arg-type]


def test_the_split_of_a_piece_depends_on_its_name_and_the_seed(tmp_path: Path) -> None:
    many = splits_of(prepared(a_folder(tmp_path / "many", 80), tmp_path / "store"))
    few = splits_of(prepared(a_folder(tmp_path / "few", 40), tmp_path / "other"))
    assert few == {name: split for name, split in many.items() if name in few}
    assert many != splits_of(prepared(tmp_path / "many", tmp_path / "store", seed=1))
    counts = [list(many.values()).count(name) for name in ("train", "validation", "test")]
    assert counts[0] > 50
    assert min(counts) > 1


def test_there_is_always_something_to_train_and_to_validate_on() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        for count in (2, 3, 4):
            splits = split_by_draw(random.random(count), np.arange(count), (0.8, 0.1, 0.1)).tolist()
            assert 0 in splits
            assert 1 in splits
        assert split_by_draw(random.random(1), np.zeros(1, int), (0.1, 0.8, 0.1)).tolist() == [0]
        assert set(split_by_draw(random.random(4), np.arange(4), (0.5, 0, 0.5)).tolist()) <= {0, 2}
        grouped = split_by_draw(random.random(4), np.array([0, 0, 0, 3]), (0.4, 0.3, 0.3)).tolist()
        assert len(set(grouped[:3])) == 1
        assert set(grouped) == {0, 1}


def test_a_large_group_does_not_fill_a_small_split() -> None:
    groups = np.array([0] * 50 + list(range(50, 100)))
    for seed in range(50):
        splits = split_by_draw(np.random.default_rng(seed).random(100), groups, (0.8, 0.1, 0.1))
        assert set(splits[:50]) == {0}


CSV = """name,split,audio,midi_filename
x,train,piece 0.wav,piece 0.mid
x,validation,piece 1.wav,a/piece 1.mid
x,TEST,piece 2.wav,music/a/b/piece 2.mid
x,val,piece 3.wav,piece 3
x,test,absent.wav,absent.mid
x,,piece 5.wav,a/piece 5.mid
"""


def test_the_split_of_a_csv(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 6)
    (root / "info.csv").write_text(CSV)
    store = prepared(root, tmp_path / "store", csv="info.csv")
    assert splits_of(store) == {
        "piece 0.mid": "train",
        "a/piece 1.mid": "validation",
        "a/b/piece 2.mid": "test",
        "c d/piece 3.mid": "validation",
    }
    assert dropped(store) == dict.fromkeys(("piece 4.mid", "a/piece 5.mid"), ("split", "no split for it in info.csv"))
    named = prepared(root, tmp_path / "named", csv=root / "info.csv", file_column="midi_filename")
    assert splits_of(named) == splits_of(store)


@pytest.mark.parametrize(
    ("text", "columns", "why"),
    [
        (CSV, {"column": "fold"}, "no column 'fold'; it has name, split, audio, midi_filename"),
        (CSV, {"file_column": "file"}, "no column 'file'"),
        (CSV, {"file_column": "audio"}, "none of the 6 files is named in audio"),
        (CSV.replace("train", "practice"), {}, "'practice' in column 'split' is no split"),
        (CSV + "y,test,,piece 0.mid\n", {}, "piece 0.mid stands in two splits, train and test"),
        ("split,file\n", {}, "no column 'split'; it has no rows"),
    ],
)
def test_a_csv_that_does_not_fit(tmp_path: Path, text: str, columns: dict[str, str], why: str) -> None:
    (tmp_path / "info.csv").write_text(text)
    with pytest.raises(UserError, match=why):
        prepare(
            a_folder(tmp_path / "music", 6),
            tmp_path / "store",
            csv=tmp_path / "info.csv",
            column=columns.get("column", "split"),
            file_column=columns.get("file_column"),
        )


def test_a_limit_keeps_the_same_files_whatever_else_there_is(tmp_path: Path) -> None:
    store = prepared(a_folder(tmp_path / "music", 20), tmp_path / "store", limit=5)
    assert len(store) == 5
    assert prepared(tmp_path / "music", tmp_path / "other", limit=5, seed=1).names != store.names


def test_what_has_not_changed_is_not_prepared_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 4)
    first = prepared(root, tmp_path / "store")
    capsys.readouterr()
    inode = first.folder.stat().st_ino
    assert prepared(root, tmp_path / "store", workers=1).folder.stat().st_ino == inode
    assert capsys.readouterr().out.startswith("Prepared before: 4 pieces")
    write_midi(tune(99), root / "piece 0.mid")
    assert prepared(root, tmp_path / "store")[0] == tune(99)
    (root / "piece 0.mid").unlink()
    assert len(prepared(root, tmp_path / "store")) == 3
    prepare(root, tmp_path / "store", seed=7)
    assert "Prepared before" not in capsys.readouterr().out


def test_ensure_store(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 4)

    def ensure_store(*given: Any, **settings: Any) -> NoteStore:
        store = preparation.ensure_store(*given, **settings)
        assert store is not None
        return store

    store = ensure_store(root, tmp_path / "datasets")
    assert store.folder.parent == tmp_path / "datasets"
    assert store.folder.name.startswith("music-")
    assert ensure_store(f"{root}/../music", tmp_path / "datasets", workers=1).folder == store.folder
    assert ensure_store(root, tmp_path / "datasets", seed=1).folder != store.folder
    assert ensure_store(store.folder, tmp_path / "datasets").folder == store.folder


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 70)
    (root / "broken.mid").touch()
    for workers in (1, 2):
        prepare(root, tmp_path / f"{workers}", workers=workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_real_collections(data_folder: Path, tmp_path: Path) -> None:
    bad = prepared(data_folder / "bad_midi", tmp_path / "bad", workers=1)
    assert len(bad) + len(dropped(bad)) == 72
    assert bad.num_notes >= 12_000
    with pytest.raises(UserError, match="none of its files can be used"):
        prepare(data_folder / "bad_midi_crlf", tmp_path / "crlf")
    groove = prepared(data_folder / "groove", tmp_path / "groove", csv="info.csv", limit=120, workers=1)
    official = (data_folder / "groove" / "info.csv").read_text()
    for name, split in splits_of(groove).items():
        (row,) = [line for line in official.splitlines() if f",{name}," in line]
        assert row.endswith(f",{split}")
    assert len(find_files(data_folder / "maestro_v2")) == 1200


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 40)
    code = f"from musiclstm.data.preparation import prepare; prepare({str(root)!r}, {str(tmp_path / 'store')!r})"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("40 files found" in text for text in said) == 1
    assert sum("Prepared before: 40 pieces" in text for text in said) == 1
