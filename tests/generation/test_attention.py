"""A model of attention writes as a recurrent one does: its memory is a state like theirs, of a length that grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.generation import MusicGenerator
from musiclstm.generation.engines import make_engine
from tests.generation.models import NATIVE, favour, make_generator
from tests.generation.test_state import same, song


def make(name: str = "voices", memory: int = 48) -> MusicGenerator:
    return make_generator(name, cell="attention", skip="residual", heads=2, memory=memory)


@pytest.mark.parametrize("name", NATIVE)
def test_what_it_writes_decodes(name: str) -> None:
    made = make(name)
    pieces = made.generate_scores(3, seed=1, max_tokens=100)
    for piece in pieces:
        assert len(piece.score) > 0 and piece.tokens <= 100 + 4096
        assert made.tokenizer.decode(piece.ids).notes["pitch"].max() < 128
    assert [piece.ids.tolist() for piece in pieces] == [
        piece.ids.tolist() for piece in made.generate_scores(3, seed=1, max_tokens=100)
    ]


def test_rows_go_back_meet_and_begin_anew_with_memories_of_any_length() -> None:
    made = favour(make("voices"), EOS=3.0)
    (endless,) = made.generate_scores(1, seed=1, endless=True, max_seconds=60)
    assert (endless.ids == 2).sum() > 1
    piece = made.generate(seed=1, key="C major", bars=4, ending="tonic", particles=4)
    pitches = {note.pitch % 12 for instrument in piece.instruments for note in instrument.notes}
    assert pitches and pitches <= {0, 2, 4, 5, 7, 9, 11}


@pytest.mark.parametrize("bars", [2, 6])  # of 64 tokens each: a memory that is not full, and one that is
def test_a_state_goes_on_as_if_it_had_never_stopped(bars: int, tmp_path: Path) -> None:
    made = favour(make(memory=200), EOS=-99)
    state = made.read(song(), bars=bars)
    by_prompt = made.generate_scores(1, prompt=song(), prompt_bars=bars, seed=4, max_tokens=60)[0]
    assert made.generate_scores(1, state=state, seed=4, max_tokens=60)[0].ids.tolist() == by_prompt.ids.tolist()
    state.save(tmp_path / "a.state")
    again = made.load_state(tmp_path / "a.state")
    assert same(again, state)
    assert made.generate_scores(1, state=again, seed=4, max_tokens=60)[0].ids.tolist() == by_prompt.ids.tolist()
    assert same(again.rewind(2), made.read(song(), bars=1))


def test_the_reference_engine_is_its_only_one() -> None:
    made = make()
    assert made.engine.name == "reference"
    for kind in ("int8", "torch", "cuda"):
        with pytest.raises(UserError, match=f"engine={kind} is not possible here .*a Transformer.*: give engine=auto"):
            make_engine(made.model, kind)


def test_no_row_depends_on_those_beside_it() -> None:
    engine = make(memory=8).engine
    tokens, features = np.full((20, 3), 5), np.zeros((20, 3, len(make().tokenizer.context_sizes)), np.int64)
    tokens[:, 1] = 7
    alone, together = engine.initial_state(1), engine.initial_state(3)
    for token, feature in zip(tokens, features, strict=True):
        logits, together = engine.step(token, feature, together)
        own, alone = engine.step(token[:1], feature[:1], alone)
        np.testing.assert_allclose(own[0], logits[0], atol=1e-5)
