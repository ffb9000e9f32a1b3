from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.evaluation import metrics
from musiclstm.evaluation.metrics import METRICS, measure
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes, sort_notes
from tests.strategies import scores

QUARTER = 480
BAR = 4 * QUARTER


def melody(*pitches: int, step: int = QUARTER) -> Score:
    """One note after another."""
    starts = np.arange(len(pitches)) * step
    return Score(make_notes(starts, starts + step, np.array(pitches)))


def rhythm(*onsets: float, length: float = 0.25, program: int = 0) -> Score:
    """Notes at so many quarters from the beginning."""
    starts = np.array(onsets) * QUARTER
    return Score(make_notes(starts, starts + length * QUARTER, np.full(len(onsets), 60), 80, program))


EMPTY = Score(make_notes(np.zeros(0), np.zeros(0), np.zeros(0)))


def test_pitch_class_entropy() -> None:
    assert metrics.pitch_class_entropy(melody(60, 72, 48)) == 0
    assert math.copysign(1, metrics.pitch_class_entropy(melody(60))) == 1  # and not -0
    assert metrics.pitch_class_entropy(melody(60, 61, 74, 51)) == 2
    assert metrics.pitch_class_entropy(melody(*range(60, 72))) == pytest.approx(math.log2(12))
    two_thirds = -(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3)
    assert metrics.pitch_class_entropy(melody(60, 72, 61)) == pytest.approx(two_thirds)


def test_pitch_class_entropy_in_windows_of_bars() -> None:
    piece = melody(60, 60, 60, 60, 60, 62, 60, 62, 60, 61, 62, 63)  # entropies 0, 1 and 2
    assert metrics.pitch_class_entropy(piece, bars=1) == 1
    first = -(3 / 4) * math.log2(3 / 4) - (1 / 4) * math.log2(1 / 4)
    second = -(3 / 8) * math.log2(3 / 8) * 2 - (1 / 8) * math.log2(1 / 8) * 2  # 3 C, 1 Db, 3 D, 1 Eb
    assert metrics.pitch_class_entropy(piece, bars=2) == pytest.approx((first + second) / 2)
    assert metrics.pitch_class_entropy(piece, bars=3) == metrics.pitch_class_entropy(piece)
    assert math.isnan(metrics.pitch_class_entropy(piece, bars=4))
    rest = rhythm(0, 8)  # a bar of rest between two is left out and not 0
    assert metrics.pitch_class_entropy(rest, bars=1) == 0
    notes = np.concatenate([piece.notes, piece.notes[-4:]])
    notes["start"][-4:] += 2 * BAR
    notes["end"][-4:] += 2 * BAR
    assert metrics.pitch_class_entropy(Score(notes), bars=1) == (0 + 1 + 2 + 2) / 4


def test_scale_consistency() -> None:
    assert metrics.scale_consistency(melody(60, 62, 64, 65, 67, 69, 71)) == 1
    assert metrics.scale_consistency(melody(57, 59, 60, 62, 64, 65, 67)) == 1  # A minor
    assert metrics.scale_consistency(melody(57, 59, 60, 62, 64, 65, 68)) == 6 / 7
    assert metrics.scale_consistency(melody(*range(60, 72))) == 7 / 12


def test_groove_consistency() -> None:
    assert metrics.groove_consistency(rhythm(0, 1, 2, 3, 4, 5, 6, 7)) == 1
    assert metrics.groove_consistency(rhythm(0, 1, 2, 3, 4, 5, 6.5, 7)) == 1 - 2 / 64
    assert metrics.groove_consistency(rhythm(0, 1, 4, 8)) == (1 - 1 / 64 + 1) / 2
    assert metrics.groove_consistency(rhythm(0, 1.01, 3.99, 5)) == 1  # rounds to the nearest 64th, over bar lines too
    assert metrics.groove_consistency(rhythm(0, 1, 4, 5, program=DRUMS)) == 1
    waltz = rhythm(0, 1, 3, 4.5).replace(meters=np.array([(0, 3, 4)], METER))
    assert metrics.groove_consistency(waltz) == 1 - 2 / 48
    pickup = rhythm(0, 1, 2, 5, 6).replace(first_bar=QUARTER)
    assert metrics.groove_consistency(pickup) == 1  # the pickup is no bar to compare
    change = rhythm(0, 1, 4, 6.5, 7, 9).replace(meters=np.array([(0, 4, 4), (BAR, 3, 4)], METER))
    assert metrics.groove_consistency(change) == 1 - 2 / 48  # bars of different meters are not compared
    assert math.isnan(metrics.groove_consistency(rhythm(0, 1, 2)))


def test_polyphony() -> None:
    starts, ends = np.array([0, 2, 2, 6]) * QUARTER, np.array([4, 3, 3, 7]) * QUARTER
    piece = Score(make_notes(starts, ends, np.array([60, 64, 67, 60])))
    # 3 quarters of one pitch, 1 of three, 2 of silence, 1 of one
    assert metrics.polyphony(piece) == (3 + 3 + 1) / 5
    assert metrics.polyphony_rate(piece) == 1 / 7
    assert metrics.polyphony(melody(60, 60, 62)) == 1 and metrics.polyphony_rate(melody(60, 60, 62)) == 0
    unison = np.concatenate([piece.notes, piece.notes])
    assert metrics.polyphony(Score(sort_notes(unison))) == metrics.polyphony(piece)


def test_empty_beats() -> None:
    assert metrics.empty_beat_rate(rhythm(0, 1, 3.5)) == 1 / 4
    assert metrics.empty_beat_rate(rhythm(0, 3, length=2)) == 1 / 5
    assert metrics.empty_beat_rate(rhythm(0, 3, length=3)) == 0
    assert metrics.empty_beat_rate(rhythm(9, 11)) == 1 / 3  # silence before the piece is none of it
    assert metrics.empty_beat_rate(rhythm(0, 2, length=0)) == 1 / 3
    eighth = rhythm(0, 1.5).replace(first_bar=QUARTER // 2)
    assert metrics.empty_beat_rate(eighth) == 1 / 3  # beats count from the first bar line
    assert metrics.empty_beat_rate(rhythm(0, 1, 3, program=DRUMS)) == 1 / 4


def test_range_and_density() -> None:
    assert metrics.pitch_range(melody(60, 72, 55)) == 17
    assert metrics.pitch_range(melody(60)) == 0
    piece = rhythm(4, 5, 6, 7, length=1)
    assert metrics.notes_per_beat(piece) == 1
    assert metrics.notes_per_second(piece) == 2
    slower = piece.replace(tempos=np.array([(0, 500_000), (6 * QUARTER, 2_000_000)], TEMPO))
    assert metrics.notes_per_second(slower) == pytest.approx(4 / 5)
    assert metrics.notes_per_beat(slower) == 1


def test_what_there_is_nothing_to_measure_on_is_undefined() -> None:
    assert set(measure(EMPTY)) == set(METRICS)
    assert all(math.isnan(value) for value in measure(EMPTY).values())
    drums = measure(rhythm(*range(64), program=DRUMS))
    undefined = {name for name, value in drums.items() if math.isnan(value)}
    entropies = {"pitch_class_entropy", "pitch_class_entropy_1_bar", "pitch_class_entropy_4_bars"}
    assert undefined == entropies | {"scale_consistency", "polyphony", "polyphony_rate", "pitch_range"}
    single = measure(rhythm(0))
    assert math.isnan(single["groove_consistency"]) and math.isnan(single["structureness_short"])
    assert single["notes_per_beat"] == 4
    assert math.isnan(measure(rhythm(0, length=0))["notes_per_second"])  # in no time


SHARES = ("scale_consistency", "groove_consistency", "polyphony_rate", "empty_beat_rate")


@settings(max_examples=40, deadline=None)
@given(scores(latest=50))
def test_of_any_score_each_is_undefined_or_in_its_bounds(score: Score) -> None:
    found = measure(score)
    for name, value in found.items():
        least, most = 0.0, math.inf
        if name in SHARES or name.startswith("structureness"):
            most = 1.0
        elif name.startswith("pitch_class"):
            most = math.log2(12) + 1e-9
        elif name == "polyphony":
            least = 1.0
        assert math.isnan(value) or least <= value <= most, name
    assert not math.isnan(found["empty_beat_rate"])


@settings(max_examples=40, deadline=None)
@given(scores(drums=False, latest=50), st.integers(-127, 127))
def test_a_transposition_changes_none(score: Score, semitones: int) -> None:
    pitches = score.notes["pitch"].astype(int)
    semitones = int(np.clip(semitones, -pitches.min(), 127 - pitches.max()))
    notes = score.notes.copy()
    notes["pitch"] = pitches + semitones
    assert measure(score.replace(notes=notes)) == pytest.approx(measure(score), nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(scores(latest=50), st.sampled_from([2, 3, 7]))
def test_the_tempo_and_the_resolution_change_nothing_that_is_counted_in_beats(score: Score, times: int) -> None:
    tempos = score.tempos.copy()
    tempos["microseconds"] = np.minimum(tempos["microseconds"], 2_000_000) * times
    timed = {"notes_per_second", "structureness_short", "structureness_middle", "structureness_long"}

    def in_beats(score: Score) -> dict[str, float]:
        return {name: value for name, value in measure(score).items() if name not in timed}

    before = in_beats(score)
    assert in_beats(score.replace(tempos=tempos)) == pytest.approx(before, nan_ok=True)
    if 1 < score.ticks_per_quarter * times < 32768:
        notes, meters = score.notes.copy(), score.meters.copy()
        for column in ("start", "end"):
            notes[column] *= times
        meters["tick"] *= times
        finer = Score(notes, score.ticks_per_quarter * times, tempos, meters, first_bar=score.first_bar * times)
        whole = all(score.ticks_per_quarter * 4 * int(m["numerator"]) % int(m["denominator"]) == 0 for m in meters)
        if whole:  # else a bar is rounded to ticks
            assert in_beats(finer) == pytest.approx(before, nan_ok=True)
