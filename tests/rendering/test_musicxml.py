"""MusicXML says what the score says, as a musician would write it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.corpora import read_chorale
from musiclstm.errors import UserError
from musiclstm.midi import read_score
from musiclstm.rendering.engraving.musicxml import to_musicxml, write_musicxml
from musiclstm.rendering.engraving.spelling import Key, key_of
from musiclstm.score import DRUMS, METER, TEMPO, Score, bar_ticks, cut_overlaps, make_notes

METERS = [(4, 4), (3, 4), (2, 4), (6, 8), (9, 8), (12, 8), (5, 8), (7, 8), (2, 2), (3, 8), (5, 4)]


def xml(score: Score, **settings: Key | bool) -> ElementTree.Element:
    return ElementTree.fromstring(to_musicxml(score, **settings))  # type: ignore[arg-type]


def read_back(score: Score, exact: bool | None = None) -> Score:
    with tempfile.TemporaryDirectory() as folder:
        return read_score(write_musicxml(score, Path(folder) / "score.musicxml", exact=exact))


def sounding(score: Score, ticks_per_quarter: int = 480) -> list[list[int]]:
    notes = score.notes
    scale = ticks_per_quarter / score.ticks_per_quarter
    columns = [np.rint(notes["start"] * scale), np.rint(notes["end"] * scale), notes["pitch"]]
    return sorted(np.array(columns, np.int64).T.tolist())


@st.composite
def written_scores(draw: st.DrawFn) -> Score:
    """Notes of up to three instruments anywhere on a grid of 4, 12, 16 or 24 steps a quarter, over changing meters."""
    quarter = draw(st.sampled_from([4, 12, 16, 24]))
    step = draw(st.sampled_from([1, quarter // 4, quarter // 2]))
    programs = np.array(draw(st.lists(st.integers(0, 127), min_size=1, max_size=3)))
    note = st.tuples(
        st.integers(0, 20 * quarter // step),
        st.integers(1, 6 * quarter // step),
        st.integers(21, 108),
        st.integers(0, len(programs) - 1),
    )
    start, length, pitch, track = np.array(draw(st.lists(note, min_size=1, max_size=20))).T
    notes = make_notes(start * step, (start + length) * step, pitch, 80, programs[track], track)
    meters = [(0, *draw(st.sampled_from(METERS)))]
    pickup = draw(st.just(0) | st.integers(0, (bar_ticks(*meters[0][1:], quarter) - 1) // step)) * step
    if draw(st.booleans()):
        meters.append((draw(st.integers(6, 12)) * quarter, *draw(st.sampled_from(METERS))))
    return Score(
        cut_overlaps(notes, by_track=True),
        quarter,
        np.array([(0, draw(st.integers(300_000, 1_200_000)))], TEMPO),
        np.array(meters, METER),
        first_bar=pickup,
    )


@settings(max_examples=40, deadline=None)
@given(written_scores())
def test_what_is_written_is_read_back(score: Score) -> None:
    back = read_back(score, exact=True)
    assert sounding(back) == sounding(score)
    last = int(back.notes["start"].max())
    if last >= 480 * score.first_bar // score.ticks_per_quarter and score.first_bar:
        assert back.first_bar == 480 * score.first_bar // score.ticks_per_quarter
    lines = score.bar_starts(until=int(score.notes["start"].max()) + 1) * 480 // score.ticks_per_quarter
    assert back.bar_starts(until=last + 1).tolist() == lines.tolist()


def chorale(name: str) -> Score:
    from music21 import corpus

    return read_chorale(Path(str(corpus.getWork(name))))[0]


@pytest.mark.parametrize("name", ["bach/bwv66.6", "bach/bwv269"])
def test_a_chorale_comes_back_whole_and_with_its_names(name: str) -> None:
    from music21 import converter, corpus

    score = chorale(name)
    back = read_back(score)
    assert sounding(back) == sounding(score)
    assert back.notes["track"].tolist() == score.notes["track"].tolist()
    assert (back.first_bar, back.meters.tolist()) == (score.first_bar, score.meters.tolist())
    assert back.tempos["microseconds"].tolist() == pytest.approx(score.tempos["microseconds"].tolist(), rel=0.01)
    written: Any = converter.parseData(to_musicxml(score).decode(), format="musicxml")
    original: Any = corpus.parse(name)
    for ours, theirs in zip(written.parts, original.parts, strict=True):
        spelled = [[str(note.pitch) for note in part.stripTies().flatten().notes] for part in (ours, theirs)]
        assert spelled[0] == spelled[1]
    assert [part.partName for part in written.parts] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert written.parts[0].measure(0).duration.quarterLength == 1


def test_a_pickup_is_a_bar_that_is_not_counted() -> None:
    score = Score(make_notes([0, 480, 1920], [480, 1920, 3360], [67, 72, 74]), first_bar=480)
    measures = xml(score.replace(meters=np.array([(0, 3, 4)], METER))).findall(".//measure")
    assert [(m.get("number"), m.get("implicit")) for m in measures[:2]] == [("0", "yes"), ("1", "no")]
    assert len(measures[0].findall("note")) == 1 and not measures[0].findall(".//rest")


def accidentals(score: Score, key: Key) -> list[str]:
    return [note.findtext("accidental") or "" for note in xml(score, key=key).iter("note")]


def test_accidentals_are_written_where_key_and_bar_do_not_imply_them() -> None:
    pitches = [68, 69, 64, 67, 68, 72, 71, 80]
    start = np.arange(8) * 480
    score = Score(make_notes(start, start + 480, pitches))
    minor = Key(0, "A minor")
    assert accidentals(score, minor) == ["sharp", "", "", "natural", "sharp", "", "", "sharp"]
    assert accidentals(score, Key(3, "A major")) == ["", "", "", "natural", "", "natural", "", ""]
    tied = Score(make_notes([1440, 2400], [2400, 2880], [68, 68]))
    assert accidentals(tied, minor) == ["", "", "sharp", "", "sharp", ""]  # a tie ends at the bar line


def test_a_pianist_has_two_hands_on_two_staves() -> None:
    start = np.arange(16) * 240
    right = make_notes(start, start + 240, 72 + np.arange(16) % 5)
    left = make_notes(start[::4], start[::4] + 960, [48, 43, 45, 40])
    root = xml(Score(np.sort(np.concatenate([right, left]), order=["start", "pitch"])))
    assert len(root.findall("part")) == 1
    assert [clef.findtext("sign") for clef in root.iter("clef")] == ["G", "F"]
    on_staff = {(int(note.findtext("pitch/octave") or 0) >= 5, note.findtext("staff")) for note in root.iter("note")}
    assert on_staff == {(True, "1"), (False, "2")}


@pytest.mark.parametrize(
    ("program", "pitch", "clef"),
    [
        (40, 76, "G2"),
        (42, 45, "F4"),
        (41, 60, "C3"),
        (24, 57, "G2-1"),
        (33, 38, "F4-1"),
        (52, 50, "F4"),
        (52, 57, "G2-1"),
    ],
)
def test_clefs_fit_the_instrument(program: int, pitch: int, clef: str) -> None:
    root = xml(Score(make_notes([0, 480], [480, 960], [pitch - 2, pitch + 2], 80, program)))
    found = root.find(".//clef")
    assert found is not None
    assert "".join(found.findtext(tag) or "" for tag in ("sign", "line", "clef-octave-change")) == clef


def test_drums_stand_on_a_percussion_clef_and_say_what_is_struck() -> None:
    start = np.array([0, 0, 240, 480, 480, 720])
    root = xml(Score(make_notes(start, start + 10, [36, 42, 42, 38, 42, 42], 80, DRUMS)))
    assert root.findtext(".//clef/sign") == "percussion"
    keys = {m.get("id"): int(m.findtext("midi-unpitched") or 0) - 1 for m in root.iter("midi-instrument")}
    struck = [keys[i.get("id")] for note in root.iter("note") if (i := note.find("instrument")) is not None]
    assert sorted(struck) == [36, 38, 42, 42, 42, 42]
    assert [note.findtext("type") for note in root.iter("note") if note.find("unpitched") is not None] == ["eighth"] * 6


def test_voices_triplets_and_ties() -> None:
    held = make_notes([0], [2880], [60], 80, 40)
    triplet = make_notes([0, 160, 320], [160, 320, 480], [72, 74, 76], 80, 40)
    root = xml(Score(np.sort(np.concatenate([held, triplet]), order=["start", "pitch"])))
    assert {note.findtext("voice") for note in root.iter("note")} >= {"1", "2"}
    assert len(root.findall(".//time-modification")) == 3
    assert [tie.get("type") for tie in root.iter("tied")] == ["start", "stop"]
    assert [beam.text for beam in root.iter("beam")] == ["begin", "continue", "end"]


def test_tempo_marks_count_the_beats() -> None:
    tempos = np.array([(0, 500_000), (2880, 400_000)], TEMPO)
    notes = make_notes([0, 1440, 2880], [1440, 2880, 5760], [60, 62, 64])
    root = xml(Score(notes, 480, tempos, np.array([(0, 6, 8)], METER)))
    assert [mark.text for mark in root.iter("per-minute")] == ["80", "100"]
    assert [sound.get("tempo") for sound in root.iter("sound")] == ["120", "150"]
    assert len(root.findall(".//beat-unit-dot")) == 2


def test_what_was_played_becomes_readable() -> None:
    random = np.random.default_rng(3)
    start = np.arange(64) * 25 + random.integers(-3, 4, 64) + 25
    score = Score(make_notes(start, start + random.integers(15, 40, 64), 60 + random.integers(0, 12, 64)), 50)
    back = read_back(score)
    assert len(back) == 64
    assert not (back.notes["start"] % 120).any()
    kinds = {note.findtext("type") for note in xml(score).iter("note")}
    assert kinds <= {"16th", "eighth", "quarter", "half", None}
    assert len({note.findtext("voice") for note in xml(score).iter("note")}) <= 2


def test_the_same_score_gives_the_same_bytes() -> None:
    score = chorale("bach/bwv66.6")
    assert to_musicxml(score, title="A & B") == to_musicxml(score, title="A & B")
    assert b"A &amp; B" in to_musicxml(score, title="A & B")
    assert key_of(score.notes).name == "F# minor"


def test_no_notes_and_too_many_bars() -> None:
    assert len(xml(Score(make_notes([], [], []))).findall(".//measure")) == 1
    long = Score(make_notes([0], [480 * 60_000], [60]))
    with pytest.raises(UserError, match="15,000 bars, and at most 10,000"):
        to_musicxml(long)
