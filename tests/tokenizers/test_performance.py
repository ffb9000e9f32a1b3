"""Performances: what is said, in which order, and that nothing is lost but what `quantise` leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, PEDAL, TEMPO, Score, make_notes
from musiclstm.tokenizers.performance import Performance
from musiclstm.tokenizers.performance_grammar import PerformanceState
from tests.strategies import scores
from tests.tokenizers.checks import (
    check_context,
    check_cuts,
    check_grammar,
    check_round_trip,
    check_states,
    check_walk,
    random_walks,
    spell,
)

KINDS = {"usual": Performance(), "dry": Performance(pedal=False, program=5), "drums": Performance(program=DRUMS)}
PLAIN = KINDS["usual"]


def read(text: str) -> np.ndarray:
    """The ids of tokens written with spaces between them."""
    return np.array([PLAIN.vocabulary[token] for token in text.split()], np.int32)


def after(text: str) -> PerformanceState:
    """The state of the grammar after tokens, each of which it has to allow."""
    grammar = PLAIN.grammar()
    state = grammar.start(1)
    for token in read(text)[1:].tolist():
        assert grammar.allowed(state)[0, token], PLAIN.vocabulary.tokens[token]
        state = grammar.advance(state, np.array([token]))
    return state


def allowed(state: PerformanceState) -> set[str]:
    return set(spell(PLAIN, PLAIN.grammar().allowed(state)[0].nonzero()[0]))


def check_reading(tokenizer: Performance, ids: np.ndarray, steps: np.ndarray) -> None:
    """Seconds and bars, after some tokens, are those of the score at the step of the last of them."""
    score = tokenizer.decode(ids)
    lines = score.bar_starts(int(steps[-1]) + 1)
    for length in {1, len(ids) // 2, len(ids)}:
        _, reading = tokenizer.context(ids[None, :length])
        assert reading.seconds[0] == pytest.approx(score.seconds(steps[length - 1]))
        assert reading.bars[0] == (lines <= steps[length - 1]).sum() - 1


def test_it_has_the_events_of_performance_rnn() -> None:
    assert len(PLAIN.vocabulary) == 3 + 388


@pytest.mark.parametrize(
    "favour", [{"NoteOff": 4000}, {"NoteOff": 4000, "NoteOn": 3, "TimeShift": 3}, {"NoteOff": 400, "TimeShift": 5}]
)
def test_walks(favour: dict[str, float]) -> None:
    walks = random_walks(PLAIN, seed=1, length=150, batch=6, favour=favour)
    for ids in walks:
        check_walk(PLAIN, ids)
        check_reading(PLAIN, *PLAIN.events(PLAIN.decode(ids)))
    check_context(PLAIN, walks)
    check_states(PLAIN, walks)


@settings(max_examples=60, deadline=None)
@given(score=scores())
def test_made_up_scores(score: Score) -> None:
    for tokenizer in KINDS.values():
        if tokenizer.admits(score) is None:
            ids = check_round_trip(tokenizer, score)
            check_reading(tokenizer, *tokenizer.events(score))
            check_cuts(tokenizer, ids, 3)


@settings(max_examples=10, deadline=None)
@given(first=scores(drums=False, latest=4), second=scores(drums=False, latest=0))
def test_grammar_takes_made_up_scores(first: Score, second: Score) -> None:
    check_grammar(PLAIN, [PLAIN.encode(score)[:400] for score in (first, second)])


@pytest.mark.parametrize("collection", ["maestro_v2", "groove", "pop909", "nottingham", "piano_midi_de"])
def test_real_files(collection: str, data_folder: Path) -> None:
    files = sorted(path for path in (data_folder / collection).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    tokenizer = KINDS["drums" if collection == "groove" else "usual"]
    sequences = []
    for path in files[:: len(files) // 3]:
        score = read_midi(path)
        assert tokenizer.admits(score) is None
        sequences.append(check_round_trip(tokenizer, score))
    check_grammar(tokenizer, [ids[:300] for ids in sequences])
    check_context(tokenizer, [ids[:3000] for ids in sequences])
    check_states(tokenizer, sequences)


def test_what_is_said() -> None:
    notes = make_notes(
        [0, 0, 96, 96, 96, 460], [96, 200, 96, 300, 200, 470], [64, 60, 64, 67, 40, 60], [80, 80, 80, 30, 99, 30],
        [0, 0, 0, 40, DRUMS, 0], [0, 0, 0, 1, 2, 0],
    )  # fmt: skip
    score = Score(notes, 96, np.array([(0, 500_000), (192, 1_000_000)], TEMPO))  # 96 ticks are 0.5 s, then 1 s
    assert " ".join(spell(PLAIN, PLAIN.encode(score))) == (
        "BOS Velocity_20 NoteOn_60 NoteOn_64 TimeShift_50 NoteOff_64 NoteOn_64 Velocity_8 NoteOn_67 "
        "TimeShift_1 NoteOff_64 TimeShift_57 NoteOff_60 TimeShift_100 TimeShift_5 NoteOff_67 "
        "TimeShift_100 TimeShift_66 NoteOn_60 TimeShift_11 NoteOff_60 EOS"
    )
    kept = PLAIN.quantise(score)
    assert set(kept.notes["program"].tolist()) == {0}
    assert kept.seconds(kept.notes["start"]).tolist() == pytest.approx([0, 0, 0.5, 0.5, 3.79])
    only_drums = KINDS["drums"].quantise(score).notes
    assert only_drums[["program", "pitch"]].tolist() == [(DRUMS, 40)]


def test_the_pedal_extends_notes() -> None:
    score = Score(make_notes([0, 480], [100, 500], [60, 62]), pedals=np.array([(50, 960, 0)], PEDAL))
    assert PLAIN.quantise(score).notes["end"].tolist() == [100, 100]
    assert KINDS["dry"].quantise(score).notes["end"].tolist() == [10, 52]


def test_order_at_one_time() -> None:
    state = after("BOS Velocity_9 NoteOn_60 NoteOn_64 NoteOn_67 TimeShift_100 NoteOff_64")
    assert {"NoteOff_67", "NoteOn_64", "NoteOn_0", "TimeShift_7", "Velocity_8"} <= allowed(state)
    assert not {"NoteOff_60", "NoteOff_64", "NoteOn_60", "NoteOn_67", "Velocity_9", "EOS"} & allowed(state)
    state = after("BOS Velocity_9 NoteOn_60 NoteOn_64 NoteOn_67 TimeShift_100 NoteOff_64 NoteOn_62")
    assert {"NoteOn_63", "NoteOn_64", "TimeShift_7", "Velocity_8"} <= allowed(state)
    assert not {"NoteOff_67", "NoteOn_61", "NoteOn_62"} & allowed(state)


def test_a_note_follows_a_velocity() -> None:
    assert {token.split("_")[0] for token in allowed(after("BOS"))} == {"Velocity", "TimeShift"}
    assert allowed(after("BOS Velocity_3 NoteOn_125 Velocity_4")) == {"NoteOn_126", "NoteOn_127"}
    assert not any(token.startswith("Velocity") for token in allowed(after("BOS Velocity_3 NoteOn_127")))


def test_time_is_said_in_one_way() -> None:
    text = "BOS Velocity_3 NoteOn_60 TimeShift_100"
    assert {"TimeShift_100", "TimeShift_1", "NoteOff_60"} <= allowed(after(text))
    assert not {"TimeShift_100", "TimeShift_1", "EOS"} & allowed(after(text + " TimeShift_1"))


def test_the_piece_ends_with_its_last_note() -> None:
    text = "BOS Velocity_3 NoteOn_60 TimeShift_5 NoteOff_60"
    assert "EOS" in allowed(after(text))
    assert "EOS" not in allowed(after(text + " TimeShift_5"))
    assert allowed(after(text + " EOS")) == {"PAD"}


def test_notes_cut_off_end_where_the_music_has_come_to() -> None:
    score = PLAIN.decode(read("BOS Velocity_3 NoteOn_60 TimeShift_30 NoteOn_64 TimeShift_20 NoteOff_64 NoteOn_70"))
    assert score.notes[["start", "end", "pitch"]].tolist() == [(0, 50, 60), (30, 50, 64), (50, 51, 70)]


@pytest.mark.parametrize("step", [1, 120, 121, 250, 270, 300, 480, 900])
def test_a_prompt_ends_at_its_step(step: int) -> None:
    score = Score(make_notes([0, 60, 120, 480], [100, 270, 250, 490], [60, 62, 64, 65]), 50)
    prompt = PLAIN.encode_prompt(score, step)
    _, reading = PLAIN.context(prompt[None])
    assert reading.seconds[0] == pytest.approx(step / 100)
    starts = PLAIN.decode(prompt).notes["start"]
    assert starts.tolist() == [start for start in (0, 60, 120, 480) if start < step]
    grammar = PLAIN.grammar()
    state = grammar.start(1)
    for token in prompt[1:].tolist():
        state = grammar.advance(state, np.array([token]))
    assert {"TimeShift_1", "TimeShift_100"} <= allowed(grammar.hold_back(state, step))


def by_name(features: np.ndarray) -> dict[str, list[int]]:
    """Of the features of one sequence, (1, T, F), each by its name."""
    return {name: features[0, :, i].tolist() for i, name in enumerate(PLAIN.context_sizes)}


def test_features() -> None:
    ids = read(
        "BOS Velocity_3 NoteOn_60 NoteOn_64 TimeShift_5 NoteOff_60 TimeShift_100 TimeShift_100 Velocity_9 NoteOn_1"
    )
    features, reading = PLAIN.context(ids[None])
    named = by_name(features)
    assert named["sounding"] == [0, 0, 1, 2, 2, 1, 1, 1, 1, 2]
    assert named["velocity"] == [0, 3, 3, 3, 3, 3, 3, 3, 9, 9]
    assert named["gap"] == [15, 15, 0, 0, 4, 4, 13, 15, 15, 0]
    assert (reading.seconds[0], reading.bars[0]) == (pytest.approx(2.05), 1)


def test_features_that_name_pitches() -> None:
    ids = read(
        "BOS Velocity_3 NoteOn_60 NoteOn_127 TimeShift_5 NoteOff_60 NoteOn_0 TimeShift_9 NoteOff_0 NoteOff_127 "
        "NoteOn_42 NoteOn_43 TimeShift_1 NoteOff_42 NoteOff_43 EOS"
    )
    named = by_name(PLAIN.context(ids[None])[0])
    assert named["struck_1"] == [0, 0, 61, 128, 128, 128, 1, 1, 1, 1, 43, 44, 44, 44, 44, 44]
    assert named["struck_2"] == [0, 0, 0, 61, 61, 61, 128, 128, 128, 128, 1, 43, 43, 43, 43, 43]
    assert named["lowest"] == [0, 0, 61, 61, 61, 128, 1, 1, 128, 0, 43, 43, 43, 44, 0, 0]
    assert named["highest"] == [0, 0, 61, 128, 128, 128, 128, 128, 128, 0, 43, 44, 44, 44, 0, 0]
    check_states(PLAIN, [ids])
    check_context(PLAIN, [ids])


def test_features_of_what_may_end() -> None:
    """After a TimeShift any note that sounds, after a NoteOff those above it; never after a NoteOn."""
    ids = read(
        "BOS Velocity_3 NoteOn_60 NoteOn_64 TimeShift_5 NoteOn_20 TimeShift_9 NoteOff_60 NoteOff_64 NoteOn_60 "
        "TimeShift_100 Velocity_4 NoteOn_62 TimeShift_1 NoteOff_20 EOS"
    )
    named = by_name(PLAIN.context(ids[None])[0])
    assert named["ending_1"] == [0, 0, 0, 0, 61, 0, 21, 65, 0, 0, 21, 0, 0, 21, 61, 0]
    assert named["ending_2"] == [0, 0, 0, 0, 65, 0, 61, 0, 0, 0, 61, 0, 0, 61, 63, 0]
    assert named["oldest"] == [0, 0, 61, 61, 61, 61, 61, 65, 21, 21, 21, 21, 21, 21, 61, 61]
    # Classes of steps: below 4, 8, 12, 16 ... : 9 since pitch 20 began are in the third.
    assert named["ending_age"] == [0, 0, 0, 0, 2, 0, 3, 4, 0, 0, 10, 0, 0, 10, 10, 0]
    assert named["oldest_age"] == [0, 0, 1, 1, 2, 2, 4, 4, 3, 3, 10, 10, 10, 10, 10, 10]


def test_every_pitch_is_the_lowest_and_the_highest() -> None:
    ids = read("BOS Velocity_3 " + " ".join(f"NoteOn_{p} TimeShift_1 NoteOff_{p}" for p in range(128)))
    features, _ = PLAIN.context(ids[None])
    assert (features[0, 2::3, 3:][:, [0, 2, 3]] == np.arange(1, 129)[:, None]).all()
    ids = read("BOS Velocity_3 " + " ".join(f"NoteOn_{p}" for p in range(128)))
    features, _ = PLAIN.context(ids[None])
    assert features[0, -1].tolist() == [15, 3, 0, 128, 127, 1, 128, 0, 0, 1, 0, 1]


def test_references() -> None:
    assert list(PLAIN.context_sizes)[3:10] == list(PLAIN.zeros)
    assert PLAIN.references() == {
        "pitches": 128,
        "pitch_tokens": [PLAIN.vocabulary["NoteOn_0"], PLAIN.vocabulary["NoteOff_0"]],
        "references": [(feature, 1) for feature in range(3, 10)],
    }


def test_what_the_grammar_would_not_allow_has_features_all_the_same() -> None:
    ids = np.random.default_rng(0).integers(0, len(PLAIN.vocabulary), (4, 600))
    features, _ = PLAIN.context(ids)
    assert ((features >= 0) & (features < list(PLAIN.context_sizes.values()))).all()


def test_nothing() -> None:
    empty = Score(make_notes([], [], []))
    assert PLAIN.encode(empty).tolist() == [1, 2]
    assert PLAIN.admits(empty) == "no notes"
    drum = Score(make_notes([0], [1], [60], program=DRUMS))
    assert PLAIN.admits(drum) == "no notes but drums"
    assert KINDS["drums"].admits(drum) is None
    assert KINDS["drums"].admits(Score(make_notes([0], [1], [60]))) == "no drums"
    assert "hours" in (PLAIN.admits(Score(make_notes([0], [2**31 - 1], [60]), 96)) or "")


def test_arguments() -> None:
    guitar = Score(make_notes([0, 1, 2], [9, 9, 9], [60, 61, 62], program=[24, DRUMS, DRUMS]))
    assert Performance.fit([guitar], pedal=None).arguments == {"pedal": True, "program": 24}
    assert Performance.fit([guitar], program=3, pedal=False).arguments == {"pedal": False, "program": 3}
    assert Performance.fit([Score(guitar.notes[1:])]).program == DRUMS
    assert PLAIN.seconds_per_step == pytest.approx(0.01)
    assert PLAIN.to_step(Score(guitar.notes, 480), 960) == 100
    with pytest.raises(UserError, match=r"tokenizer\.program is 129"):
        Performance(program=129)


def test_what_a_state_tells() -> None:
    state = after("BOS Velocity_3 NoteOn_60 NoteOn_64 TimeShift_100 TimeShift_100 TimeShift_5 NoteOff_60 NoteOn_62")
    assert state.sounding[0].nonzero()[0].tolist() == [62, 64]
    assert [part.item() for part in (state.polyphony, state.velocity, state.struck)] == [2, 3, 62]
    assert [part.item() for part in PLAIN.grammar().clock(state)] == [205, 1, 5, 200, 2.05]
