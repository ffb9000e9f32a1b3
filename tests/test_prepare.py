"""The command that makes a store, as a person types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from musiclstm.data.store import NoteStore
from tests.data.folders import a_folder, digests, prepared

REPOSITORY = Path(__file__).parents[1]


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Status, output and error output of the command in `folder`."""
    command = [sys.executable, "-m", "musiclstm.prepare", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(REPOSITORY), "PATH": ""}, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_shards(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 40)
    status, said, complaint = run(tmp_path, "-m", f"data.path={root}", "output=store", "shard=range(3)")
    assert (status, complaint) == (0, "")
    assert said.count("parts are still to come from others") == 2
    assert "Train on it: python -m musiclstm.train data.path=" in said
    prepared(root, tmp_path / "whole")
    assert digests(tmp_path / "store") == digests(tmp_path / "whole")


def test_a_table_and_a_report(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 6)
    (root / "broken.mid").write_text("no")
    status, said, complaint = run(
        tmp_path, f"data.path={root}", "select.min_notes=10", "select.meters=[4/4]", "split.group_by='(.)[.]mid$'"
    )
    assert (status, complaint) == (0, "")
    assert "7 files found" in said
    (store,) = (path for path in (tmp_path / "datasets").iterdir() if path.is_dir())
    assert "broken.mid" in (store / "report.html").read_text()
    assert len((store / "report.csv").read_text().splitlines()) == 8
    status, said, complaint = run(tmp_path, f"data.path={root}", "prepare.strict=true")
    assert status == 1
    assert complaint.startswith("musiclstm: 1 files were dropped, which prepare.strict=true forbids: broken.mid")


def test_merging(tmp_path: Path) -> None:
    for name, count in (("one", 4), ("two", 9)):
        prepared(a_folder(tmp_path / name, count), tmp_path / f"{name}.store")
    status, _, complaint = run(tmp_path, "merge=[one.store,two.store]", "output=both")
    assert (status, complaint) == (0, "")
    assert len(NoteStore.open(tmp_path / "both")) == 9


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["data.path=music", "shard=1"], "shard=1 of how many? give shards=N"),
        (["data.path=music", "shard=3", "shards=3"], "shard 3 of 3: give shard=0 to shard=2"),
        (["merge=[a,b]"], "merge: into which folder? give output=FOLDER"),
        (["merge=[a,b]", "output=c"], "a: not a note store"),
        (["data.path=music", "select.min_notes=9", "select.max_notes=3"], "select.min_notes=9 is above"),
        (["data.path=music", "select.meters=[4]"], "select.meters has 4: write meters like 4/4"),
        (["data.path=music", "select.instruments=[piano,kazoo]"], "select.instruments has 'kazoo'"),
        (["data=folk_tunes", "split.csv=a.csv"], "split.csv is for data.path=FOLDER, not for folk_tunes"),
        (["data.path=music", "split.leaks=maybe"], "split.leaks is 'maybe': give keep or drop"),
    ],
)
def test_bad_values_are_a_line(tmp_path: Path, arguments: list[str], why: str) -> None:
    a_folder(tmp_path / "music", 1)
    status, _, complaint = run(tmp_path, *arguments)
    assert status == 1
    assert why in complaint
    assert len(complaint.splitlines()) == 1
