from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from musiclstm.errors import UserError
from musiclstm.generation.controls import read_controls
from musiclstm.generation.controls.settings import PARSERS, Density, Span
from musiclstm.generation.controls.theory import SCALES, parse_chord, parse_key, parse_pitch
from musiclstm.score import DRUMS, Score, make_notes

SONG = Score(make_notes([0, 480], [480, 960], [60, 62]))


def classes(text: str) -> list[int]:
    return sorted(parse_key(text).classes)


def test_keys() -> None:
    assert classes("C major") == classes("C") == classes("c MAJOR") == [0, 2, 4, 5, 7, 9, 11]
    assert classes("A minor") == classes("Am") == [0, 2, 4, 5, 6, 7, 8, 9, 11]
    assert classes("F# dorian") == sorted((6 + step) % 12 for step in SCALES["dorian"])
    assert classes("B♭ mixolydian") == classes("Bb  mixolydian") == classes("A# mixolydian")
    assert parse_key("Bb major").tonic == 10
    assert parse_key("D harmonic minor").triad == {2, 5, 9}
    assert parse_key("E whole tone").triad == {4, 8, 0}
    assert parse_key("B locrian").triad == {11, 2, 5}
    for scale in SCALES:
        assert parse_key(f"G {scale}").triad <= parse_key(f"G {scale}").classes


def test_chords() -> None:
    found = {name: sorted(chord.classes) for name in ["C", "Am", "F#m7b5", "Bbmaj7", "Csus4", "C/E", "Gadd9"]
             if (chord := parse_chord(name)) is not None}  # fmt: skip
    assert found == {
        "C": [0, 4, 7],
        "Am": [0, 4, 9],
        "F#m7b5": [0, 4, 6, 9],
        "Bbmaj7": [2, 5, 9, 10],
        "Csus4": [0, 5, 7],
        "C/E": [0, 4, 7],
        "Gadd9": [2, 7, 9, 11],
    }
    assert parse_chord("N") is None
    bars = PARSERS["chords"]("C Am | F | N")
    assert [[chord and chord.name for chord in bar] for bar in bars] == [["C", "Am"], ["F"], [None]]
    assert PARSERS["chords"](["C", "G"]) == PARSERS["chords"]("C G") == PARSERS["chords"]("C | G")


def test_pitches() -> None:
    pitches = {"C4": 60, "c-1": 0, "G9": 127, "Bb3": 58, "B#3": 60, "60": 60, "G#9": None, "H2": None, "128": None}
    assert {text: parse_pitch(text) for text in pitches} == pitches


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("pitch_range", "C3-C5", Span(48, 72)),
        ("pitch_range", "48-72", Span(48, 72)),
        ("pitch_range", "C-1-G9", Span(0, 127)),
        ("pitch_range", "Bb2 to 72", Span(46, 72)),
        ("pitch_range", 60, Span(60, 60)),
        ("velocity", "40-90", Span(40, 90)),
        ("velocity", 64, Span(64, 64)),
        ("density", "4-8", Density(4, 8)),
        ("density", 6, Density(average=6.0)),
        ("density", "2.5", Density(average=2.5)),
        ("tempo", 96.5, 96.5),
        ("tempo", "120", 120.0),
        ("meter", "6/8", (6, 8)),
        ("bars", 16, 16),
        ("polyphony", "3", 3),
        ("rhythm", "x..x ..x.", (True, False, False, True, False, False, True, False)),
        ("instruments", "violin, 41, drums, Acoustic-Bass", (40, 41, DRUMS, 32)),
        ("instruments", ["harpsichord", 0], (6, 0)),
        ("instruments", 73, (73,)),
        ("ending", "tonic", "tonic"),
    ],
)
def test_values(name: str, given: Any, value: Any) -> None:
    assert PARSERS[name](given) == value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key": "H major"}, "key=H major is not .*F# dorian"),
        ({"key": "C bebop"}, "key=C bebop .*mixolydian"),
        ({"key": 3.5}, "key=3.5"),
        ({"pitch_range": "C5-C3"}, "pitch_range=C5-C3"),
        ({"pitch_range": "C3-X"}, "pitch_range=C3-X .* C3-C5"),
        ({"instruments": "violin, strnigs"}, "strnigs is not known"),
        ({"instruments": "tremolo"}, None),
        ({"instruments": "sax"}, "sax is not known.*Soprano Sax, Alto Sax"),
        ({"instruments": [129]}, "129"),
        ({"instruments": []}, "instruments is empty"),
        ({"polyphony": 0}, "polyphony=0 .* at least 1"),
        ({"polyphony": "many"}, "polyphony=many"),
        ({"density": "8-4"}, "density=8-4"),
        ({"density": 0}, "density=0"),
        ({"density": "nan"}, "density=nan"),
        ({"velocity": "0-90"}, "velocity=0-90 .* 40-90"),
        ({"velocity": "40-200"}, "velocity=40-200"),
        ({"tempo": 0}, "tempo=0 .* from 4 to 1000"),
        ({"tempo": "fast"}, "tempo=fast"),
        ({"meter": "3/5"}, "meter=3/5 .* 6/8"),
        ({"bars": True}, "bars=True"),
        ({"bars": 2.5}, "bars=2.5"),
        ({"chords": "C Xm"}, "Xm .* F#"),
        ({"chords": "C | | G"}, "chords=C"),
        ({"chords": "C/H"}, "C/H"),
        ({"rhythm": "...."}, "rhythm=.* at least one x"),
        ({"rhythm": "x.y"}, "rhythm=x.y"),
        ({"notes": 5}, "notes=5"),
        ({"notes": "/nowhere/song.mid"}, "notes=.*song.mid"),
        ({"notes": Score(SONG.notes[:0])}, "no notes"),
        ({"voice": 2}, "voice=2 .* notes=FILE"),
        ({"ending": "loud", "key": "C", "bars": 2}, "ending=loud .* tonic"),
        ({"ending": "tonic", "key": "C"}, "ending=tonic .* bars="),
        ({"ending": "tonic", "bars": 3}, "ending=tonic .* key="),
        ({"keys": "C"}, "keys is not a setting .* key, "),
        ({"bars": 8, "sections": [{"bars": "9-16", "key": "C"}]}, "from bar 9 on, and bars=8"),
        ({"sections": [{"key": "C"}]}, "no bars"),
        ({"sections": {"bars": 4}}, "a list of mappings"),
        ({"sections": [{"bars": "8-4", "key": "C"}]}, "bars=8-4 .* 9-16"),
        ({"sections": [{"bars": "4", "ending": "tonic"}]}, "ending holds for a whole piece"),
        ({"sections": [{"bars": "4", "mood": "sad"}]}, "mood is not a setting"),
        ({"sections": [{"bars": "1-4", "key": "C"}, {"bars": "4-5", "key": "D"}]}, "two give key in bar 4"),
        ({"control": "/nowhere/control.yaml"}, "control=/nowhere/control.yaml cannot be read"),
        ({"control": 5}, "control=5"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_in_a_line(settings: dict[str, Any], message: str | None) -> None:
    if message is None:
        read_controls(**settings)
        return
    with pytest.raises(UserError, match=message) as raised:
        read_controls(**settings)
    assert "\n" not in str(raised.value)


def test_sections_replace_what_holds_for_all_bars(tmp_path: Path) -> None:
    file = tmp_path / "control.yaml"
    file.write_text(
        "key: C major\npolyphony: 4\nbars: 24\nsections:\n"
        "  - {bars: 9-16, key: A minor, pitch_range: C3-C5}\n"
        "  - bars: 17-\n    key: null\n    density: 4-8\n"
    )
    controls = read_controls(file, polyphony=2, tempo=None, meter="3/4")
    keys = [(part.first, part.stop, part.value and part.value.given) for part in controls.stretches("key")]
    assert keys == [(-1, 8, "C major"), (8, 16, "A minor"), (16, None, None)]
    assert [part.value for part in controls.stretches("tempo")] == [None]
    assert controls.get("polyphony") == 2
    assert controls.get("bars") == 24
    assert controls.asked() == ["key", "pitch_range", "polyphony", "density", "meter", "bars"]
    assert controls.at_work(8) == "key=A minor, pitch_range=C3-C5, polyphony=2, meter=3/4, bars=24"
    assert controls.at_work(20) == "polyphony=2, density=4-8, meter=3/4, bars=24"
    assert read_controls({"key": {"1-8": "C", "9-": "Am"}}).stretches("key")[1].first == 8


def test_a_pickup_belongs_to_the_first_section_if_nothing_holds_for_all_bars() -> None:
    first = {"bars": "1-4", "key": "D"}
    assert [(p.first, p.stop) for p in read_controls(sections=[first]).stretches("key")] == [(-1, 4), (4, None)]
    parts = read_controls(key="C", sections=[first]).stretches("key")
    assert [(p.first, p.stop) for p in parts] == [(-1, 0), (0, 4), (4, None)]


def test_nothing_asked_for_is_false() -> None:
    assert not read_controls()
    assert not read_controls({}, key=None)
    assert not read_controls(sections=[{"bars": "1-4", "key": None}])
    assert read_controls(notes=SONG)


def test_yaml_that_is_none_is_said_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "control.yaml"
    file.write_text("key: C\nbars: [1, 2\n")
    with pytest.raises(UserError, match="line 3 is not YAML"):
        read_controls(file)
    file.write_text("")
    assert not read_controls(file)
