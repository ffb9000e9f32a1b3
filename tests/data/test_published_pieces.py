"""The benchmarks' files as note stores: every piece, in its order and split, and nothing lost of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.published import FRAME_SETS, REST, Frames, read_frames, read_jsb_16th
from musiclstm.data.store import NoteStore
from musiclstm.errors import UserError
from musiclstm.tokenizers import make_tokenizer
from musiclstm.tokenizers.frames import Frames as FramesTokenizer
from tests.data.folders import prepared
from tests.data.published_files import write_frames, write_voices


def chorale(seed: int, steps: int = 48) -> list[list[int]]:
    """Four voices, of which two may sing the same pitch and each may be silent, though not all at the end."""
    random = np.random.default_rng(seed)
    piece = np.repeat(random.integers(58, 62, (steps // 2, 4)) - [0, 0, 1, 2], 2, axis=0)
    piece[random.random((steps, 4)) < 0.1] = REST
    piece[3] = REST
    piece[-1] = [60, REST, 55, 43]
    return piece.tolist()


def roll_of(seed: int, frames: int = 40) -> Frames:
    """Frames of up to three pitches, empty ones at the beginning and within."""
    random = np.random.default_rng(seed)
    piece = [tuple(sorted(set(random.integers(60, 66, count).tolist()))) for count in random.integers(0, 4, frames)]
    return [(), (), *piece, (21, 108)]


def sung(store: NoteStore, index: int) -> list[list[int]]:
    """A piece of a store as its tokens, decoded, have it: the pitch of each of four voices in each step."""
    tokenizer = make_tokenizer("voices", [], num_voices=4)
    score = tokenizer.decode(tokenizer.encode(store[index]))
    grid = np.full((score.end, 4), REST)
    for start, end, voice, pitch in score.notes[["start", "end", "track", "pitch"]].tolist():
        grid[start:end, voice] = pitch
    return grid.tolist()


def framed(store: NoteStore, index: int, per_quarter: int) -> Frames:
    """A piece of a store as its tokens have it: the pitches of each frame."""
    tokenizer = make_tokenizer("frames", [], steps_per_quarter=per_quarter)
    assert isinstance(tokenizer, FramesTokenizer)
    frames: list[list[int]] = [[]]
    for token in tokenizer.encode(store[index]).tolist():
        if token == tokenizer.frame:
            frames.append([])
        elif tokenizer.pitch <= token < tokenizer.frame:
            frames[-1].append(token - tokenizer.pitch)
    return [tuple(frame) for frame in frames[:-1]]


def test_voices_keep_their_pieces_order_and_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = chorale(1)
    train, valid, test = [chorale(0), again, again], [chorale(2), again], [again, chorale(3, steps=16)]
    store = prepared(write_voices(tmp_path, train, valid, test), tmp_path / "store", workers=1)
    for split, pieces in (("train", train), ("validation", valid), ("test", test)):
        assert [sung(store, int(index)) for index in store.split(split)] == pieces
    assert store.names[:4] == [
        *("Jsb16thSeparated.train", "Jsb16thSeparated.train#2", "Jsb16thSeparated.train#3"),
        "Jsb16thSeparated.validation",
    ]
    assert "4 pieces in 1 group of near duplicates stand on several sides" in " ".join(capsys.readouterr().out.split())


def test_equal_pitches_that_follow_each_other_are_one_note(tmp_path: Path) -> None:
    piece = [[60, 60, 50, REST], [60, 60, 50, REST], [60, 62, 50, REST], [REST, 62, 50, 40], [60, 62, 50, 40]]
    store = prepared(write_voices(tmp_path, [piece], [], []), tmp_path / "store", workers=1)
    assert store[0].notes[["track", "start", "end", "pitch"]].tolist() == [
        *((0, 0, 3, 60), (1, 0, 2, 60), (2, 0, 5, 50)),
        *((1, 2, 5, 62), (3, 3, 5, 40), (0, 4, 5, 60)),
    ]
    assert store[0].ticks_per_quarter == 4


@pytest.mark.parametrize(("name", "per_quarter"), [("JSB_Chorales", 1), ("Nottingham", 2)])
def test_frames_keep_their_pieces_order_and_split(tmp_path: Path, name: str, per_quarter: int) -> None:
    train, valid, test = [roll_of(0), roll_of(1), roll_of(1)], [roll_of(2)], [roll_of(3), roll_of(1)]
    store = prepared(write_frames(tmp_path / f"{name}.mat", train, valid, test), tmp_path / "store", workers=1)
    assert store[0].ticks_per_quarter == per_quarter
    for split, pieces in (("train", train), ("validation", valid), ("test", test)):
        assert [framed(store, int(index), per_quarter) for index in store.split(split)] == pieces


def test_what_a_score_cannot_hold_is_said(tmp_path: Path) -> None:
    pieces: list[Frames] = [[*roll_of(0), (), ()], [(), ()], roll_of(1)]
    store = prepared(write_frames(tmp_path / "MuseData.mat", pieces, [], []), tmp_path / "store", workers=1)
    assert [framed(store, index, 2) for index in range(len(store))] == [roll_of(0), roll_of(1)]
    assert store.file(0)["remarks"] == [
        "1 piece without notes left out",
        "2 silent steps at the end of 1 piece left out",
    ]


def test_leaks_can_be_dropped_and_other_settings_given_to_a_store_that_is_there(tmp_path: Path) -> None:
    path = write_voices(tmp_path, [chorale(0), chorale(1)], [chorale(1)], [chorale(2)])
    assert len(prepared(path, tmp_path / "store", workers=1)) == 4
    store = prepared(path, tmp_path / "store", workers=1, leaks="drop")
    splits = {split: [sung(store, int(i)) for i in store.split(split)] for split in ("train", "validation", "test")}
    assert splits == {"train": [chorale(0)], "validation": [chorale(1)], "test": [chorale(2)]}


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = write_voices(tmp_path, [chorale(0)], [], [])
    for settings in ({"csv": "split.csv"}, {"limit": 3}, {"selection_csv": "choice.csv"}):
        with pytest.raises(UserError, match="whole and split: leave out"):
            prepared(path, tmp_path / "store", **settings)
    with pytest.raises(UserError, match=r"Nottingham\.mat: no such file; get Nottingham\.mat from https"):
        prepared(tmp_path / "Nottingham.mat", tmp_path / "store")
    with pytest.raises(UserError, match="Bach is not a set of frames: there are JSB_Chorales"):
        prepared(tmp_path / "Bach.mat", tmp_path / "store")
    path.write_text("{}")
    with pytest.raises(UserError, match="not the chorales in four voices"):
        prepared(path, tmp_path / "store", workers=1)


def test_the_published_sets_come_back_exactly(data_folder: Path, tmp_path: Path) -> None:
    voices = read_jsb_16th(data_folder / "jsb_chorales")
    store = prepared(data_folder / "jsb_chorales" / "Jsb16thSeparated.json", tmp_path / "voices")
    assert [len(store.split(split)) for split in voices] == [229, 76, 77]
    for split, pieces in voices.items():
        for index, piece in zip(store.split(split), pieces, strict=True):
            assert sung(store, int(index)) == piece.tolist()
    name = "JSB_Chorales"
    frames = read_frames(data_folder / "boulanger_lewandowski", name)
    store = prepared(data_folder / "boulanger_lewandowski" / f"{name}.mat", tmp_path / "frames")
    for split, rolls in frames.items():
        assert [framed(store, int(index), FRAME_SETS[name]) for index in store.split(split)] == rolls
