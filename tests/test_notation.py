"""MusicXML, ABC and kern become scores: what sounds, in ticks, and where the bars begin."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.midi import read_score
from musiclstm.notation import TICKS_PER_QUARTER, read_notation, read_scores
from musiclstm.score import DRUMS, Score

CLARINET, VIOLIN = 71, 40


def pitch(name: str, octave: int, alter: int = 0) -> str:
    return f"<pitch><step>{name}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"


def note(what: str, duration: int, extra: str = "", *, chord: bool = False, voice: int = 1) -> str:
    """A MusicXML note; a duration of 1 is a twelfth of a quarter."""
    tie = "".join(f'<tie type="{kind}"/>' for kind in extra.split())
    chord_tag = "<chord/>" if chord else ""
    return f"<note>{chord_tag}{what}<duration>{duration}</duration>{tie}<voice>{voice}</voice></note>"


def attributes(beats: int, unit: int, transpose: str = "") -> str:
    time = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
    return f"<attributes><divisions>12</divisions>{time}{transpose}</attributes>"


def music_xml(*parts: tuple[str, list[str]]) -> str:
    """A MusicXML file of parts, each what its <score-part> holds and its measures."""
    listed = "".join(
        f'<score-part id="P{i}"><part-name>part</part-name>{head}</score-part>' for i, (head, _) in enumerate(parts)
    )
    played = "".join(
        f'<part id="P{i}">'
        + "".join(f'<measure number="{k}">{measure}</measure>' for k, measure in enumerate(measures))
        + "</part>"
        for i, (_, measures) in enumerate(parts)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<score-partwise version="3.1"><part-list>{listed}</part-list>{played}</score-partwise>'
    )


def instrument(program: int, name: str = "") -> str:
    return (
        f'<score-instrument id="I"><instrument-name>{name}</instrument-name></score-instrument>'
        f'<midi-instrument id="I"><midi-channel>1</midi-channel><midi-program>{program + 1}</midi-program>'
        "</midi-instrument>"
    )


def read(tmp_path: Path, text: str, name: str = "piece.musicxml") -> Score:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_score(tmp_path / name)


def rows(score: Score, track: int = 0) -> list[tuple[float, float, int]]:
    """Start and end in quarters, and pitch, of the notes in a track."""
    notes = score.notes[score.notes["track"] == track]
    return [
        (start / TICKS_PER_QUARTER, end / TICKS_PER_QUARTER, pitch)
        for start, end, pitch in notes[["start", "end", "pitch"]].tolist()
    ]


C, D, E, G = pitch("C", 4), pitch("D", 4), pitch("E", 4), pitch("G", 4)
REST = "<rest/>"


def test_a_pickup_and_ties(tmp_path: Path) -> None:
    measures = [
        attributes(3, 4) + note(G, 12),
        note(C, 24) + note(E, 12, "start"),
        note(E, 36, "stop start"),
        note(E, 12, "stop") + note(E, 24),
    ]
    score = read(tmp_path, music_xml((instrument(VIOLIN), measures)))
    assert score.first_bar == TICKS_PER_QUARTER
    assert score.meters.tolist() == [(0, 3, 4)]
    assert rows(score) == [(0, 1, 67), (1, 3, 60), (3, 8, 64), (8, 10, 64)]
    assert set(score.notes["program"].tolist()) == {VIOLIN}
    assert (score.bar_starts() / TICKS_PER_QUARTER).tolist() == [0, 1, 4, 7]


def test_chords_voices_and_tuplets(tmp_path: Path) -> None:
    grace = f"<note><grace/>{D}<voice>1</voice></note>"
    symbol = "<harmony><root><root-step>C</root-step></root><kind>major</kind></harmony>"
    triplet = "".join(note(step, 8) for step in (C, D, E))
    upper = symbol + grace + note(C, 24) + note(E, 24, chord=True) + triplet
    lower = "<backup><duration>48</duration></backup>" + note(G, 48, voice=2)
    score = read(tmp_path, music_xml(("", [attributes(4, 4) + upper + lower])))
    expected = [(0, 960, 60), (0, 960, 64), (0, 1920, 67), (960, 1280, 60), (1280, 1600, 62), (1600, 1920, 64)]
    assert score.notes[["start", "end", "pitch"]].tolist() == expected
    assert set(score.notes[["track", "program"]].tolist()) == {(0, 0)}


def test_a_tie_without_its_other_end_is_a_tie(tmp_path: Path) -> None:
    measures = [attributes(2, 4) + note(C, 24, "start"), note(C, 12) + note(C, 12)]
    assert rows(read(tmp_path, music_xml(("", measures)))) == [(0, 3, 60), (3, 4, 60)]


def test_parts_are_tracks_that_sound_where_they_sound(tmp_path: Path) -> None:
    transpose = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    drum = '<midi-instrument id="I"><midi-unpitched>39</midi-unpitched></midi-instrument>'
    hit = "<unpitched><display-step>C</display-step><display-octave>5</display-octave></unpitched>"
    score = read(
        tmp_path,
        music_xml(
            ("", [attributes(4, 4) + note(REST, 48)]),
            (instrument(CLARINET, "Clarinet"), [attributes(4, 4, transpose) + note(D, 48)]),
            (drum, [attributes(4, 4) + note(hit, 24) + note(hit, 24)]),
        ),
    )
    assert rows(score, 0) == [(0, 4, 60)]
    assert rows(score, 1) == [(0, 2, 38), (2, 4, 38)]
    assert score.notes[["track", "program"]].tolist() == [(0, CLARINET), (1, DRUMS), (1, DRUMS)]


def test_tempo_and_meter_changes_are_said_once(tmp_path: Path) -> None:
    sound = '<direction><direction-type><words>!</words></direction-type><sound tempo="{}"/></direction>'
    measures = [
        attributes(4, 4) + sound.format(60) + note(C, 48),
        attributes(4, 4) + sound.format(60) + note(C, 48),
        attributes(3, 4) + sound.format(90) + note(C, 36),
    ]
    score = read(tmp_path, music_xml(("", measures), ("", measures)))
    assert score.tempos.tolist() == [(0, 1_000_000), (3840, 666_667)]
    assert score.meters.tolist() == [(0, 4, 4), (3840, 3, 4)]
    assert score.first_bar == 0


def test_measures_that_a_repeat_sign_parts_are_one_bar(tmp_path: Path) -> None:
    score = read(tmp_path, "X:1\nM:3/4\nL:1/4\nK:C\nG|CDE|CD:||:G|CDE|C3|]\n", "tune.abc")
    assert score.meters.tolist() == [(0, 3, 4)]
    assert (score.bar_starts() / TICKS_PER_QUARTER).tolist() == [0, 1, 4, 7, 10]


def test_a_bar_of_another_length_has_a_meter_of_its_own(tmp_path: Path) -> None:
    score = read(tmp_path, "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|CDEF|CDE|CDEF|CDEFG|CDEF|CDEF|]\n", "tune.abc")
    assert [(tick / TICKS_PER_QUARTER, *meter) for tick, *meter in score.meters.tolist()] == [
        (0, 4, 4),
        (8, 3, 4),
        (11, 4, 4),
        (19, 1, 4),
        (20, 4, 4),
    ]
    assert {11, 15, 20, 24} <= set((score.bar_starts() / TICKS_PER_QUARTER).tolist())


ABC = 'X:1\nT:First\nM:6/8\nL:1/8\nK:G\nD|GAB cde|{d}"G"g3-g2|]\n'


def test_an_abc_tune(tmp_path: Path) -> None:
    score = read(tmp_path, ABC, "tune.abc")
    assert score.first_bar == TICKS_PER_QUARTER // 2
    assert score.meters.tolist() == [(0, 6, 8)]
    assert score.notes["pitch"].tolist() == [62, 67, 69, 71, 72, 74, 76, 79]
    assert rows(score)[-1] == (3.5, 6, 79)


def test_a_file_of_several_tunes(tmp_path: Path) -> None:
    second = "X:2\nT:Second\nM:2/4\nL:1/8\nK:D\nDE F2|A4|]\n"
    (tmp_path / "book.abc").write_text(ABC + "\n" + second)
    scores = read_scores(tmp_path / "book.abc")
    assert [len(score) for score in scores] == [8, 4]
    assert scores[1].notes["pitch"].tolist() == [62, 64, 66, 69]
    with pytest.raises(UserError, match=r"book.abc: holds 2 pieces"):
        read_notation(tmp_path / "book.abc")


def test_kern_has_its_highest_part_first(tmp_path: Path) -> None:
    lines = ["**kern **kern", "*M3/4 *M3/4", "4GG 4g", "=1 =1", "2.C [2.cc", "=2 =2", "4D;4F 4cc]", "2r 2r", "*- *-"]
    kern = "\n".join(lines).replace(" ", "\t").replace(";", " ") + "\n"
    score = read(tmp_path, kern, "piece.krn")
    assert score.first_bar == TICKS_PER_QUARTER
    assert rows(score, 0) == [(0, 1, 67), (1, 5, 72)]
    assert rows(score, 1) == [(0, 1, 43), (1, 4, 48), (4, 5, 50), (4, 5, 53)]


def test_compressed_music_xml(tmp_path: Path) -> None:
    container = '<container><rootfiles><rootfile full-path="piece.xml"/></rootfiles></container>'
    with zipfile.ZipFile(tmp_path / "piece.MXL", "w") as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("piece.xml", music_xml(("", [attributes(4, 4) + note(C, 48)])))
    assert rows(read_score(tmp_path / "piece.MXL")) == [(0, 4, 60)]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("broken.musicxml", "<score-partwise><part>", "not sound musicxml"),
        ("page.xml", "<html><body>hello</body></html>", "not sound musicxml|no notes"),
        ("archive.mxl", "this is no archive", "not sound musicxml"),
        ("silence.musicxml", music_xml(("", [attributes(4, 4) + note(REST, 48)])), "no notes in it"),
        ("empty.abc", "", "not sound abc|no notes"),
        ("empty.krn", "", "not sound humdrum|no notes"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(tmp_path: Path, name: str, content: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        read(tmp_path, content, name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_scores(tmp_path / "absent.abc")


def test_it_reads_what_music21_reads() -> None:
    """The ties that are merged, and every time and pitch, are those of music21's own, much slower, way."""
    import music21

    bach = Path(music21.__file__).parent / "corpus" / "bach"
    for path in (bach / "bwv66.6.mxl", bach / "bwv277.krn"):
        score = read_notation(path)
        piece: Any = music21.converter.parseFile(path, forceSource=True, storePickle=False)
        for track, part in enumerate(piece.parts):
            expected = [
                (float(note.offset), float(note.offset + note.quarterLength), note.pitch.midi)
                for note in part.stripTies().flatten().notes
            ]
            assert np.allclose(rows(score, track), expected)
