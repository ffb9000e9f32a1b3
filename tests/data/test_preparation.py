"""Folders of music become note stores: what is kept, what is left out, how it is split, and going on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from musiclstm.data import store_parts
from musiclstm.data.preparation import ensure_store, find_files, prepare
from musiclstm.data.splits import split_by_share
from musiclstm.data.store import NoteStore
from musiclstm.errors import UserError
from musiclstm.midi import write_midi
from musiclstm.score import Score, make_notes

REPOSITORY = Path(__file__).parents[2]


def a_score(pitch: int) -> Score:
    return Score(make_notes(np.arange(4) * 480, np.arange(4) * 480 + 480, pitch))


def a_folder(root: Path, count: int = 10) -> Path:
    """A folder of `count` MIDI files at several depths."""
    for i in range(count):
        write_midi(a_score(40 + i % 80), root / ["", "a", "a/b", "c d"][i % 4] / f"piece {i}.mid")
    return root


def splits_of(store: NoteStore) -> dict[str, str]:
    return {piece["name"]: piece["split"] for piece in store.manifest["pieces"]}


def test_a_nested_folder(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music")
    write_midi(a_score(70), root / "a" / "loud.MIDI")
    (root / "tune.abc").write_text("X:1\nL:1/4\nK:C\nCDEF|\n\nX:2\nL:1/4\nK:C\nGABc|\n")
    (root / "readme.txt").write_text("no music")
    for hidden in (".hidden.mid", "._piece 0.mid", ".git/piece.mid", "a/.cache/piece.mid"):
        write_midi(a_score(60), root / hidden)
    os.symlink(root, root / "a" / "circle")
    store = prepare(root, tmp_path / "store")
    assert len(store) == 13
    assert {"a/loud.MIDI", "tune.abc", "tune.abc#2", "c d/piece 3.mid"} <= set(store.names)
    assert store[store.names.index("tune.abc#2")].notes["pitch"].tolist() == [67, 69, 71, 72]
    assert store.manifest["skipped"] == []
    assert sum(len(store.split(name)) for name in ("train", "validation", "test")) == 13
    assert not (tmp_path / "store.parts").exists()


def test_a_single_file(tmp_path: Path) -> None:
    write_midi(a_score(60), tmp_path / "piece.mid")
    store = prepare(tmp_path / "piece.mid", tmp_path / "store")
    assert store.names == ["piece.mid"]
    assert list(store) == [a_score(60)]


def test_bad_files_are_skipped_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 4)
    for i in range(5):
        (root / f"broken {i}.mid").write_bytes(b"MThd and no more of it" * i)
    write_midi(Score(make_notes([], [], [])), root / "silence.mid")
    store = prepare(root, tmp_path / "store")
    assert len(store) == 4
    assert sorted(entry["source"] for entry in store.manifest["skipped"]) == [
        *(f"broken {i}.mid" for i in range(5)),
        "silence.mid",
    ]
    said = capsys.readouterr().out
    assert "Kept 4 pieces with 16 notes" in said
    assert "skipped 6:" in said
    assert "1 x no notes in it: silence.mid" in said
    assert "4 x not a sound MIDI file" in said
    assert "broken 1.mid, broken 2.mid, broken 3.mid and 1 more" in said


def test_oddities_are_in_the_manifest(tmp_path: Path) -> None:
    events = bytes([0, 0x90, 60, 80, 0, 0x80, 60, 0, 5, 0x90, 62, 80, 5, 0x90, 62, 80, 9, 0x80, 62, 0, 1, 0x80, 62, 0])
    track = events + b"\x00\xff\x2f\x00"
    head = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60MTrk" + len(track).to_bytes(4, "big")
    (tmp_path / "odd.mid").write_bytes(head + track)
    (piece,) = prepare(tmp_path / "odd.mid", tmp_path / "store").manifest["pieces"]
    assert piece["ticks_per_quarter"] == 96
    assert piece["problems"] == ["1 notes without length", "1 notes that begin while their pitch sounds"]


def test_no_usable_file_is_an_error_that_lists_why(tmp_path: Path) -> None:
    root = tmp_path / "music"
    root.mkdir()
    with pytest.raises(UserError, match=r"music: no music in this folder.*mid"):
        prepare(root, tmp_path / "store")
    (root / "a.mid").write_text("no")
    (root / "b.mid").write_text("this is no MIDI file")
    (root / "c.mid").write_text("this is none either")
    with pytest.raises(UserError, match=r"none of its 3 files can be used: 2 x .*MThd\): b.mid, c.mid; 1 x .*a.mid"):
        prepare(root, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "store.parts").exists()
    for wrong in ("absent", "store"):
        with pytest.raises(UserError, match=f"{wrong}: no such folder"):
            prepare(tmp_path / wrong, tmp_path / "store")
    (tmp_path / "song.mp3").touch()
    with pytest.raises(UserError, match=r"song.mp3: not a music file"):
        prepare(tmp_path / "song.mp3", tmp_path / "store")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"split": (0.5, 0.4)}, "sum to 1"),
        ({"split": (0.5, 0.6, -0.1)}, "sum to 1"),
        ({"split": (0, 0.5, 0.5)}, "first is above 0"),
        ({"limit": 0}, "a limit of 0"),
        ({"workers": 0}, "0 worker processes"),
        ({"split_csv": "absent.csv"}, "absent.csv: not a CSV"),
    ],
)
def test_bad_settings(tmp_path: Path, settings: dict[str, object], why: str) -> None:
    with pytest.raises(UserError, match=why):
        prepare(a_folder(tmp_path / "music", 3), tmp_path / "store", **settings)  # type: ignore[arg-type]


def test_the_split_of_a_piece_depends_on_its_name_and_the_seed(tmp_path: Path) -> None:
    many = splits_of(prepare(a_folder(tmp_path / "many", 80), tmp_path / "store"))
    few = splits_of(prepare(a_folder(tmp_path / "few", 40), tmp_path / "other"))
    assert few == {name: split for name, split in many.items() if name in few}
    assert many != splits_of(prepare(tmp_path / "many", tmp_path / "store", seed=1))
    counts = [list(many.values()).count(name) for name in ("train", "validation", "test")]
    assert counts[0] > 50
    assert min(counts) > 1


def test_there_is_always_something_to_train_and_to_validate_on() -> None:
    for seed in range(300):
        for count in (2, 3, 4):
            splits = split_by_share([str(i) for i in range(count)], (0.8, 0.1, 0.1), seed)
            assert "train" in splits
            assert "validation" in splits
        assert split_by_share(["a"], (0.1, 0.8, 0.1), seed) == ["train"]
        assert set(split_by_share([*"abcd"], (0.5, 0, 0.5), seed)) <= {"train", "test"}
        one_group, *_ = {tuple(split_by_share(["g", "g", "g", "h"], (0.4, 0.3, 0.3), seed)[:3])}
        assert len(set(one_group)) == 1


CSV = """name,split,audio,midi_filename
x,train,piece 0.wav,piece 0.mid
x,validation,piece 1.wav,a/piece 1.mid
x,TEST,piece 2.wav,music/a/b/piece 2.mid
x,val,piece 3.wav,piece 3
x,test,absent.wav,absent.mid
x,,piece 5.wav,a/piece 5.mid
"""


def test_the_split_of_a_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 6)
    (root / "info.csv").write_text(CSV)
    store = prepare(root, tmp_path / "store", split_csv="info.csv")
    assert splits_of(store) == {
        "piece 0.mid": "train",
        "a/piece 1.mid": "validation",
        "a/b/piece 2.mid": "test",
        "c d/piece 3.mid": "validation",
    }
    assert "2 x no split for it in info.csv: a/piece 5.mid, piece 4.mid" in capsys.readouterr().out
    named = prepare(root, tmp_path / "named", split_csv=root / "info.csv", file_column="midi_filename")
    assert splits_of(named) == splits_of(store)


@pytest.mark.parametrize(
    ("text", "columns", "why"),
    [
        (CSV, {"split_column": "fold"}, "no column 'fold'; it has name, split, audio, midi_filename"),
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
            split_csv=tmp_path / "info.csv",
            split_column=columns.get("split_column", "split"),
            file_column=columns.get("file_column"),
        )


def test_a_limit_keeps_the_same_files_whatever_else_there_is(tmp_path: Path) -> None:
    store = prepare(a_folder(tmp_path / "music", 20), tmp_path / "store", limit=5)
    assert len(store) == 5
    assert store.names == sorted(store.names)
    assert prepare(tmp_path / "music", tmp_path / "other", limit=5, seed=1).names != store.names


def test_what_has_not_changed_is_not_prepared_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 4)
    first = prepare(root, tmp_path / "store")
    capsys.readouterr()
    inode = first.folder.stat().st_ino
    assert prepare(root, tmp_path / "store", workers=1).folder.stat().st_ino == inode
    assert capsys.readouterr().out.startswith("Prepared before: 4 pieces")
    write_midi(a_score(99), root / "piece 0.mid")
    assert prepare(root, tmp_path / "store")[3] == a_score(99)
    (root / "piece 0.mid").unlink()
    assert len(prepare(root, tmp_path / "store")) == 3
    prepare(root, tmp_path / "store", seed=7)
    assert "Prepared before" not in capsys.readouterr().out


def test_ensure_store(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 4)
    store = ensure_store(root, tmp_path / "datasets")
    assert store.folder.parent == tmp_path / "datasets"
    assert store.folder.name.startswith("music-")
    assert ensure_store(f"{root}/../music", tmp_path / "datasets", workers=1).folder == store.folder
    assert ensure_store(root, tmp_path / "datasets", seed=1).folder != store.folder
    assert ensure_store(store.folder, tmp_path / "datasets").folder == store.folder


def test_processes_give_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = a_folder(tmp_path / "music", 70)
    (root / "broken.mid").touch()
    alone = prepare(root, tmp_path / "alone", workers=1)
    monkeypatch.setattr(store_parts, "WORTH_PROCESSES", 0)
    together = prepare(root, tmp_path / "together", workers=2)
    assert together.manifest == alone.manifest
    assert list(together) == list(alone)


def test_a_run_that_was_killed_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 64)
    code = (
        "import sys, time, musiclstm.data.store_parts as parts; from musiclstm.data.preparation import prepare\n"
        "read = parts._read_part\n"
        "parts._read_part = lambda *given: (time.sleep(0.02), read(*given))[1]\n"
        f"prepare({str(root)!r}, {str(tmp_path / 'store')!r}, workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    parts = tmp_path / "store.parts"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (parts.is_dir() and len(list(parts.glob("[!.]*"))) >= 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "store").exists()
    kept = {part.name: part.stat().st_mtime_ns for part in parts.glob("[!.]*")}
    assert 4 <= len(kept) < 32
    store = prepare(root, tmp_path / "store")
    assert f"{2 * len(kept)} of 64 files are read" in capsys.readouterr().out
    assert list(store) == list(prepare(root, tmp_path / "whole"))
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"} == {"music", "store", "whole"}


def test_real_collections(data_folder: Path, tmp_path: Path) -> None:
    bad = prepare(data_folder / "bad_midi", tmp_path / "bad", workers=1)
    assert (len(bad), len(bad.manifest["skipped"]), bad.note_counts.sum()) == (52, 20, 12_758)
    with pytest.raises(UserError, match="none of its 51 files can be used"):
        prepare(data_folder / "bad_midi_crlf", tmp_path / "crlf")
    groove = prepare(data_folder / "groove", tmp_path / "groove", split_csv="info.csv", limit=120, workers=1)
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
    assert sum("Kept 40 pieces" in text for text in said) == 1
    assert sum("Prepared before: 40 pieces" in text for text in said) == 1
