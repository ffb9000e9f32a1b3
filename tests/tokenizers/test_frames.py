"""Frames: what is said, in which order, and that nothing is lost but what `quantise` leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes
from musiclstm.tokenizers.frames import Frames
from musiclstm.tokenizers.frames_grammar import FramesState
from musiclstm.tokenizers.frames_repeats import PITCHES
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
    unspell,
)

KINDS = {"usual": Frames(), "coarse": Frames(1, tempo=60, program=9), "odd": Frames(7)}
PLAIN = KINDS["usual"]


@pytest.fixture(params=KINDS, name="frames")
def _frames(request: pytest.FixtureRequest) -> Frames:
    return KINDS[request.param]


def read(text: str) -> np.ndarray:
    """The ids of tokens written with spaces between them."""
    return np.array([PLAIN.vocabulary[token] for token in text.split()], np.int32)


def after(text: str) -> FramesState:
    """The state of the grammar after tokens, each of which it has to allow."""
    grammar = PLAIN.grammar()
    state = grammar.start(1)
    for token in read(text)[1:].tolist():
        assert grammar.allowed(state)[0, token], PLAIN.vocabulary.tokens[token]
        state = grammar.advance(state, np.array([token]))
    return state


def allowed(state: FramesState) -> set[str]:
    return set(spell(PLAIN, PLAIN.grammar().allowed(state)[0].nonzero()[0]))


def check_reading(frames: Frames, ids: np.ndarray) -> None:
    """Seconds and bars, after some tokens, are those of the score where as many frames have ended."""
    score = frames.decode(ids)
    for length in {4, len(ids) // 2, len(ids)}:
        if length >= 4 and frames.vocabulary.tokens[ids[length - 1]] == "Frame":
            _, reading = frames.context(ids[None, :length])
            step = int((ids[:length] == frames.frame).sum())
            assert reading.seconds[0] == pytest.approx(score.seconds(step))
            lines = score.bar_starts(score.end + 1)
            assert reading.bars[0] == (lines <= step).sum() - 1 - (score.first_bar > 0)


def check_pitches(frames: Frames, ids: np.ndarray) -> None:
    """The features that name pitches, worked out token by token."""
    features, _ = frames.context(ids[None])
    named = dict(zip(frames.context_sizes, features[0].T.tolist(), strict=True))
    before: set[int] = set()
    present: set[int] = set()
    for i, token in enumerate(spell(frames, ids)):
        kind, _, value = token.partition("_")
        if kind == "Frame":
            before, present = present, set()
        elif kind == "Pitch":
            present.add(int(value))
        last = int(value) if kind == "Pitch" else -1
        expected = {
            "next": min((pitch for pitch in before if pitch > last), default=-1),
            "last": last,
            "low": min(present, default=-1),
            "low_before": min(before, default=-1),
            "high_before": max(before, default=-1),
        }
        assert {name: named[name][i] - 1 for name in expected} == expected


@pytest.mark.parametrize(
    "favour", [{"TimeSignature": 0.2, "Pickup": 0.2}, {"TimeSignature": 9, "Pickup": 9}, {"Pitch": 9}]
)
def test_walks(frames: Frames, favour: dict[str, float]) -> None:
    walks = random_walks(frames, seed=2, length=120, batch=6, favour=favour)
    for ids in walks:
        check_walk(frames, ids)
        check_reading(frames, ids)
        check_pitches(frames, ids)
    check_context(frames, walks)
    check_states(frames, walks)


@pytest.mark.parametrize("kind", ["usual", "coarse"])
def test_repeats(kind: str) -> None:
    """Sections that come again, whole and varied, and pieces longer than what is looked back on."""
    frames = KINDS[kind]
    context, memory = frames.repeats.places.context, frames.repeats.places.memory
    random = np.random.default_rng(1)

    def section(steps: int) -> list[list[int]]:
        return [sorted(random.choice(np.arange(60, 66), random.integers(0, 4), False).tolist()) for _ in range(steps)]

    first, second, third = section(context + 9), section(7), section(memory)
    varied = [*first[:-4], [1, *first[-4]], *first[-3:]]
    header = unspell(frames, "BOS TimeSignature_4/4")
    sequences = []
    silence: list[list[int]] = [[]] * 9
    for parts in ([first, first, second, varied, first], [silence, first, silence, first], [first, third, first]):
        said = [frames.pitch + pitch for part in parts for frame in part for pitch in (*frame, PITCHES)]
        sequences.append(np.concatenate([header, said]).astype(np.int32))
    check_context(frames, sequences, seed=1)
    check_states(frames, sequences, longest=2 * memory)
    once, before = (sum(len(frame) + 1 for frame in part) for part in (first, first[:context]))
    again = np.arange(once + before, 2 * once) + len(header)
    features, _ = frames.context(sequences[0][None])
    assert features[0, again - 1, 4].tolist() == (sequences[0][again] - frames.pitch + 1).tolist()
    assert (features[0, again - 1, 5] >= 2).all()


@settings(max_examples=50, deadline=None)
@given(score=scores(latest=200))
def test_made_up_scores(score: Score) -> None:
    for frames in KINDS.values():
        if frames.admits(score) is None:
            ids = check_round_trip(frames, score)
            check_reading(frames, ids)
            check_cuts(frames, ids, 3)


@settings(max_examples=10, deadline=None)
@given(first=scores(drums=False, latest=4), second=scores(drums=False, latest=0))
def test_grammar_takes_made_up_scores(first: Score, second: Score) -> None:
    for frames in (KINDS["usual"], KINDS["coarse"]):
        check_grammar(frames, [frames.encode(score)[:400] for score in (first, second)])


@pytest.mark.parametrize("collection", ["nottingham", "pop909", "piano_midi_de", "maestro_v2"])
def test_real_files(collection: str, data_folder: Path) -> None:
    files = sorted(path for path in (data_folder / collection).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    sequences = []
    for path in files[:: len(files) // 3]:
        score = read_midi(path)
        assert PLAIN.admits(score) is None
        sequences.append(check_round_trip(PLAIN, score))
        check_pitches(PLAIN, sequences[-1][:2000])
    check_grammar(PLAIN, [ids[:300] for ids in sequences])
    check_context(PLAIN, [ids[:3000] for ids in sequences])
    check_states(PLAIN, sequences)


def test_what_is_said() -> None:
    notes = make_notes(
        [24, 24, 48, 60, 24, 96, 97], [72, 48, 72, 84, 96, 120, 97], [60, 64, 64, 64, 40, 67, 60],
        program=[0, 0, 0, 9, DRUMS, 0, 9], track=[0, 0, 0, 1, 2, 0, 1],
    )  # fmt: skip
    meters = np.array([(0, 2, 4), (96, 1, 4), (500, 3, 4)], METER)
    score = Score(notes, 24, np.array([(0, 600_000)], TEMPO), meters, first_bar=24)
    frames = Frames(2, tempo=100, program=9)
    assert " ".join(spell(frames, frames.encode(score))) == (
        "BOS TimeSignature_2/4 Pickup_2 Frame Frame Pitch_60 Pitch_64 Frame Pitch_60 Pitch_64 Frame "
        "Pitch_60 Pitch_64 Frame Pitch_60 Pitch_64 Frame Pitch_64 Frame Frame "
        "Pitch_60 Pitch_67 Frame Pitch_67 Frame EOS"
    )
    kept = frames.quantise(score)
    assert kept.notes[["start", "end", "pitch", "program"]].tolist() == [
        (2, 6, 60, 9), (2, 7, 64, 9), (8, 9, 60, 9), (8, 10, 67, 9),
    ]  # fmt: skip
    assert kept.seconds(2) == pytest.approx(0.6)


def test_pitches_ascend() -> None:
    state = after("BOS TimeSignature_2/4 Pickup_1 Pitch_60 Pitch_64")
    assert allowed(state) == {*(f"Pitch_{pitch}" for pitch in range(65, 128)), "Frame"}
    assert {"Pitch_0", "Pitch_64", "EOS"} <= allowed(after("BOS TimeSignature_2/4 Pitch_60 Frame"))


def test_a_meter_changes_only_at_a_bar_line() -> None:
    bar = "BOS TimeSignature_1/4 Pickup_2 Frame Frame"
    assert {"TimeSignature_2/4", "Pitch_0", "Frame"} <= allowed(after(bar))
    assert not {"TimeSignature_1/4", "EOS", "Pickup_2"} & allowed(after(bar))
    assert "TimeSignature_2/4" not in allowed(after(bar + " Frame"))
    changed = allowed(after(bar + " TimeSignature_2/4"))
    assert {token.split("_")[0] for token in changed} == {"Pitch", "Frame"}


def test_the_last_frame_is_not_empty() -> None:
    text = "BOS TimeSignature_4/4 Pitch_60 Frame"
    assert "EOS" in allowed(after(text))
    assert "EOS" not in allowed(after(text + " Frame")) | allowed(after(text + " Pitch_1"))
    assert allowed(after(text + " EOS")) == {"PAD"}


def test_an_unfinished_frame_is_left_out() -> None:
    score = PLAIN.decode(read("BOS TimeSignature_3/4 Pitch_60 Frame Pitch_60 Pitch_62 Frame Pitch_60 Pitch_62"))
    assert score.notes[["start", "end", "pitch"]].tolist() == [(0, 2, 60), (1, 2, 62)]
    assert score.meters.tolist() == [(0, 3, 4)]


@pytest.mark.parametrize("step", [1, 3, 4, 9])
def test_a_prompt_ends_at_its_step(step: int) -> None:
    score = Score(make_notes([0, 2], [4, 5], [60, 64]), 4)
    prompt = PLAIN.encode_prompt(score, step)
    assert (prompt == PLAIN.frame).sum() == step
    ends = PLAIN.decode(prompt).notes["end"].tolist()
    assert ends == [min(end, step) for start, end in ((0, 4), (2, 5)) if start < step]


def test_nothing() -> None:
    empty = Score(make_notes([], [], []))
    assert PLAIN.admits(empty) == "no notes"
    assert len(PLAIN.decode(PLAIN.encode(empty))) == 0
    assert PLAIN.admits(Score(make_notes([0], [1], [60], program=DRUMS))) == "no notes but drums"
    assert "steps" in (PLAIN.admits(Score(make_notes([0], [2**31 - 1], [60]), 96)) or "")


def test_arguments() -> None:
    slow = Score(make_notes([0], [1], [60], program=40), tempos=np.array([(0, 1_000_000)], TEMPO))
    frames = Frames.fit([slow], tempo=None, steps_per_quarter=6)
    assert frames.arguments == {"steps_per_quarter": 6, "tempo": 60.0, "program": 40, "features": None}
    assert frames.seconds_per_step == pytest.approx(1 / 6)
    assert frames.to_step(slow, 470) == 6
    for wrong in ({"steps_per_quarter": 0}, {"tempo": 0.0}, {"program": DRUMS}):
        with pytest.raises(UserError, match=f"tokenizer.{next(iter(wrong))} is"):
            Frames(**wrong)


def test_what_a_state_tells() -> None:
    state = after("BOS TimeSignature_1/4 Pickup_2 Frame Pitch_60 Pitch_64 Frame Pitch_62")
    assert [pitches[0].nonzero()[0].tolist() for pitches in (state.before, state.present)] == [[60, 64], [62]]
    assert [part.item() for part in PLAIN.grammar().clock(state)] == [2, 0, 0, 4, 0.25]
