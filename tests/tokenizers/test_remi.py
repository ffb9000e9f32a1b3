"""Bars, positions and notes: what is said, in which order, and that nothing is lost but what `quantise` leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes
from musiclstm.tokenizers.remi import Remi
from musiclstm.tokenizers.remi_tables import MICROSECONDS, allowed_durations, nearest_duration, nearest_tempo
from musiclstm.tokenizers.vocabulary import BOS, EOS
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

KINDS = {
    "usual": Remi(),
    "bare": Remi(4, tempos=False, velocities=1, tempo=90),
    "coarse": Remi(1, velocities=127),
    "odd": Remi(7, tempos=False),
}
FAVOURS: list[dict[str, float] | None] = [
    None,
    {"Position": 0.1, "Bar": 0.02},
    {"Program": 1e-4, "Position": 0.02, "Bar": 1e-3, "Velocity": 0.1, "Drum": 0.01},  # many notes of one program
    {"Bar": 5, "TimeSignature": 9, "Pickup": 9},
    {"Tempo": 5},
]


@pytest.fixture(params=KINDS, name="remi")
def _remi(request: pytest.FixtureRequest) -> Remi:
    return KINDS[request.param]


def check_reading(remi: Remi, ids: np.ndarray, steps: np.ndarray) -> None:
    """Seconds and bars, after some tokens, are those of the score at the step of the last of them."""
    score = remi.decode(ids)
    lines = score.bar_starts(int(steps[-1]) + 1)
    for length in {5, 8, len(ids) // 2, len(ids) - 1}:
        if 5 <= length < len(ids):  # from where the header is over
            _, reading = remi.context(ids[None, :length])
            step = steps[length - 1]
            assert reading.seconds[0] == pytest.approx(score.seconds(step))
            assert reading.bars[0] == (lines <= step).sum() - 1 - (score.first_bar > 0)


@pytest.mark.parametrize("seed", range(len(FAVOURS)))
def test_walks(remi: Remi, seed: int) -> None:
    walks = random_walks(remi, seed, length=100, batch=4, favour=FAVOURS[seed])
    for ids in walks:
        check_walk(remi, ids)
        check_reading(remi, ids, remi.events(remi.decode(ids))[1])
    check_context(remi, walks, seed)
    check_states(remi, walks)


@settings(max_examples=40, deadline=None)
@given(score=scores())
def test_made_up_scores(score: Score) -> None:
    for remi in KINDS.values():
        assert remi.admits(score) is None
        ids = check_round_trip(remi, score)
        check_reading(remi, *remi.events(score))
        check_cuts(remi, ids, 4)


@settings(max_examples=12, deadline=None)
@given(first=scores(latest=33), second=scores(latest=4))
def test_grammar_takes_made_up_scores(first: Score, second: Score) -> None:
    for remi in (KINDS["usual"], KINDS["bare"]):
        check_grammar(remi, [remi.encode(first), remi.encode(second)])


@pytest.mark.parametrize("collection", ["pop909", "groove", "nottingham", "piano_midi_de", "maestro_v2"])
def test_real_files(collection: str, data_folder: Path) -> None:
    files = sorted(path for path in (data_folder / collection).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    sequences = []
    for path in files[:: len(files) // 3]:
        score = read_midi(path)
        for remi in (KINDS["usual"], KINDS["bare"]):
            check_round_trip(remi, score)
        sequences.append(KINDS["usual"].encode(score))
    check_grammar(KINDS["usual"], [ids[:300] for ids in sequences])
    check_context(KINDS["usual"], [ids[:3000] for ids in sequences])
    check_states(KINDS["usual"], sequences)


def test_what_is_said() -> None:
    notes = make_notes(
        [0, 48, 48, 48, 96, 500], [48, 96, 96, 97, 100, 501], [60, 67, 64, 38, 60, 60], [80, 80, 10, 80, 80, 80],
        [0, 0, 0, DRUMS, 32, 32], [0, 0, 0, 1, 2, 2],
    )  # fmt: skip
    tempos = np.array([(0, 600_000), (48, 500_000), (240, 500_000), (241, 400_000), (900, 1_000_000)], TEMPO)
    meters = np.array([(0, 4, 4), (48 + 192, 3, 4), (960, 4, 4)], METER)
    score = Score(notes, 48, tempos, meters, first_bar=48)
    remi = Remi(12, velocities=32)
    assert " ".join(spell(remi, remi.encode(score))) == (
        "BOS Bar TimeSignature_4/4 Pickup_12 Tempo_100 Position_36 Program_0 Velocity_78 Pitch_60 Duration_12 "
        "Bar Position_0 Tempo_120 Velocity_10 Pitch_64 Duration_12 Velocity_78 Pitch_67 Duration_12 "
        "Program_128 Drum_38 Position_12 Program_32 Pitch_60 Duration_1 "
        "Bar TimeSignature_3/4 Position_0 Tempo_152 Bar Position_29 Pitch_60 Duration_1 EOS"
    )
    kept = remi.quantise(score)
    assert kept.notes["track"].tolist() == [0, 0, 0, 2, 1, 1]
    assert kept.meters.tolist() == [(0, 4, 4), (60, 3, 4)]
    assert kept.first_bar == 12


def test_notes_of_one_pitch_never_overlap() -> None:
    remi = Remi(4)
    notes = make_notes([0, 0, 5, 5], [40, 20, 9, 9], 60, [50, 90, 50, 90], [1, 1, 1, 2], [0, 3, 5, 6])
    kept = remi.quantise(Score(notes, 4)).notes
    assert kept[["start", "end", "program", "track"]].tolist() == [(0, 5, 1, 0), (5, 9, 1, 0), (5, 9, 2, 1)]
    assert remi.velocity_bins[kept["velocity"]].tolist() == remi.velocity_bins[[50, 50, 90]].tolist()
    far = make_notes([0, 25], [25, 26], 60)  # 25 steps are no duration that there is: 24 are, and leave a gap
    assert remi.quantise(Score(far, 4)).notes["end"].tolist() == [24, 26]


def test_features() -> None:
    remi = Remi(4)
    ids = unspell(
        remi,
        "BOS Bar TimeSignature_4/4 Pickup_3 Tempo_120 Position_14 Program_7 Velocity_78 Pitch_60 Duration_1 "
        "Bar TimeSignature_3/4 Position_5 Pitch_60 Duration_1 Bar Bar",
    )
    features, reading = remi.context(ids[None])
    named = {name: features[0, :, i].tolist() for i, name in enumerate(remi.context_sizes)}
    meters = [remi.metre.meters.index(meter) for meter in ((4, 4), (3, 4))]
    assert named["position"][3:] == [13, 13, 14, 14, 14, 14, 14, 0, 0, 5, 5, 5, 0, 0]
    assert named["meter"][2:] == [meters[0]] * 9 + [meters[1]] * 6
    assert named["program"] == [0] * 6 + [8] * 11
    assert named["bar"][3:] == [3] * 7 + [0] * 5 + [1, 2]
    assert reading.bars.tolist() == [2]
    assert reading.seconds[0] == pytest.approx((3 + 12 + 12) / 4 / 2)


def test_features_that_name_pitches() -> None:
    remi = Remi(4, tempos=False, velocities=1)
    told = [  # after some tokens what `last`, `last_low`, `last_high` and `bass` are, as pitches, -1 for none
        ("BOS Bar TimeSignature_3/4 Position_0 Program_5", (-1, -1, -1, -1)),
        ("Pitch_60 Duration_1", (60, -1, -1, 60)),
        ("Pitch_64 Duration_1", (64, -1, -1, 60)),
        ("Pitch_67 Duration_8", (67, -1, -1, 60)),
        ("Program_7", (67, -1, -1, 60)),
        ("Pitch_40 Duration_1", (40, -1, -1, 40)),
        ("Program_128 Drum_35 Drum_36", (40, -1, -1, 40)),
        ("Position_2", (40, -1, -1, 40)),  # the drums are still in force, and have none
        ("Program_7", (40, 40, 40, 40)),
        ("Pitch_127 Duration_1", (127, 40, 40, 127)),
        ("Bar", (127, 127, 127, 127)),
        ("Position_0", (127, 127, 127, 127)),
        ("Program_5", (127, 60, 67, 127)),
        ("Pitch_0 Duration_1", (0, 60, 67, 0)),
        ("Pitch_62 Duration_1", (62, 60, 67, 0)),
        ("Position_1", (62, 0, 62, 0)),
        ("Program_6", (62, -1, -1, 0)),
        ("Pitch_70 Duration_1 EOS", (70, -1, -1, 70)),
    ]
    ids = unspell(remi, " ".join(text for text, _ in told))
    features, _ = remi.context(ids[None])
    expected = [values for text, values in told for _ in text.split()]
    assert list(remi.context_sizes)[-4:] == ["last", "last_low", "last_high", "bass"]
    assert (features[0, :, -4:] - 1).tolist() == [list(values) for values in expected]
    check_grammar(remi, [ids])
    check_states(remi, [ids])
    check_context(remi, [ids])


def test_references() -> None:
    remi = KINDS["usual"]
    references = remi.references()
    assert (references["pitches"], references["pitch_tokens"]) == (128, [remi.vocabulary["Pitch_0"]])
    names = [list(remi.context_sizes)[place] for place, _ in references["references"]]
    assert names == ["last_high", "last", "last_low", "bass"]
    assert {zero for _, zero in references["references"]} == {1}
    assert {remi.context_sizes[name] for name in names} == {129}


def test_many_programs(remi: Remi) -> None:
    walks = random_walks(remi, 9, length=400, batch=3, favour={"Program": 9, "Position": 0.3, "Bar": 0.1, "Drum": 0.1})
    check_context(remi, walks)
    check_states(remi, walks, longest=400)


def test_what_the_grammar_would_not_allow_has_features_all_the_same() -> None:
    remi = KINDS["usual"]
    ids = np.random.default_rng(0).integers(0, len(remi.vocabulary), (4, 600))
    features, _ = remi.context(ids)
    named = features[..., -4:]
    assert ((named >= 0) & (named < 129)).all()


def test_durations() -> None:
    table = allowed_durations(12)
    assert table[:48].tolist() == list(range(1, 49))
    assert set(table.tolist()) & {49, 54, 96, 102, 108, 384, 385} == {54, 96, 108, 384}
    lengths = np.array([1, 50, 51, 52, 5000, 5000, 50])
    limits = np.array([9, 90, 90, 90, 9000, 100, 53])
    assert nearest_duration(lengths, limits, table).tolist() == [1, 48, 48, 54, 384, 96, 48]


def test_tempos_and_velocities_stay_what_they_were_made() -> None:
    assert nearest_tempo(MICROSECONDS).tolist() == list(range(len(MICROSECONDS)))
    assert {500_000, 600_000, 1_000_000} <= set(MICROSECONDS.tolist())
    for count in (1, 2, 31, 32, 127):
        remi = Remi(velocities=count)
        assert len(set(remi.velocity_middles.tolist())) == count
        if count > 1:
            assert remi.velocity_bins[remi.velocity_middles].tolist() == list(range(count))


def test_nothing_and_what_is_not_whole() -> None:
    remi = Remi(4)
    assert remi.admits(Score(make_notes([], [], []))) == "no notes"
    assert remi.encode(Score(make_notes([], [], [])))[[0, -1]].tolist() == [BOS, EOS]
    cut = unspell(
        remi, "BOS Bar TimeSignature_3/4 Tempo_60 Position_0 Program_3 Velocity_78 Pitch_60 Duration_2 Pitch_64"
    )
    assert remi.decode(cut).notes["pitch"].tolist() == [60]
    assert remi.decode(cut[:3]).meters.tolist() == [(0, 3, 4)]


def test_arguments() -> None:
    slow = Score(make_notes([0], [1], [60]), tempos=np.array([(0, 1_000_000)], TEMPO))
    remi = Remi.fit([slow, slow, Score(slow.notes)], velocities=None, steps_per_quarter=6)
    assert remi.arguments == {"steps_per_quarter": 6, "tempos": True, "velocities": 32, "tempo": 60.0}
    assert Remi(**remi.arguments).vocabulary.tokens == remi.vocabulary.tokens
    assert remi.seconds_per_step == pytest.approx(1 / 6)
    assert remi.to_step(slow, 470) == 6
    bare = Remi(tempos=False, tempo=60)
    assert bare.quantise(Score(slow.notes)).tempos.tolist() == [(0, 1_000_000)]
    for wrong in ({"steps_per_quarter": 0}, {"velocities": 128}, {"tempo": 0.0}):
        with pytest.raises(UserError, match=f"tokenizer.{next(iter(wrong))} is"):
            Remi(**wrong)
