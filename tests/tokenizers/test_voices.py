"""One token per voice per step: chorales and melodies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes
from musiclstm.tokenizers.voices import VELOCITY, Voices
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
    "chorale": Voices(4, 4, 100, [52]),
    "melody": Voices(1, 12),
    "two": Voices(2, 3, 66, [0, 40]),
    "coarse": Voices(3, 1),
    "told little": Voices(2, features=["run", "voice", "following"]),
}
FAVOURS: list[dict[str, float] | None] = [None, {"TimeSignature": 20, "Pickup": 5}, {"Hold": 5}]


@pytest.fixture(params=KINDS, name="voices")
def _voices(request: pytest.FixtureRequest) -> Voices:
    return KINDS[request.param]


def check_reading(voices: Voices, ids: np.ndarray, steps: np.ndarray) -> None:
    """Seconds and bars, between two steps, are those of the score there."""
    score = voices.decode(ids)
    lines = score.bar_starts(int(steps[-1]) + 1)
    for at in np.unique(np.linspace(1, int(steps[-1]) - 1, 4).astype(int)).tolist():
        _, reading = voices.context(ids[None, : int(np.searchsorted(steps[1:-1], at)) + 1])
        assert reading.seconds[0] == pytest.approx(score.seconds(at), rel=1e-5)
        assert reading.bars[0] == (lines[lines <= at].size - 1) - (score.first_bar > 0) or at in lines


@pytest.mark.parametrize("seed", range(len(FAVOURS)))
def test_walks(voices: Voices, seed: int) -> None:
    walks = random_walks(voices, seed, length=100, batch=4, favour=FAVOURS[seed])
    for ids in walks:
        check_walk(voices, ids)
        check_reading(voices, ids, voices.events(voices.decode(ids))[1])
    check_context(voices, walks, seed)
    check_states(voices, walks)


@settings(max_examples=40, deadline=None)
@given(score=scores(max_tracks=4, latest=400))
def test_made_up_scores(score: Score) -> None:
    """Those that are not admitted too, of which some notes are left out."""
    for voices in KINDS.values():
        ids = check_round_trip(voices, score)
        check_reading(voices, *voices.events(score))
        check_cuts(voices, ids, 4)


@settings(max_examples=12, deadline=None)
@given(first=scores(max_tracks=2, latest=4), second=scores(max_notes=5, latest=4))
def test_grammar_takes_made_up_scores(first: Score, second: Score) -> None:
    voices = KINDS["two"]
    check_grammar(voices, [voices.encode(first), voices.encode(second)])


def test_real_files(data_folder: Path) -> None:
    files = sorted((data_folder / "nottingham").rglob("*.mid"))
    read = [read_midi(path) for path in files[:: len(files) // 12]]
    melodies = [score.replace(notes=score.notes[score.notes["track"] == 0]) for score in read]
    voices = Voices.fit(melodies, steps_per_quarter=12)
    assert voices.num_voices == 1
    assert [voices.admits(score) for score in melodies] == [None] * len(melodies)
    sequences = [check_round_trip(voices, score) for score in melodies]
    check_grammar(voices, [ids[:500] for ids in sequences])
    check_context(voices, [ids[:2000] for ids in sequences])
    check_states(voices, sequences)


def test_what_is_said() -> None:
    notes = make_notes([0, 1, 0, 3], [1, 3, 2, 4], [72, 74, 48, 60], 80, 0, [0, 0, 1, 1])
    score = Score(notes, 1, meters=np.array([(0, 3, 4), (1, 2, 4)], METER), first_bar=1)
    voices = Voices(2, 1)
    assert " ".join(spell(voices, voices.encode(score))) == (
        "BOS TimeSignature_3/4 Pickup_1 Pitch_72 Pitch_48 TimeSignature_2/4 Pitch_74 Hold Hold Rest Rest Pitch_60 EOS"
    )


def test_a_voice_has_one_note_at_a_time() -> None:
    notes = make_notes([0, 0, 2, 2], [4, 1, 3, 9], [60, 64, 62, 62], [50, 90, 50, 90], 7, [0, 0, 0, 2])
    kept = Voices(3, 4, programs=[1, 2, 3]).quantise(Score(notes, 4)).notes
    assert kept[["start", "end", "pitch", "track", "program"]].tolist() == [
        (0, 1, 64, 0, 1), (2, 3, 62, 0, 1), (2, 9, 62, 2, 3),
    ]  # fmt: skip
    assert set(kept["velocity"].tolist()) == {VELOCITY}


def test_tracks_are_voices_in_their_order_where_their_numbers_are_too_high() -> None:
    notes = make_notes([0, 0], [1, 1], [60, 50], track=[3, 9])
    assert Voices(2).quantise(Score(notes, 4)).notes["track"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("notes", "why"),
    [
        (make_notes([], [], []), "no notes"),
        (make_notes([0, 0, 0], [1, 1, 1], 60, track=[0, 1, 2]), "3 tracks"),
        (make_notes([0], [1], 40, program=DRUMS), "drums"),
        (make_notes([0, 0], [1, 1], [60, 64], track=1), "several notes at once in track 2"),
        (make_notes([0, 0], [1, 1], [60, 64], track=[0, 1]), None),
    ],
)
def test_admits(notes: np.ndarray, why: str | None) -> None:
    said = Voices(2).admits(Score(notes, 4))
    assert (said is None) == (why is None)
    assert (why or "") in (said or "")


@pytest.mark.parametrize("kind", ["chorale", "coarse", "told little"])
def test_repeats(kind: str) -> None:
    """Sections that come again, whole, varied and cut, and pieces longer than what is looked back on."""
    voices = KINDS[kind]
    context, memory = voices.repeats.places.context, voices.repeats.places.memory
    random = np.random.default_rng(1)

    def section(steps: int) -> np.ndarray:
        grid = random.choice([voices.rest, *range(voices.pitch + 60, voices.pitch + 64)], (steps, voices.num_voices))
        held = (random.random(grid.shape) < 0.4) & (np.roll(grid, 1, 0) != voices.rest)
        held[0] = False
        for step in range(1, steps):  # a hold needs a sound before it
            held[step] &= (grid[step - 1] != voices.rest) | held[step - 1]
            grid[step][held[step]] = voices.hold
        grid[:, 0] = np.where(grid[:, 0] == voices.rest, voices.pitch + 60, grid[:, 0])
        return grid

    first, second, third = section(context + 12), section(13), section(memory)
    varied = first.copy()
    varied[11, -1] = voices.pitch + 70
    header = unspell(voices, "BOS TimeSignature_4/4")
    sequences = [
        np.concatenate([header, np.concatenate(parts).ravel()]).astype(np.int32)
        for parts in (
            [first, first, second, varied, first],
            [first[context // 2 :], second, first, first[:3]],
            [np.full_like(first, voices.hold), first, second, first],
            [first, third, first, third[:30]],
        )
    ]
    for ids in sequences:  # no piece begins with a hold
        opening = ids[2 : 2 + voices.num_voices]
        opening[opening == voices.hold] = voices.pitch + 60
    check_context(voices, sequences, seed=1)
    check_states(voices, sequences, longest=(memory + 100) * voices.num_voices)
    if "agreement" not in voices.context_sizes:
        return
    features, _ = voices.context(sequences[0][None])
    named = dict(zip(voices.context_sizes, features[0].T, strict=True))
    again = np.arange((len(first) + context) * voices.num_voices, 2 * len(first) * voices.num_voices) + len(header)
    tokens = sequences[0][again]
    expected = np.where(tokens == voices.rest, 1, np.where(tokens == voices.hold, 2, tokens - voices.pitch + 3))
    assert named["following"][again - 1].tolist() == expected.tolist()
    assert (named["agreement"][again - 1] >= 2).all()
    far, _ = voices.context(sequences[3][None])
    too_far = (len(first) + memory + context) * voices.num_voices + len(header)
    assert not far[0, too_far : too_far + voices.num_voices, 6:8].any()


def test_features() -> None:
    voices = Voices(2, 2)
    text = "BOS TimeSignature_3/4 Pickup_1 Rest Pitch_48 Pitch_72 Hold TimeSignature_2/4 Hold Pitch_50"
    ids = unspell(voices, text)
    features, reading = voices.context(ids[None])
    named = {name: features[0, :, i].tolist() for i, name in enumerate(voices.context_sizes)}
    meters = [voices.metre.meters.index(meter) for meter in ((3, 4), (2, 4))]
    assert named["voice"] == [0, 0, 0, 1, 0, 1, 0, 0, 1, 0]
    assert named["position"][1:] == [0, 5, 5, 0, 0, 1, 0, 0, 1]
    assert named["meter"][1:] == [meters[0]] * 6 + [meters[1]] * 3
    assert named["last"] == [0, 0, 0, 0, 1, 50, 74, 74, 50, 74]  # pitches plus two, a rest is one
    assert named["run"] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert reading.bars.tolist() == [1]
    assert reading.seconds.tolist() == [0.75]


def test_hold_needs_a_note_and_an_end_needs_one_that_sounds() -> None:
    voices = Voices(1, 4)
    grammar, names = voices.grammar(), voices.vocabulary
    state = grammar.start(2)
    for pair in (("TimeSignature_4/4",) * 2, ("Pitch_60", "Rest")):
        state = grammar.advance(state, np.array([names[token] for token in pair]))
    allowed = grammar.allowed(state)
    assert allowed[:, names["Hold"]].tolist() == [True, False]
    assert allowed[:, names["EOS"]].tolist() == [True, False]
    assert allowed[:, names["Pitch_60"]].all()
    assert not allowed[:, names.range("TimeSignature")].any()


def test_a_prompt_is_whole_steps() -> None:
    score = Score(make_notes([0, 0], [8, 8], [60, 50], track=[0, 1]), 4)
    voices = Voices(2, 4)
    assert len(voices.encode_prompt(score, 3)) == 2 + 3 * 2
    assert voices.decode(voices.encode_prompt(score, 3)).notes["end"].tolist() == [3, 3]


def test_fitting_and_arguments() -> None:
    tempos = np.array([(0, 1_000_000)], TEMPO)
    trio = Score(make_notes([0, 0, 0], [1, 1, 1], 60, program=[4, 5, 6], track=[0, 1, 2]), tempos=tempos)
    solo = Score(make_notes([0], [1], 60, program=9), tempos=tempos)
    voices = Voices.fit([trio, solo, solo], num_voices=None)
    assert voices.arguments == {
        "num_voices": 3, "steps_per_quarter": 4, "tempo": 60.0, "programs": [9, 5, 6],
        "features": None,
    }  # fmt: skip
    assert Voices(**voices.arguments).vocabulary.tokens == voices.vocabulary.tokens
    assert voices.seconds_per_step == 0.25
    with pytest.raises(UserError, match=r"tokenizer.num_voices is 17"):
        Voices(17)
    with pytest.raises(UserError, match=r"tokenizer.steps_per_quarter is 0"):
        Voices(steps_per_quarter=0)
    little = KINDS["told little"]
    assert Voices(**little.arguments).context_sizes == little.context_sizes == {"voice": 2, "run": 33, "following": 131}
    with pytest.raises(UserError, match=r"tokenizer.features has pich: give some of voice, position, "):
        Voices(features=["pich"])


def test_what_a_state_tells() -> None:
    voices = Voices(3, 2)
    grammar = voices.grammar()
    state = grammar.start(1)
    text = "BOS TimeSignature_2/4 Pickup_1 Pitch_60 Rest Pitch_50 Hold Pitch_55 Rest Pitch_62"
    for token in unspell(voices, text)[1:].tolist():
        state = grammar.advance(state, np.array([token]))
    assert (state.pitch.tolist(), state.since.tolist()) == ([[62, 55, -1]], [[2, 1, 1]])
    assert [part.item() for part in (state.voice, state.polyphony)] == [1, 2]
    assert [part.item() for part in grammar.clock(state)] == [2, 0, 1, 4, 0.5]
