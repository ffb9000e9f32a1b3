from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from musiclstm.errors import UserError
from musiclstm.generation import MusicGenerator, load
from musiclstm.generation.state import MusicState
from musiclstm.model.bundle import save_bundle
from musiclstm.score import Score, make_notes
from tests.generation.models import NATIVE, favour, make_generator


def song(bars: int = 6) -> Score:
    """Quarter notes in 4/4."""
    start = np.arange(4 * bars) * 480
    return Score(make_notes(start, start + 480, 60 + np.arange(4 * bars) % 7, 70))


def after(made: MusicGenerator, tokens: int = 150) -> MusicState:
    (piece,) = favour(made, EOS=-99).generate_scores(1, seed=2, max_tokens=tokens)
    assert piece.state is not None
    return piece.state


def same(one: MusicState, other: MusicState) -> bool:
    return one.ids.tolist() == other.ids.tolist() and one.moment.logits.tobytes() == other.moment.logits.tobytes()


@pytest.mark.parametrize("name", NATIVE)
def test_a_state_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    made = favour(make_generator(name), EOS=-99)
    state = made.read(song(), bars=2)
    assert state.bars == 2 if name != "remi" else state.bars in (1, 2)
    by_state = made.generate_scores(1, state=state, seed=4, max_tokens=60)[0].ids
    by_prompt = made.generate_scores(1, prompt=song(), prompt_bars=2, seed=4, max_tokens=60)[0].ids
    assert by_state.tolist() == by_prompt.tolist()


@pytest.mark.parametrize("name", NATIVE)
def test_the_same_seed_from_a_saved_state_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    made = make_generator(name)
    state = after(made)
    state.save(tmp_path / "a.state")
    assert (tmp_path / "a.state").stat().st_size < 20_000
    expected = [piece.ids for piece in made.generate_scores(2, state=state, seed=5, max_tokens=50)]
    made.generate_scores(3, state=state, seed=6, max_tokens=70)  # whatever was generated between
    again = made.load_state(tmp_path / "a.state")
    assert same(again, state)
    found = [piece.ids for piece in made.generate_scores(2, state=again, seed=5, max_tokens=50)]
    assert [ids.tolist() for ids in found] == [ids.tolist() for ids in expected]


def test_another_process_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    bundle = tmp_path / "model.safetensors"
    made = make_generator("remi")
    save_bundle(bundle, made.model, made.tokenizer.to_dict(), {})
    made = load(bundle)
    state = made.read(song(), bars=3)
    state.save(tmp_path / "a.state")
    (piece,) = made.generate_scores(1, state=state.rewind(2), seed=3, max_tokens=60)
    script = (
        "import musiclstm\n"
        "model = musiclstm.load('model.safetensors')\n"
        "state = model.load_state('a.state').rewind(2)\n"
        "model.generate(state=state, seed=3, max_tokens=60).write('other.mid')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)
    piece.to_pretty_midi().write(str(tmp_path / "own.mid"))
    assert (tmp_path / "other.mid").read_bytes() == (tmp_path / "own.mid").read_bytes()


@pytest.mark.parametrize("name", NATIVE)
def test_rewind_keeps_what_comes_before_the_bar(name: str) -> None:
    made = make_generator(name)
    state = after(made, 400)
    whole = state.score
    lines = whole.bar_starts(whole.end + 1)[int(whole.first_bar > 0) :]
    assert state.bars >= 2
    for bar in range(1, min(state.bars, 6) + 2):
        back = state.rewind(bar)
        assert back.bars in (bar - 1, bar - 2)
        line = int(lines[bar - 1])
        kept = back.score.notes
        expected = whole.notes[whole.notes["start"] < line]
        assert kept[["start", "pitch", "program"]].tolist() == expected[["start", "pitch", "program"]].tolist()
        for piece in made.generate_scores(3, state=back, seed=1, max_tokens=40):
            new = made.tokenizer.decode(piece.ids).notes
            assert (new["start"] >= line).sum() == len(new) - len(expected)
    assert len(state.rewind(0).ids) == 1


def test_branches_are_independent() -> None:
    made = make_generator("voices")
    one, two = made.read(song(), bars=2).branch(2)
    first = made.generate_scores(1, state=one, seed=1, max_tokens=40)[0].ids
    other = made.generate_scores(1, state=two, seed=2, max_tokens=40)[0].ids
    assert first.tolist() != other.tolist()
    assert made.generate_scores(1, state=two, seed=1, max_tokens=40)[0].ids.tolist() == first.tolist()


def test_what_was_generated_goes_on(tmp_path: Path) -> None:
    made = favour(make_generator("performance"), EOS=-99)
    (piece,) = made.generate_scores(1, seed=1, max_tokens=120)
    assert piece.state is not None
    (longer,) = made.generate_scores(1, state=piece.state, seed=2, max_tokens=50)
    assert longer.ids[: len(piece.ids)].tolist() == piece.ids.tolist()
    assert (longer.tokens, len(longer.ids)) == (50, len(piece.ids) + 50)
    assert longer.prompt_end is not None


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    made = make_generator("voices")
    with pytest.raises(UserError, match=r"no\.state does not exist"):
        made.load_state(tmp_path / "no.state")
    (tmp_path / "text.state").write_text("no state")
    with pytest.raises(UserError, match="is no state of music"):
        made.load_state(tmp_path / "text.state")
    state = made.read(song())
    state.save(tmp_path / "a.state")
    with pytest.raises(UserError, match="belongs to another model"):
        make_generator("voices", seed=1).load_state(tmp_path / "a.state")
    with pytest.raises(UserError, match="belongs to another model"):
        make_generator("voices", seed=1).generate(state=state)
    arrays = load_file(tmp_path / "a.state")
    save_file(arrays, tmp_path / "bare.state")
    with pytest.raises(UserError, match="is no state of music"):
        made.load_state(tmp_path / "bare.state")
    with pytest.raises(UserError, match="bar=99: the music has come to bar 7"):
        state.rewind(99)
    with pytest.raises(UserError, match="state= and prompt= exclude each other"):
        made.generate(state=state, prompt=song())
    (ended,) = favour(make_generator("voices"), EOS=99).generate_scores(1)
    with pytest.raises(UserError, match="has ended: take it back"):
        make_generator("voices").generate(state=MusicState(state.player, ended.ids, state.moment, state.fingerprint))


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    made = make_generator("voices")
    made.read(song()).save(tmp_path / "a.state")
    whole = (tmp_path / "a.state").read_bytes()
    (tmp_path / "a.state").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is no state of music, or damaged"):
        made.load_state(tmp_path / "a.state")
