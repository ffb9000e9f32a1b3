"""The readers of the benchmarks' files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.published import FRAME_SETS, JSB_16TH, REST, read_frames, read_jsb_16th
from musiclstm.errors import UserError
from tests.data.published_files import roll, rolls, savemat, write_frames, write_voices


def test_voices(tmp_path: Path) -> None:
    piece = [[67, 62, 59, 43], [67, -1, 59, 43]]
    write_voices(tmp_path, [piece, piece[:1]], [], [piece])
    for path in (tmp_path, tmp_path / JSB_16TH):
        splits = read_jsb_16th(path)
        assert {split: [piece.shape for piece in pieces] for split, pieces in splits.items()} == {
            "train": [(2, 4), (1, 4)],
            "validation": [],
            "test": [(2, 4)],
        }
        assert splits["test"][0].tolist() == piece
        assert splits["test"][0][1, 1] == REST


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '{"train": []}',
        '{"train": [[[1, 2, 3]]], "valid": [], "test": []}',
        '{"train": [[[1, 2, 3, 128]]], "valid": [], "test": []}',
    ],
)
def test_what_are_not_voices(tmp_path: Path, content: str) -> None:
    (tmp_path / JSB_16TH).write_text(content)
    with pytest.raises(UserError, match="not the chorales in four voices"):
        read_jsb_16th(tmp_path)


def test_frames(tmp_path: Path) -> None:
    first = [(60, 64), (), (21, 108)]
    write_frames(tmp_path / "Nottingham.mat", [first, [()]], [first], [[(), (50,)]])
    for path in (tmp_path, tmp_path / "Nottingham.mat"):
        assert read_frames(path, "Nottingham") == {
            "train": [first, [()]],
            "validation": [first],
            "test": [[(), (50,)]],
        }


def test_what_are_not_frames(tmp_path: Path) -> None:
    (tmp_path / "Nottingham.mat").write_text("no")
    savemat(tmp_path / "MuseData.mat", {"traindata": rolls(roll([60]))})
    narrow = rolls(np.ones((3, 87)))
    savemat(tmp_path / "Piano_midi.mat", {"traindata": narrow, "validdata": narrow, "testdata": narrow})
    for name in ("Nottingham", "MuseData", "Piano_midi"):
        with pytest.raises(UserError, match=f"{name}.mat: not a set of frames"):
            read_frames(tmp_path, name)


def test_where_to_get_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Jsb16thSeparated.json: no such file; get Jsb16thSeparated.json from https"):
        read_jsb_16th(tmp_path)
    with pytest.raises(UserError, match=r"JSB_Chorales.mat: no such file; get JSB_Chorales.mat from https"):
        read_frames(tmp_path, "JSB_Chorales")
    with pytest.raises(UserError, match="Bach is not a set of frames: there are JSB_Chorales, Nottingham"):
        read_frames(tmp_path, "Bach")


def test_the_counts_of_the_protocol(data_folder: Path) -> None:
    splits = read_jsb_16th(data_folder / "jsb_chorales")
    assert {split: (len(pieces), sum(piece.size for piece in pieces)) for split, pieces in splits.items()} == {
        "train": (229, 220_912),
        "validation": (76, 73_632),
        "test": (77, 75_600),
    }
    assert max(len(piece) for piece in splits["test"]) == 640
    for name, frames in zip(FRAME_SETS, (4_725, 44_463, 64_339, 19_036), strict=True):
        test = read_frames(data_folder / "boulanger_lewandowski", name)["test"]
        assert sum(map(len, test)) == frames
