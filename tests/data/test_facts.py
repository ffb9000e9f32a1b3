from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.data.facts import FACTS, facts, facts_of, unpack_programs
from musiclstm.data.keys import KEY_NAMES, NO_KEY, find_key
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes
from tests.strategies import scores

CADENCES = {
    "major": ([0, 4, 7], [5, 9, 12], [7, 11, 14], [0, 4, 7]),
    "minor": ([0, 3, 7], [5, 8, 12], [7, 11, 14], [0, 3, 7]),
}


def cadence(tonic: int, mode: str) -> Score:
    rows = [(beat, tonic + pitch) for beat, chord in enumerate(CADENCES[mode]) for pitch in chord]
    start, pitch = np.array(rows).T
    return Score(make_notes(start * 480, start * 480 + 480, pitch))


@settings(deadline=None)
@given(st.lists(scores(), max_size=4))
def test_facts_of_several_scores_are_those_of_each(pieces: list[Score]) -> None:
    rows = facts_of(pieces)
    assert rows.shape == (len(pieces),)
    assert all(row == facts(piece) for row, piece in zip(rows, pieces, strict=True))


def test_a_score_without_notes_has_no_facts() -> None:
    with pytest.raises(ValueError, match="without notes"):
        facts_of([cadence(60, "major"), Score(make_notes([], [], 60)), cadence(60, "minor")])


@settings(deadline=None)
@given(scores())
def test_facts_are_those_of_the_notes(score: Score) -> None:
    row, notes = facts(score), score.notes
    assert row.shape == ()
    assert row.dtype == FACTS
    assert row["notes"] == len(notes)
    last = max(score.end, int(notes["start"].max()) + 1)  # a note lasts a tick at least
    assert row["seconds"] == pytest.approx(float(score.seconds(last)), rel=1e-5)
    assert row["tracks"] == len(set(notes["track"].tolist()))
    assert row["drums"] == pytest.approx((notes["program"] == DRUMS).mean())
    assert set(np.flatnonzero(unpack_programs(row["programs"])).tolist()) == set(notes["program"].tolist())
    pitched = notes[notes["program"] != DRUMS]
    pitches = pitched["pitch"].tolist() or [0]
    assert (row["lowest"], row["highest"]) == (min(pitches), max(pitches))
    end = np.maximum(pitched["end"], pitched["start"] + 1)
    sounding = [int(((pitched["start"] <= tick) & (end > tick)).sum()) for tick in pitched["start"]]
    assert row["polyphony"] == max(sounding, default=0)
    # float32 keeps seven digits
    assert row["bpm_lowest"] * (1 - 1e-5) <= row["bpm"] <= row["bpm_highest"] * (1 + 1e-5)
    assert row["numerator"] in score.meters["numerator"]


def test_notes_sound_at_once_however_many_begin_meanwhile() -> None:
    start = np.arange(60)
    few, many = start + 3, np.where(start % 4 == 0, 100 - start, start + 1)
    pieces = [Score(make_notes(start, end, 60)) for end in (few, many, few)]
    assert facts_of(pieces)["polyphony"].tolist() == [3, 14, 3]
    far = Score(make_notes(start + 2**30, many + 2**30, 60))
    assert facts_of([far, *pieces, far])["polyphony"].tolist() == [14, 3, 14, 3, 14]


def test_a_row_is_small() -> None:
    assert FACTS.itemsize <= 320


def test_tempo_is_the_mean_over_time() -> None:
    notes = make_notes([0, 480 * 4], [480 * 4, 480 * 8], 60)
    row = facts(Score(notes, 480, tempos=np.array([(0, 500_000), (480 * 4, 1_000_000), (480 * 90, 1)], TEMPO)))
    assert row[["bpm", "bpm_lowest", "bpm_highest", "tempos"]].item() == (80, 60, 120, 2)
    assert row["seconds"] == 6


def test_the_meter_is_the_one_that_lasts_longest() -> None:
    meters = np.array([(0, 3, 4), (480 * 3, 4, 4), (480 * 7, 3, 4), (480 * 10, 6, 8), (480 * 90, 5, 4)], METER)
    row = facts(Score(make_notes([0], [480 * 12], 60), 480, meters=meters))
    assert row[["numerator", "denominator", "meters"]].item() == (3, 4, 4)


@pytest.mark.parametrize("mode", list(CADENCES))
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_cadence(tonic: int, mode: str) -> None:
    key = int(facts(cadence(48 + tonic, mode))["key"])
    assert key == tonic + 12 * (mode == "minor")
    assert KEY_NAMES[key].endswith(mode)


def test_no_key() -> None:
    assert find_key(np.zeros(12)) == find_key(np.ones(12)) == NO_KEY
    assert find_key(np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0])) == NO_KEY
    drums = facts(Score(make_notes([0, 1], [1, 2], [36, 38], program=DRUMS)))
    assert drums[["highest", "polyphony", "drums", "key"]].item() == (0, 0, 1, NO_KEY)


def test_the_keys_of_chorales_by_their_last_bass_note() -> None:
    from music21 import corpus

    from musiclstm.notation import read_scores

    known = {"bwv66.6": "F# minor", "bwv269": "G major", "bwv281": "F major", "bwv253": "A major"}
    found = {name: facts(read_scores(str(corpus.getWork(f"bach/{name}.mxl")))[0])["key"] for name in known}
    assert {name: KEY_NAMES[key] for name, key in found.items()} == known
