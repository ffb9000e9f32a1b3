"""Notes bear the names that a musician would give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiclstm.rendering.engraving.spelling import Key, alteration, key_of, letter, octave, spell
from musiclstm.score import DRUMS, make_notes

SIGNS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
STEPS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))


def line(pitches: Sequence[int]) -> np.ndarray:
    start = np.arange(len(pitches))
    return make_notes(start, start + 1, pitches)


def names(pitches: Sequence[int], key: Key) -> str:
    return " ".join(letter(name) + SIGNS[alteration(name)] for name in spell(line(pitches), key).tolist())


@pytest.mark.parametrize(
    ("key", "pitches", "expected"),
    [
        (Key(0, "A minor"), [69, 68, 69, 64, 66, 68, 69], "A G# A E F# G# A"),
        (Key(-2, "G minor"), [67, 66, 67, 62, 63, 66, 67], "G F# G D Eb F# G"),
        (Key(-5, "Db major"), [61, 63, 65, 66, 68, 70, 72], "Db Eb F Gb Ab Bb C"),
        (Key(4, "C# minor"), [61, 60, 61, 68, 69, 60, 61], "C# B# C# G# A B# C#"),
        (Key(0, "C major"), [60, 61, 62, 64, 66, 67, 70, 69], "C C# D E F# G Bb A"),
        (Key(0, "C major"), [64, 63, 64, 62, 63, 62], "E D# E D Eb D"),
        (Key(6, "F# major"), [66, 68, 70, 71, 73, 75, 77], "F# G# A# B C# D# E#"),
    ],
)
def test_names_follow_the_key(key: Key, pitches: list[int], expected: str) -> None:
    assert names(pitches, key) == expected


@given(st.lists(st.integers(0, 127), max_size=40), st.integers(-7, 7), st.sampled_from(["", "A minor", "C major"]))
def test_a_name_sounds_as_its_pitch(pitches: list[int], signature: int, name: str) -> None:
    for pitch, fifths in zip(pitches, spell(line(pitches), Key(signature, name)).tolist(), strict=True):
        assert abs(alteration(fifths)) <= 2
        assert 12 * (octave(pitch, fifths) + 1) + STEPS[letter(fifths)] + alteration(fifths) == pitch


def test_the_key_is_that_of_the_notes_without_drums() -> None:
    scale = [57, 59, 60, 62, 64, 65, 68, 69, 57, 64, 69]
    assert key_of(line(scale)) == Key(0, "A minor")
    assert key_of(line([pitch - 2 for pitch in scale])) == Key(-2, "G minor")
    drums = make_notes([0] * 90, [99] * 90, [42] * 90, program=DRUMS)
    assert key_of(np.concatenate([drums, line(scale)])) == Key(0, "A minor")
    assert key_of(drums) == Key(0)
    assert key_of(line(range(60, 72))).name == ""
