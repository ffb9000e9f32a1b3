"""No file takes a run down, and none is lost sight of."""

from __future__ import annotations

from pathlib import Path

import pytest

from musiclstm.data.building import Recipe, build_store
from musiclstm.data.music_files import find_files
from musiclstm.data.worker import Limits
from tests.data.folders import a_folder, dropped, prepared
from tests.data.slow import deadly, hollow
from tests.hostile import hostile_files

MUTATIONS = 2000


def test_a_file_that_kills_its_reader_costs_itself_alone(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 80)
    content = (root / "piece 0.mid").read_bytes()
    for name in ("segfault", "a/segfault too", "loop", "memory", "error"):
        (root / f"{name}.mid").write_bytes(content + name.encode())
    recipe = Recipe(deadly, "deadly", limits=Limits(seconds=3.0, megabytes=256))
    store = build_store(find_files(root), tmp_path / "store", recipe, source="made up", workers=2)
    assert store is not None
    assert len(store) == 80
    found = dropped(store)
    assert {name: kind for name, (kind, _) in found.items()} == {
        "segfault.mid": "crash",
        "a/segfault too.mid": "crash",
        "loop.mid": "limit",
        "memory.mid": "limit",
        "error.mid": "damaged",
    }
    assert "SIGSEGV" in found["segfault.mid"][1]
    assert "3 s" in found["loop.mid"][1]
    assert "256 MB" in found["memory.mid"][1]
    assert "KeyError" in found["error.mid"][1]


def test_a_piece_that_cannot_be_described_costs_its_file_alone(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 70)
    for name in ("hollow", "piece hollow"):
        (root / f"{name}.mid").write_bytes((root / "piece 0.mid").read_bytes() + name.encode())
    store = build_store(find_files(root), tmp_path / "store", Recipe(hollow, "hollow"), source="made up", workers=1)
    assert store is not None
    assert len(store) == 70
    assert {name: kind for name, (kind, _) in dropped(store).items()} == {
        "hollow.mid": "damaged",
        "piece hollow.mid": "damaged",
    }


def test_thousands_of_mutations(tmp_path: Path) -> None:
    names = set()
    for name, content in hostile_files(seed=0, count=MUTATIONS):
        path = tmp_path / "music" / f"{name}.mid"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        names.add(f"{name}.mid")
    assert len(names) == MUTATIONS
    store = prepared(tmp_path / "music", tmp_path / "store", max_seconds=10, max_megabytes=512)
    entries = list(store.files())
    assert {entry["source"] for entry in entries} == names
    counts = {status: sum(entry["status"] == status for entry in entries) for status in ("kept", "repaired", "dropped")}
    assert sum(counts.values()) == MUTATIONS
    assert min(counts.values()) > 0
    assert all(entry["reason"] for entry in entries if entry["status"] == "dropped")
    assert all(len(score) for score in store)


def test_real_damage(data_folder: Path, tmp_path: Path) -> None:
    good = a_folder(tmp_path / "music", 4)
    for path in (data_folder / "bad_midi_crlf").rglob("*.mid*"):
        (good / path.name).write_bytes(path.read_bytes())
    store = prepared(good, tmp_path / "store")
    assert len(store) == 4
    assert [kind for kind, _ in dropped(store).values()] == ["damaged"] * 51


@pytest.mark.parametrize("limits", [{"max_seconds": 0}, {"max_megabytes": 1}])
def test_limits_that_leave_nothing(tmp_path: Path, limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"prepare.max_(seconds|megabytes) is"):
        prepared(a_folder(tmp_path / "music", 1), tmp_path / "store", **limits)
