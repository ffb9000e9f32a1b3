"""What is asked for is what is written, under the names that were said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.midi import read_score
from musiclstm.rendering import outputs
from musiclstm.rendering.engraving.pages import pages_available
from musiclstm.rendering.outputs import FORMATS, existing, read_formats, write_piece
from musiclstm.score import Score, make_notes

needs_pages = pytest.mark.skipif(not pages_available(), reason="the score extra is not installed")


def piece(notes: int = 8) -> Score:
    start = np.arange(notes) * 480
    return Score(make_notes(start, start + 480, 60 + np.arange(notes) % 12), 480)


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all extras were installed."""
    monkeypatch.setattr(outputs, "audio_available", lambda: True)
    monkeypatch.setattr(outputs, "pages_available", lambda: True)


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("mid", ["mid"]),
        ("pdf+mid", ["mid", "pdf"]),
        ("png, mid", ["mid", "png"]),
        (["svg", "MusicXML", ".mid", "mid"], ["mid", "musicxml", "svg"]),
        ("auto", ["mid", "png", "wav"]),
        (None, ["mid", "png", "wav"]),
    ],
)
def test_formats(setting: Any, expected: list[str]) -> None:
    assert read_formats(setting) == expected


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(("setting", "named"), [("doc", "doc"), ("mid+", "nothing"), ([], "nothing"), (7, "7")])
def test_what_is_no_format_is_named(setting: Any, named: str) -> None:
    with pytest.raises(UserError, match=f"format={named} is not possible: give auto, or some of mid, png, wav"):
        read_formats(setting)


@pytest.mark.parametrize(("setting", "extra"), [("wav", "audio"), ("mid+pdf", "score"), ("svg", "score")])
def test_a_format_without_its_extra_is_refused(setting: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "audio_available", lambda: False)
    monkeypatch.setattr(outputs, "pages_available", lambda: False)
    needs = f'format={setting[-3:]} needs the {extra} extra: pip install "musiclstm[{extra}]"'
    with pytest.raises(UserError, match=re.escape(needs)):
        read_formats(setting)
    assert read_formats("auto") == ["mid", "png"]
    assert read_formats("musicxml") == ["musicxml"]


def test_files_are_named_after_the_piece(tmp_path: Path) -> None:
    written = write_piece(piece(), tmp_path, "song-001", ["mid", "musicxml"], title="Song")
    assert written == [tmp_path / "song-001.mid", tmp_path / "song-001.musicxml"]
    assert sorted(tmp_path.iterdir()) == written
    first, second = (read_score(path) for path in written)
    assert first.notes[["start", "end", "pitch"]].tolist() == second.notes[["start", "end", "pitch"]].tolist()


@needs_pages
def test_pages_are_numbered_and_old_pages_go(tmp_path: Path) -> None:
    long = write_piece(piece(700), tmp_path, "song", ["svg", "pdf"])
    pages = len(long) - 1
    assert pages > 1
    assert [path.name for path in long] == [*(f"song-{n}.svg" for n in range(1, pages + 1)), "song.pdf"]
    (tmp_path / "song-001.svg").write_text("of another piece")
    assert existing(tmp_path, ["song"], ["mid", "svg"]) == sorted(long[:-1])
    assert write_piece(piece(), tmp_path, "song", ["svg"]) == [tmp_path / "song.svg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song-001.svg", "song.pdf", "song.svg"]


def test_existing_names_what_would_be_replaced(tmp_path: Path) -> None:
    assert existing(tmp_path / "none", ["song"], FORMATS) == []
    for name in ("song.mid", "song.svg", "song-2.svg", "song-2.mid", "other.png"):
        (tmp_path / name).write_text("")
    assert [path.name for path in existing(tmp_path, ["song"], FORMATS)] == ["song.mid", "song.svg", "song-2.svg"]
    assert existing(tmp_path, ["song"], ["png"]) == []
