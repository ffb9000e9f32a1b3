"""What may follow what in a sequence of bars, positions and notes."""

from __future__ import annotations

import numpy as np
import pytest

from musiclstm.score import Score, make_notes
from musiclstm.tokenizers.remi import Remi
from musiclstm.tokenizers.remi_grammar import RemiState
from tests.tokenizers.checks import check_grammar, draw, spell, unspell


def after(remi: Remi, text: str) -> RemiState:
    """The state of the grammar after tokens, each of which it has to allow."""
    grammar = remi.grammar()
    state = grammar.start(1)
    for token in unspell(remi, text)[1:].tolist():
        assert grammar.allowed(state)[0, token], remi.vocabulary.tokens[token]
        state = grammar.advance(state, np.array([token]))
    return state


def allowed(remi: Remi, state: RemiState) -> set[str]:
    return set(spell(remi, remi.grammar().allowed(state)[0].nonzero()[0]))


def test_a_meter_changes_only_at_a_bar_line() -> None:
    state = after(Remi(4), "BOS Bar TimeSignature_3/4 Tempo_120 Bar")
    assert {"TimeSignature_4/4", "Position_11", "Bar"} <= allowed(Remi(4), state)
    assert not {"TimeSignature_3/4", "Position_12", "EOS", "Pickup_1", "Tempo_126", "Pitch_60"} & allowed(
        Remi(4), state
    )


def test_a_pickup_opens_late_in_its_bar() -> None:
    remi = Remi(4)
    assert "Pickup_12" not in allowed(remi, after(remi, "BOS Bar TimeSignature_3/4"))
    assert allowed(remi, after(remi, "BOS Bar TimeSignature_3/4 Pickup_2 Tempo_120")) == {
        "Position_10", "Position_11", "Bar",
    }  # fmt: skip


def test_a_sounding_pitch_does_not_begin_again() -> None:
    remi = Remi(4, velocities=1)
    text = "BOS Bar TimeSignature_4/4 Tempo_120 Position_0 Program_5 Pitch_60 Duration_3"
    assert not {"Pitch_60", "Pitch_59", "Program_5", "Program_4"} & allowed(remi, after(remi, text))
    assert {"Pitch_61", "Program_6", "EOS"} <= allowed(remi, after(remi, text))
    assert "Pitch_60" not in allowed(remi, after(remi, text + " Position_2"))
    assert "Pitch_60" in allowed(remi, after(remi, text + " Position_2 Program_4"))
    assert "Pitch_60" in allowed(remi, after(remi, text + " Position_3"))
    assert {"Pitch_60", "Tempo_126"} <= allowed(remi, after(remi, text + " Bar Position_0"))


def test_a_program_whose_pitches_all_sound_is_no_dead_end() -> None:
    remi = Remi(4)
    notes = " ".join(f"Pitch_{pitch} Duration_128" for pitch in range(128))
    text = f"BOS Bar TimeSignature_4/4 Tempo_120 Position_0 Program_5 Velocity_78 {notes} Position_1"
    ways = allowed(remi, after(remi, text))
    assert {way.split("_")[0] for way in ways} == {"Tempo", "Program"}
    assert {"Program_4", "Program_6"} <= ways
    assert "Program_5" not in ways | allowed(remi, after(remi, text + " Program_4 Pitch_0 Duration_1"))
    check_grammar(remi, [unspell(remi, text + " Program_4 Pitch_0 Duration_1 EOS"), unspell(remi, text)])


def test_the_piece_ends_with_a_note() -> None:
    remi = Remi(4)
    text = "BOS Bar TimeSignature_4/4 Tempo_120 Position_0 Program_128 Velocity_78 Drum_35"
    assert "EOS" in allowed(remi, after(remi, text))
    for more in (" Bar", " Position_1", " Position_1 Tempo_126", " Program_128"):
        state = after(remi, text + more) if more != " Program_128" else after(remi, text.rsplit(" ", 1)[0])
        assert "EOS" not in allowed(remi, state)
    assert allowed(remi, after(remi, text + " EOS")) == {"PAD"}


@pytest.mark.parametrize("step", [0, 1, 5, 16, 17, 40])
def test_a_prompt_goes_on_after_its_end(step: int) -> None:
    remi = Remi(4)
    score = Score(make_notes(np.arange(0, 40, 2), np.arange(0, 40, 2) + 3, 60 + np.arange(20)), 4)
    prompt = remi.encode_prompt(score, step)
    opening = remi.decode(prompt).notes
    assert opening.tolist() == [note for note in remi.quantise(score).notes.tolist() if note[0] < step]
    grammar = remi.grammar()
    state = grammar.start(4)
    for token in prompt[1:].tolist():
        state = grammar.advance(state, np.full(4, token))
    state = grammar.hold_back(state, step)
    random = np.random.default_rng(step)
    more = []
    for _ in range(40):
        more.append(draw(grammar.allowed(state), random))
        state = grammar.advance(state, more[-1])
    for row in np.stack(more, 1):
        notes = remi.decode(np.concatenate([prompt, row])).notes
        assert notes[: len(opening)].tolist() == opening.tolist()
        assert (notes["start"][len(opening) :] >= step).all()


def test_what_a_state_tells() -> None:
    remi = Remi(4)
    text = (
        "BOS Bar TimeSignature_4/4 Pickup_2 Tempo_60 Position_14 Program_5 Velocity_78 Pitch_60 Duration_1 Pitch_64 "
        "Duration_6 Position_15 Program_128 Drum_35 Bar TimeSignature_3/4 Position_2 Tempo_120 Program_7 Pitch_70"
    )
    state = after(remi, text)
    clock = remi.grammar().clock(state)
    assert [part.item() for part in clock] == [4, 0, 2, 12, 1.0]
    sounding = state.until > clock.step[:, None]
    assert state.voices[sounding].tolist() == [5 * 128 + 64]
    assert state.until[sounding].tolist() == [6]
    named = {name: getattr(state, name).item() for name in ("program", "position", "line", "struck", "pace")}
    assert named == {"program": 7, "position": 2, "line": 2, "struck": 7 * 128 + 70, "pace": 0.125}
    assert spell(remi, np.array([state.velocity[0], state.tempo[0]])) == ["Velocity_78", "Tempo_120"]
