"""A store that is there, or half there, costs only what has changed: and is then as if it had been made at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.preparation import merge, prepare
from musiclstm.midi import write_midi
from tests.data.folders import a_folder, digests, dropped, prepared, tune

REPOSITORY = Path(__file__).parents[2]
KILLS = 20

SLOW = """
import sys, time
from pathlib import Path
from musiclstm.data import preparation, reading
from tests.data.slow import slow
preparation.read_music = slow
preparation.prepare({root!r}, {store!r}, workers=2)
"""


def test_files_that_were_added_changed_and_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 40)
    (root / "broken.mid").write_bytes(b"MThd")
    prepared(root, tmp_path / "store")
    for i in range(40, 50):
        write_midi(tune(i), root / "new" / f"{i}.mid")
    write_midi(tune(99), root / "piece 0.mid")
    (root / "piece 4.mid").unlink()
    (root / "a" / "piece 1.mid").rename(root / "renamed.mid")
    (root / "copy.mid").write_bytes((root / "piece 8.mid").read_bytes())
    capsys.readouterr()
    store = prepared(root, tmp_path / "store")
    assert "Took over 40 files that have not changed" in capsys.readouterr().out
    assert len(store) == 49
    assert set(dropped(store)) == {"broken.mid", "piece 8.mid"}
    prepared(root, tmp_path / "fresh")
    assert digests(tmp_path / "store") == digests(tmp_path / "fresh")


def test_a_damaged_store_is_not_built_upon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 8)
    store = prepared(root, tmp_path / "store")
    before = digests(store.folder)
    content = bytearray((store.folder / "notes.npy").read_bytes())
    content[-20] ^= 1
    (store.folder / "notes.npy").write_bytes(content)
    write_midi(tune(50), root / "new.mid")
    capsys.readouterr()
    prepared(root, tmp_path / "store")
    assert "Took over" not in capsys.readouterr().out
    (root / "new.mid").unlink()
    prepared(root, tmp_path / "store")
    assert digests(store.folder) == before


def test_killed_at_random_moments(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 64)
    whole = prepared(root, tmp_path / "whole")
    store, parts = tmp_path / "store", tmp_path / "store.parts"
    random = np.random.default_rng(0)
    code = SLOW.format(root=str(root), store=str(store))
    seen = set()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        begun = len(list(parts.glob("[!.]*")))
        deadline = time.monotonic() + 60  # until it has got somewhere; then at any moment
        while time.monotonic() < deadline and process.poll() is None and len(list(parts.glob("[!.]*"))) <= begun:
            time.sleep(0.002)
        time.sleep(float(random.random()) * 0.06)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.add(len(list(parts.glob("[!.]*"))))
        if store.exists():  # it was done: begin anew
            assert digests(store) == digests(whole.folder)
            _remove(store)
    assert len(seen) > 3
    prepare(root, store)
    assert digests(store) == digests(whole.folder)
    left = {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"}
    assert left == {"music", "whole", "store"}


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_ctrl_c_leaves_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 64)
    parts = tmp_path / "store.parts"
    code = SLOW.format(root=str(root), store=str(tmp_path / "store"))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (parts.is_dir() and len(list(parts.glob("[!.]*"))) >= 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode != 0
    assert said.rstrip().endswith("KeyboardInterrupt")
    kept = len(list(parts.glob("[!.]*")))
    assert 3 <= kept < 32
    capsys.readouterr()
    prepared(root, tmp_path / "store")
    assert f"Going on where an earlier run was cut off: {2 * kept} of 64 files are read" in capsys.readouterr().out


def test_shards_give_what_one_run_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_folder(tmp_path / "music", 70)
    (root / "broken.mid").touch()
    prepared(root, tmp_path / "whole")
    order = [2, 0, 3, 1]
    made = [prepare(root, tmp_path / "store", shard=(i, 4)) for i in order]
    assert [store is None for store in made] == [True, True, True, False]
    assert digests(tmp_path / "store") == digests(tmp_path / "whole")
    assert not (tmp_path / "store.parts").exists()
    assert "Shard 2 is read" in capsys.readouterr().out
    assert prepare(root, tmp_path / "store", shard=(1, 4)) is not None
    # a shard that never came is made up for by whoever asks for the whole
    os.utime(root / "broken.mid", (1, 1))
    assert prepare(root, tmp_path / "other", shard=(0, 4)) is None
    assert len(prepared(root, tmp_path / "other")) == 70


def test_a_merged_store_can_be_made_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        prepared(a_folder(tmp_path / name, 4 if name == "one" else 8), tmp_path / f"{name}.store")
    first = digests(merge([tmp_path / "one.store", tmp_path / "two.store"], tmp_path / "both").folder)
    assert digests(merge([tmp_path / "one.store", tmp_path / "two.store"], tmp_path / "both").folder) == first
