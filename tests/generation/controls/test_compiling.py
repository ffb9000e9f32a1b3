"""What is impossible is said before anything is written, and what a plan does to a finished score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.generation.controls import read_controls
from musiclstm.score import DRUMS, METER, PEDAL, Score, make_notes
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.frames import Frames
from musiclstm.tokenizers.performance import Performance
from musiclstm.tokenizers.remi import Remi
from musiclstm.tokenizers.voices import Voices

MELODY = Voices(num_voices=1)
VOICES, FRAMES, PERFORMANCE, REMI = Voices(num_voices=2), Frames(), Performance(), Remi()
TUNE = Score(make_notes([0, 480, 960], [480, 960, 1920], [60, 62, 66]))


def plan(tokenizer: Tokenizer, met: np.ndarray | None = None, **settings: Any) -> Any:
    return read_controls(**settings).plan(tokenizer, np.ones(len(tokenizer.vocabulary), bool) if met is None else met)


@pytest.mark.parametrize(
    ("tokenizer", "settings", "message"),
    [
        (
            VOICES,
            {"key": "C major", "pitch_range": "61-61"},
            "key=C major and pitch_range=61-61 have no note in common",
        ),
        (REMI, {"key": "C major", "chords": "C F# G"}, "key=C major and the chord F# have no note in common"),
        (REMI, {"key": "C major pentatonic", "chords": "F#m"}, None),
        (FRAMES, {"key": "C whole tone", "chords": "F", "pitch_range": "61-66"}, "C whole tone and .* the chord F"),
        (REMI, {"velocity": "1-1"}, "velocity=1-1 has none"),
        (PERFORMANCE, {"velocity": "63-65"}, "velocity=63-65 has none of the model's velocities: 62 and 66"),
        (PERFORMANCE, {"tempo": 100}, "tempo= needs a model that keeps beats"),
        (PERFORMANCE, {"meter": "3/4"}, "meter= needs a model that keeps beats"),
        (PERFORMANCE, {"instruments": "drums"}, "no drums"),
        (VOICES, {"instruments": "drums"}, "plays no drums"),
        (VOICES, {"meter": "7/32"}, "meter=7/32 does not fit the model's grid: give one of .*3/4"),
        (VOICES, {"rhythm": "xxxxxxx", "meter": "4/4"}, "rhythm=xxxxxxx and meter=4/4: .* grid"),
        (PERFORMANCE, {"rhythm": "xxxxxxx"}, "rhythm=xxxxxxx: .* grid"),
        (REMI, {"rhythm": "xxxx", "density": "1-2"}, "density=1-2 and rhythm=xxxx: the rhythm has 4"),
        (VOICES, {"rhythm": "x.", "density": "4-5"}, "density=4-5 and rhythm=x.: no bar has room"),
        (REMI, {"polyphony": 1, "density": "90-99", "meter": "2/4", "instruments": "piano"}, "no bar has room"),
        (FRAMES, {"voice": 1, "notes": TUNE}, "voice=1 needs a model with tokenizer=voices"),
        (VOICES, {"voice": 3, "notes": TUNE}, "voice=3, and the model has 2 voices"),
        (VOICES, {"notes": TUNE, "key": "C major"}, r"F#4 in bar 1 does not keep to the key.*key=C major"),
        (REMI, {"notes": TUNE, "instruments": "violin"}, "Acoustic Grand Piano"),
        (FRAMES, {"notes": TUNE, "rhythm": "x.x."}, "D4 in bar 1 does not keep to the rhythm"),
        (FRAMES, {"notes": TUNE, "density": "1-2"}, "does not keep to the density"),
        (FRAMES, {"notes": Score(make_notes([0, 4800], [480, 5400], [60, 62])), "bars": 2}, "beyond the last bar"),
        (REMI, {"key": "C", "chords": "C G", "bars": 4, "ending": "tonic"}, "ending=tonic asks for C at the end"),
        (REMI, {"key": "C", "bars": 4, "ending": "tonic", "instruments": "drums"}, "only drums"),
        (REMI, {"key": "C", "chords": "C G", "bars": 4, "ending": "tonic", "rhythm": "x.x....x", "meter": "4/4"}, None),
        (FRAMES, {"pitch_range": "60-60", "rhythm": "xx..xx..xx..xx..", "meter": "4/4"}, "of a single pitch; allow"),
        (FRAMES, {"pitch_range": "60-60", "rhythm": "x.x.x.x.x.x.x.x.", "meter": "4/4"}, None),
        (VOICES, {"pitch_range": "60-60", "rhythm": "xx..xx..xx..xx..", "meter": "4/4"}, None),
        (MELODY, {"pitch_range": "60-60", "rhythm": "xxxx", "no_repeat": 1, "bars": 3}, "no more than 1 bars differ"),
        (MELODY, {"pitch_range": "60-60", "rhythm": "xxxx", "no_repeat": 1}, None),
        (MELODY, {"pitch_range": "60-61", "rhythm": "xxxx", "no_repeat": 9, "bars": 12}, None),
        (
            MELODY,
            {"pitch_range": "60-61", "rhythm": "xxxx", "no_repeat": 16, "bars": 18},
            "no more than 16 bars differ",
        ),
        (VOICES, {"pitch_range": "60-60", "rhythm": "x..", "no_repeat": 3, "bars": 5}, "no more than 3 bars differ"),
        (REMI, {"pitch_range": "60-60", "rhythm": "x..", "no_repeat": 2, "bars": 4}, None),  # for it has drums
        (
            REMI,
            {"pitch_range": "60-60", "instruments": "flute, oboe", "rhythm": "x..", "no_repeat": 2, "bars": 4},
            "no more than 1 bars differ",
        ),
        (FRAMES, {"pitch_range": "60-62", "rhythm": "x...", "density": "3-3"}, None),
    ],
)
def test_impossible_settings(tokenizer: Tokenizer, settings: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert plan(tokenizer, **settings)
        return
    with pytest.raises(UserError, match=message) as raised:
        plan(tokenizer, **settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("tokenizer", "notes", "message"),
    [
        (FRAMES, [(0, 480, 60), (480, 960, 60)], "C4 in bar 1 touches or overlaps another of its pitch"),
        (VOICES, [(0, 480, 60), (480, 960, 60)], None),
        (REMI, [(0, 480, 60), (240, 960, 60)], "C4 in bar 1 touches or overlaps"),
        (REMI, [(0, 480, 60), (0, 480, 60)], "C4 in bar 1 touches or overlaps"),
        (REMI, [(0, 480, 60), (1925, 2880, 61)], "C#4 in bar 2 does not begin and end on the model's steps"),
        (FRAMES, [(0, 490, 60)], "C4 in bar 1 does not begin and end"),
        (VOICES, [(0, 490, 60)], "C4 in bar 1 does not begin and end"),
        (REMI, [(0, 480 * 300, 60)], "C4 in bar 1 has a length that the model does not know"),
        (PERFORMANCE, [(0, 485, 60), (490, 960, 62)], None),  # 2 ms from the nearest steps
        (PERFORMANCE, [(0, 480, 60), (960, 961, 61)], "C#4 in bar 1 is shorter than the model's step"),
        (PERFORMANCE, [(0, 480, 60), (470, 961, 60)], "C4 in bar 1 touches or overlaps"),
    ],
)
def test_given_notes_that_a_model_cannot_say(
    tokenizer: Tokenizer, notes: list[tuple[int, int, int]], message: str | None
) -> None:
    start, end, pitch = zip(*notes, strict=True)
    given = Score(make_notes(start, end, pitch))
    if message is None:
        assert plan(tokenizer, notes=given).bars == 1
        return
    with pytest.raises(UserError, match=rf"notes=\(a score\): {message}.* cannot say exactly"):
        plan(tokenizer, notes=given)


def test_given_notes_end_where_they_end_and_not_where_a_pedal_does() -> None:
    held = Score(make_notes([0], [480], [60]), pedals=np.array([(0, 1900, 0)], PEDAL))
    assert plan(PERFORMANCE, notes=held).fixed.end.tolist() == [50]


def test_only_what_the_model_met_may_be_asked_for() -> None:
    met = np.ones(len(REMI.vocabulary), bool)
    for token in ("Program_40", "TimeSignature_7/8", *(f"Pitch_{pitch}" for pitch in range(60, 127))):
        met[REMI.vocabulary[token]] = False
    with pytest.raises(
        UserError, match="instruments: Violin never occurred in the model's training: it knows Acoustic"
    ):
        plan(REMI, met, instruments="violin")
    with pytest.raises(UserError, match=r"meter=7/8 never occurred .* 3/4"):
        plan(REMI, met, meter="7/8")
    with pytest.raises(UserError, match="pitch_range=60-72: the model met none of these notes"):
        plan(REMI, met, pitch_range="C4-C5")
    assert plan(REMI, met, instruments="piano", meter="3/4", pitch_range="C3-C5")


def test_miditok_takes_what_is_given_to_a_finished_score() -> None:
    class Other(Remi):
        name = "miditok"

    other = Other()
    with pytest.raises(UserError, match=r"key= needs a model with a tokenizer of voices, .* and this one has miditok"):
        plan(other, key="C major", tempo=100)
    finished = plan(other, tempo=90, velocity="10-20").finish(TUNE)
    assert finished.tempos["microseconds"].tolist() == [round(60e6 / 90)]
    assert set(finished.notes["velocity"]) == {20}


def test_nothing_asked_for_is_no_plan() -> None:
    assert plan(REMI) is None


def test_tempos_are_exact_from_bar_lines_on() -> None:
    score = Score(make_notes(np.arange(20) * 480, np.arange(20) * 480 + 480, [60] * 20), first_bar=960)
    wanted = {"1-2": 90.5, "4-": 60}
    tempos = plan(REMI, tempo=wanted).finish(score).tempos
    bar = 4 * 480
    assert tempos["tick"].tolist() == [0, 960 + 2 * bar, 960 + 3 * bar]
    assert tempos["microseconds"].tolist() == [round(60e6 / 90.5), 500_000, 1_000_000]
    waltz = score.replace(first_bar=0, meters=np.array([(0, 3, 4)], METER))
    assert plan(REMI, tempo={"3-": 60}).finish(waltz).tempos["tick"].tolist() == [0, 2 * 3 * 480]


def test_velocities_are_moved_into_the_range_of_the_bar() -> None:
    score = Score(make_notes(np.arange(4) * 1920, np.arange(4) * 1920 + 480, [60] * 4, [10, 80, 80, 127]))
    finished = plan(VOICES, velocity={"1": "20-30", "3-": "90-100"}).finish(score)
    assert finished.notes["velocity"].tolist() == [20, 80, 90, 100]


def test_instruments_are_one_a_voice_and_the_first_where_there_are_no_voices() -> None:
    notes = make_notes([0, 0, 0, 1920], [480] * 3 + [2400], [60, 64, 67, 60], 80, 5, [0, 1, 2, 0])
    given = plan(Voices(num_voices=3), instruments="violin, cello").finish(Score(notes)).notes
    assert sorted(given["program"][given["start"] == 0].tolist()) == [40, 42, 42]
    for tokenizer in (FRAMES, PERFORMANCE):
        given = plan(tokenizer, instruments={"1": "violin, cello", "2": "flute"}).finish(Score(notes)).notes
        assert given["program"].tolist() == [40, 40, 40, 73]
    kept = plan(REMI, instruments="violin, drums").finish(Score(notes)).notes
    assert set(kept["program"]) == {5}
    assert DRUMS not in kept["program"]


def test_a_plan_tells_its_end_and_what_is_at_work() -> None:
    made = plan(REMI, bars=4, key={"1-2": "C", "3-": "G"})
    assert made.bars == 4
    assert made.at_work(0) == "key=C, bars=4"
    assert made.at_work(3) == "key=G, bars=4"
    assert plan(REMI, key="C").bars is None
    assert plan(REMI, notes=TUNE).bars == 1


def test_density_steers_softly() -> None:
    made = plan(REMI, density="4-8")
    g, p = REMI.grammar().start(2), made.start(2)
    bias = made.bias(g, p)
    assert bias.shape == (2, len(REMI.vocabulary))
    assert bias.dtype == np.float32
    assert plan(REMI, key="C").bias(g, plan(REMI, key="C").start(2)) is None


def test_meters_hold_in_bars_in_which_notes_only_sound_on() -> None:
    held = Score(make_notes([0], [6 * 960], [60]), meters=np.array([(0, 2, 4)], METER))
    finished = plan(REMI, meter={"1-2": "2/4", "3-": "3/4"}).finish(held)
    assert finished.meters.tolist() == [(0, 2, 4), (2 * 960, 3, 4)]
    short = Score(make_notes([0], [960], [60]), meters=np.array([(0, 2, 4)], METER))
    assert plan(REMI, meter={"1-2": "2/4", "3-": "3/4"}).finish(short).meters.tolist() == [(0, 2, 4)]
