"""MidiTok's tokenizers behind the same interface as our own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, make_notes
from musiclstm.tokenizers import from_dict
from musiclstm.tokenizers.vocabulary import BOS
from tests.strategies import scores
from tests.tokenizers.checks import check_states

pytest.importorskip("miditok", reason="the miditok extra is not installed")

from musiclstm.tokenizers.miditok_adapter import MidiTok

ONE_STREAM = ["BEAT", "MIDILike", "MMM", "PerTok", "REMI", "Structured", "TSD"]


def tune(notes: int = 64) -> Score:
    """Quarter notes in 4/4 on two instruments, with a drum at each."""
    random = np.random.default_rng(0)
    start = np.repeat(np.arange(notes) * 480, 3)
    program = np.tile([0, 40, DRUMS], notes)
    pitch = np.where(program == DRUMS, 36, 60 + random.integers(0, 12, len(start)))
    return Score(make_notes(start, start + 480, pitch, 79, program, np.tile([0, 1, 2], notes)))


@pytest.fixture(scope="module", name="pairs")
def _pairs() -> MidiTok:
    made = MidiTok.fit([tune()], bpe=600)
    assert isinstance(made, MidiTok)
    return made


def onsets(score: Score) -> list[tuple[float, int, int]]:
    notes = score.notes
    quarters = (notes["start"] / score.ticks_per_quarter).tolist()
    return sorted(zip(quarters, notes["program"].tolist(), notes["pitch"].tolist(), strict=True))


@pytest.mark.parametrize("name", ONE_STREAM)
def test_music_comes_back(name: str) -> None:
    tokenizer = MidiTok(name)
    score = tune(16)
    assert tokenizer.admits(score) is None
    ids, steps = tokenizer.events(score)
    assert ids[[0, -1]].tolist() == [1, 2]
    assert (ids[1:-1] > 2).all()
    assert len(ids) == len(steps)
    assert tokenizer.vocabulary.tokens[:3] == ["PAD", "BOS", "EOS"]
    assert onsets(tokenizer.decode(ids)) == onsets(score)
    assert tokenizer.quantise(score) == tokenizer.decode(ids)
    assert tokenizer.decode(ids).ticks_per_quarter == tokenizer.to_step(score, 480)  # so ticks are steps
    for length in (1, 2, 3, 9, 40):
        tokenizer.decode(ids[:length])
    assert len(tokenizer.decode(ids[:1])) == 0


@pytest.mark.parametrize("name", ["REMI", "TSD"])
def test_one_instrument_without_programs(name: str) -> None:
    piano = Score(make_notes([0, 480], [480, 960], [60, 64], track=[0, 1]))
    tokenizer = MidiTok.fit([piano], tokenizer=name)
    assert tokenizer.arguments["config"] == {"use_programs": False}
    assert "Program" not in tokenizer.vocabulary.types
    assert onsets(tokenizer.decode(tokenizer.encode(piano))) == onsets(piano)
    drums = Score(make_notes([0], [1], [36], program=DRUMS))
    assert "no notes" in (tokenizer.admits(drums) or "")


def test_byte_pairs(pairs: MidiTok) -> None:
    plain = MidiTok()
    ids = pairs.encode(tune())
    assert len(ids) < 0.7 * len(plain.encode(tune()))
    assert pairs.vocabulary.types[-1] == "BPE"
    assert len(pairs.vocabulary) <= 600
    assert onsets(pairs.decode(ids)) == onsets(tune())


def test_saved_with_all_it_needs(pairs: MidiTok) -> None:
    settings = {"beat_res": {"0_2": 6, "2_8": 3}, "use_tempos": True, "num_velocities": 8}
    for tokenizer in (pairs, MidiTok("REMI", settings)):
        again = from_dict(json.loads(json.dumps(tokenizer.to_dict())))
        assert again.to_dict() == tokenizer.to_dict()
        assert again.vocabulary.tokens == tokenizer.vocabulary.tokens
        assert np.array_equal(again.encode(tune()), tokenizer.encode(tune()))


@pytest.mark.parametrize("name", [*ONE_STREAM, "pairs"])
def test_reading(name: str, pairs: MidiTok) -> None:
    tokenizer = pairs if name == "pairs" else MidiTok(name)
    ids = tokenizer.encode(tune(32))
    features, reading = tokenizer.context(ids[None])
    assert features.shape == (1, len(ids), 0)
    if name != "MMM":  # which writes one track after the other
        assert reading.bars.tolist() == [8 if name == "MIDILike" else 7]  # the last NoteOff is at the end
        assert 31 * 0.5 <= reading.seconds[0] <= 32 * 0.5
    assert reading.bars.dtype == np.int64
    pieces = None
    for piece in np.array_split(ids, 9):
        _, pieces = tokenizer.context(np.stack([piece, piece]), pieces)
    assert pieces is not None
    assert pieces.bars.tolist() == [reading.bars[0]] * 2
    assert pieces.seconds.tolist() == pytest.approx([reading.seconds[0]] * 2)
    check_states(tokenizer, [ids, tokenizer.encode(tune(5))])


def test_clock() -> None:
    config = {"use_time_signatures": True}
    meters = np.array([(0, 3, 4), (1440, 4, 4)], METER)
    score = Score(make_notes([0, 480, 1440, 2880], [480, 960, 1920, 3360], 60), 480, meters=meters)
    for tokenizer, bars, length in ((MidiTok("REMI", config), 1, 4), (MidiTok("TSD"), 1, 4)):
        grammar, ids = tokenizer.grammar(), tokenizer.encode(score).astype(np.int64)
        state = grammar.start(1)
        for token in ids[1:-1]:
            state = grammar.advance(state, token[None])
        clock, steps = grammar.clock(state), tokenizer.steps_per_quarter
        assert clock.step.tolist() == [6 * steps]
        assert (clock.bar.tolist(), clock.length.tolist()) == ([bars], [length * steps])
        assert clock.position.tolist() == [3 * steps if tokenizer.tokenizer == "REMI" else 2 * steps]


@pytest.mark.parametrize("name", ["REMI", "TSD", "Structured", "pairs"])
def test_a_prompt_has_what_begins_before_its_step(name: str, pairs: MidiTok) -> None:
    tokenizer = pairs if name == "pairs" else MidiTok(name)
    step = tokenizer.to_step(tune(), 480 * 7)
    prompt = tokenizer.encode_prompt(tune(), step)
    assert prompt[0] == 1
    assert 2 not in prompt
    assert onsets(tokenizer.decode(prompt)) == [note for note in onsets(tune()) if note[0] < 7]
    assert tokenizer.encode_prompt(tune(), 0).tolist() == [1]


@pytest.mark.parametrize("name", ONE_STREAM)
def test_any_tokens_decode(name: str) -> None:
    tokenizer = MidiTok(name)
    random = np.random.default_rng(1)
    for _ in range(10):
        ids = random.integers(3, len(tokenizer.vocabulary), 60)
        tokenizer.decode(ids)
        tokenizer.context(ids[None])
        check_states(tokenizer, [np.concatenate([[BOS], ids])])


@settings(max_examples=15, deadline=None)
@given(score=scores(latest=33))
def test_made_up_scores(score: Score) -> None:
    for tokenizer in (MidiTok("REMI"), MidiTok("TSD", {"use_programs": False}), MidiTok("PerTok")):
        if tokenizer.admits(score) is None:
            ids = tokenizer.encode(score)
            assert len(ids) > 2
            assert len(tokenizer.decode(ids)) > 0


@pytest.mark.parametrize("collection", ["maestro_v2", "groove", "pop909"])
def test_real_files(collection: str, data_folder: Path) -> None:
    path = min((data_folder / collection).rglob("*.mid*"))
    score = read_midi(path)
    tokenizer = MidiTok.fit([score], tokenizer="REMI", config={"pitch_range": [0, 127], "drums_pitch_range": [0, 127]})
    ids = tokenizer.encode(score)
    assert len(tokenizer.decode(ids)) > 0.9 * len(score)


def test_tempo_meter_and_pedal() -> None:
    config = {"use_tempos": True, "use_time_signatures": True, "use_sustain_pedals": True}
    score = Score(
        make_notes([0, 480, 1440], [480, 960, 1920], 60),
        480,
        np.array([(0, 600_000), (1440, 500_000)], TEMPO),
        np.array([(0, 3, 4), (1440, 4, 4)], METER),
        np.array([(0, 960, 0)], PEDAL),
    )
    back = MidiTok("REMI", config).quantise(score)
    assert back.meters.tolist() == [(0, 3, 4), (3 * back.ticks_per_quarter, 4, 4)]
    assert 60e6 / back.tempos["microseconds"][0] == pytest.approx(100, abs=4)
    assert back.pedals.tolist() == [(0, 2 * back.ticks_per_quarter, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokenizer": "Octuple"}, r"tokenizer\.tokenizer is Octuple.*take BEAT, MIDILike, MMM, PerTok, REMI"),
        ({"tokenizer": "REMY"}, r"tokenizer\.tokenizer is REMY.*REMI"),
        ({"config": {"num_velocity": 8}}, r"tokenizer\.config has num_velocity"),
        ({"config": {"pitch_range": [90, 300]}}, r"tokenizer\.config is"),
        ({"tokenizer": "MMM", "config": {"base_tokenizer": "CPWord"}}, r"tokenizer\.config is"),
        ({"bpe": 1000}, r"tokenizer\.bpe is 1000"),
    ],
)
def test_what_cannot_be_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MidiTok(**arguments)


def test_too_few_byte_pairs() -> None:
    with pytest.raises(UserError, match=r"tokenizer\.bpe is 20: REMI has \d+ tokens"):
        MidiTok.fit([tune()], bpe=20)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "miditok", None)
    with pytest.raises(UserError, match="pip install"):
        MidiTok()


def test_arguments() -> None:
    tokenizer = MidiTok()
    assert tokenizer.seconds_per_step == pytest.approx(0.5 / tokenizer.to_step(tune(), 480))
    assert "REMI" in tokenizer.describe()
    assert "no notes" in (tokenizer.admits(Score(make_notes([], [], []))) or "")
    odd = Score(tune().notes, meters=np.array([(0, 17, 16)], METER))
    assert "17/16" in (MidiTok("PerTok").admits(odd) or "")
