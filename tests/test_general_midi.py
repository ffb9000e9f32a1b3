from __future__ import annotations

import pretty_midi
import pytest

from musiclstm.general_midi import DRUM_NAMES, PROGRAM_NAMES, drum_kind, drum_name, program_name
from musiclstm.score import DRUMS


def test_names_are_those_of_general_midi() -> None:
    assert len(PROGRAM_NAMES) == 128
    assert all(drum_name(pitch) == DRUM_NAMES[pitch] for pitch in range(27, 88))
    ours = [name.split()[-1].lower() for name in (PROGRAM_NAMES[i] for i in range(80))]
    theirs = [pretty_midi.program_to_instrument_name(i).split(" (")[0].split()[-1].lower() for i in range(80)]
    differ = [i for i in range(80) if ours[i] != theirs[i]]
    assert differ == [], [(ours[i], theirs[i]) for i in differ]


@pytest.mark.parametrize(
    ("pitch", "name", "kind"),
    [
        (36, "Bass Drum", "Kick"),
        (38, "Acoustic Snare", "Snare"),
        (42, "Closed Hi-hat", "Hi-hat"),
        (50, "High Tom", "Toms"),
        (59, "Ride Cymbal 2", "Cymbals"),
        (81, "Open Triangle", "Percussion"),
        (87, "Open Surdo", "Percussion"),
        (0, "Drum 0", "Percussion"),
    ],
)
def test_drums(pitch: int, name: str, kind: str) -> None:
    assert (drum_name(pitch), drum_kind(pitch)) == (name, kind)


def test_programs() -> None:
    assert [program_name(p) for p in (0, 8, 40, 127, DRUMS)] == [
        "Acoustic Grand Piano", "Celesta", "Violin", "Gunshot", "Drums",
    ]  # fmt: skip
