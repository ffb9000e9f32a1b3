from __future__ import annotations

import numpy as np

from musiclstm.rendering.voices import voices_of
from musiclstm.score import DRUMS, make_notes


def names(program: list[int], track: list[int], pitch: int | list[int] = 60) -> list[str]:
    start = np.arange(len(program))
    return [voice.name for voice in voices_of(make_notes(start, start + 1, pitch, 80, program, track))[0]]


def test_one_instrument_is_named() -> None:
    assert names([73], [0]) == ["Flute"]


def test_tracks_of_one_program_are_voices() -> None:
    assert names([0, 0, 0, 0], [3, 2, 1, 0]) == ["voice 1", "voice 2", "voice 3", "voice 4"]
    assert names([0, DRUMS, 0], [0, 1, 2]) == ["voice 1", "voice 2", "Drums"]


def test_instruments_that_come_twice_are_told_apart_and_drums_are_one() -> None:
    assert names([DRUMS, 40, 41, 40, DRUMS], [0, 1, 2, 3, 4]) == ["Violin (1)", "Viola", "Violin (2)", "Drums"]


def test_drums_alone_are_told_by_kind() -> None:
    assert names([DRUMS] * 5, [0] * 5, [49, 36, 42, 38, 46]) == ["Kick", "Snare", "Hi-hat", "Cymbals"]


def test_each_note_has_the_voice_of_its_track_and_program() -> None:
    notes = make_notes([0, 1, 2, 3], [1, 2, 3, 4], 60, 80, [5, DRUMS, 5, 7], [9, 1, 2, 9])
    voices, index = voices_of(notes)
    assert [voices[i].name for i in index] == ["Electric Piano 2 (2)", "Drums", "Electric Piano 2 (1)", "Clavinet"]


def test_thirty_voices_have_thirty_colours() -> None:
    voices, _ = voices_of(make_notes(range(30), range(1, 31), 60, 80, range(30), range(30)))
    assert len({voice.colour for voice in voices}) == 30


def test_no_notes_have_no_voices() -> None:
    assert voices_of(make_notes([], [], []))[0] == []
