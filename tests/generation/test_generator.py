from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
import torch

from musiclstm.errors import UserError
from musiclstm.generation import MusicGenerator, load, newest_bundle, writing
from musiclstm.generation.controls import Plan
from musiclstm.generation.controls.accounts import PlanState
from musiclstm.model.bundle import save_bundle
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.pretrained import DEFAULT, pretrained
from musiclstm.tokenizers.vocabulary import BOS, EOS
from musiclstm.tokenizers.voices import Voices
from tests.generation.models import NATIVE, favour, make_generator, make_tokenizer


def content(midi: pretty_midi.PrettyMIDI) -> bytes:
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


@pytest.mark.parametrize("name", NATIVE)
def test_every_piece_is_music(name: str) -> None:
    for temperature in (0.5, 1.0, 3.0):
        pieces = make_generator(name).generate_scores(4, seed=7, temperature=temperature, max_tokens=100)
        for piece in pieces:
            midi = piece.to_pretty_midi()
            assert sum(len(instrument.notes) for instrument in midi.instruments) == len(piece.score) > 0
            assert piece.ids[0] == BOS
            assert piece.ended == (piece.ids[-1] == EOS)
            assert len(piece.ids) == piece.tokens + 1
            assert 0 <= piece.masked <= 1
            assert piece.prompt_end is None


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("limits", [{"max_bars": 2}, {"max_seconds": 1.5}, {"max_seconds": 0.05}, {"max_tokens": 1}])
def test_limits_hold_in_the_midi_file(name: str, limits: dict[str, Any]) -> None:
    for piece in favour(make_generator(name), EOS=-99).generate_scores(4, seed=1, **limits):
        midi = piece.to_pretty_midi()
        assert midi.get_end_time() > 0
        assert midi.get_end_time() <= limits.get("max_seconds", 1e9) + 1e-6
        starts = piece.score.bar_starts()
        assert len(starts) - (piece.score.first_bar > 0) <= limits.get("max_bars", 1e9)


def test_tokens_are_counted() -> None:
    (piece,) = favour(make_generator(), EOS=-99).generate_scores(1, max_tokens=50)
    assert (piece.tokens, len(piece.ids), piece.ended) == (50, 51, False)


@pytest.mark.parametrize("limits", [{"max_tokens": 3}, {"max_bars": 1}, {"max_seconds": 0.5}])
def test_silence_is_waited_out(limits: dict[str, Any]) -> None:
    silent = favour(make_generator("voices"), Rest=6.5, EOS=-99)
    for piece in silent.generate_scores(4, seed=2, top_p=None, **limits):
        assert len(piece.score) > 0
        assert piece.seconds <= limits.get("max_seconds", 1e9)
        assert piece.tokens > limits.get("max_tokens", 0)


@pytest.mark.parametrize("particles", [1, 4])
def test_under_constraints_a_silent_piece_begins_anew(particles: int) -> None:
    silent = favour(make_generator("voices"), Rest=6.5, EOS=-99)
    arguments: dict[str, Any] = {"top_p": None, "particles": particles, "max_bars": 2, "rhythm": "..x.", "meter": "4/4"}
    for piece in silent.generate_scores(2, seed=2, **arguments):
        bar = 4 * piece.score.ticks_per_quarter
        assert set((piece.score.notes["start"] - piece.score.first_bar) % bar) == {bar // 2}
        assert piece.ids.tolist().count(silent.tokenizer.vocabulary["Rest"]) < 3 * 16 * 4


def test_a_model_of_other_features_is_refused(tmp_path: Path) -> None:
    made, path = make_generator("voices"), tmp_path / "old.safetensors"
    save_bundle(path, made.model, Voices(4, features=["voice", "last"]).to_dict(), {})
    with pytest.raises(UserError, match=r"old.safetensors was trained with other context features than voices has"):
        load(path)


@pytest.mark.parametrize("name", ["performance", "remi"])
def test_a_model_from_before_features_named_pitches_is_refused(name: str, tmp_path: Path) -> None:
    tokenizer, path = make_tokenizer(name), tmp_path / "old.safetensors"
    sizes = list(tokenizer.context_sizes.values())[:-4]
    model = MusicLSTM(len(tokenizer.vocabulary), sizes, embedding_size=8, hidden_size=16)
    save_bundle(path, model, tokenizer.to_dict(), {})
    with pytest.raises(UserError, match=rf"^.*old.safetensors was .* other context features than {name} has.*anew$"):
        load(path)


@pytest.mark.parametrize("name", NATIVE)
def test_models_that_go_by_intervals_play(name: str) -> None:
    tokenizer = make_tokenizer(name)
    made = make_generator(tokenizer, **tokenizer.references())
    intervals = made.model.intervals
    assert intervals is not None
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in intervals.parameters():
            parameter.normal_(std=3.0)
    made = MusicGenerator(made.model, tokenizer)  # engines keep the weights that they found
    pieces = made.generate_scores(3, seed=1, max_tokens=60)
    assert all(len(piece.score) for piece in pieces)
    again = MusicGenerator(made.model, tokenizer).generate_scores(3, seed=1, max_tokens=60)
    assert [piece.ids.tolist() for piece in again] == [piece.ids.tolist() for piece in pieces]


def test_endless_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_SILENCE", 50)
    with pytest.raises(UserError, match="tokens without a note: give another seed"):
        favour(make_generator("voices"), Rest=99).generate(max_bars=1)
    with pytest.raises(UserError, match="tokens without a note: loosen what is asked of its notes"):
        favour(make_generator("voices"), Rest=99).generate(max_bars=1, key="C major")


def test_a_forgotten_note_is_not_held_to_the_end() -> None:
    stuck = favour(make_generator("performance"), NoteOff=-2, NoteOn=-1)
    for piece in stuck.generate_scores(4, max_seconds=60):
        notes = piece.score.notes
        long = (notes["end"] - notes["start"]) > 4 * 960
        at_end = notes["end"] == piece.score.end
        others = (notes["end"] - notes["start"])[~at_end].max()
        assert ((notes["end"] - notes["start"])[long & at_end] <= others).all()


@pytest.mark.parametrize("name", NATIVE)
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    options: dict[str, Any] = {"seed": 3, "max_tokens": 80, "prompt": "random"}
    first = content(make_generator(name).generate(**options))
    assert content(make_generator(name).generate(**options)) == first
    assert content(make_generator(name).generate(**{**options, "seed": 4})) != first


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    bundle = tmp_path / "model.safetensors"
    made = make_generator("remi")
    save_bundle(bundle, made.model, made.tokenizer.to_dict(), {})
    script = f"import musiclstm; musiclstm.load({str(bundle)!r}).generate(seed=5, max_tokens=90).write('other.mid')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "other.mid").read_bytes() == content(load(bundle).generate(seed=5, max_tokens=90))


@pytest.mark.parametrize("name", NATIVE)
def test_a_piece_is_the_same_whatever_is_written_beside_it(name: str) -> None:
    made = make_generator(name)
    together = made.generate_scores(5, seed=9, max_tokens=70)
    assert made.generate_scores(2, seed=9, max_tokens=70)[1].score == together[1].score
    assert made.generate_scores(1, seed=9, max_tokens=70)[0].score == together[0].score
    assert len({tuple(piece.ids) for piece in together}) == 5


def test_many_pieces_are_written_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_generator()
    together = made.generate_scores(5, max_tokens=20)
    monkeypatch.setattr(type(made.engine), "rows", 2)
    ended: list[int] = []
    apart = made.generate_scores(5, max_tokens=20, on_end=ended.append)
    assert [piece.score for piece in apart] == [piece.score for piece in together]
    assert sum(ended) == 5


def test_a_random_prompt_is_drawn_from_the_counts_of_training() -> None:
    made = favour(make_generator("voices"), Pitch=-99)
    vocabulary = made.tokenizer.vocabulary
    made.model.token_counts[:] = 1
    for token in ("TimeSignature_3/4", "Pitch_61", "Pitch_64"):
        made.model.token_counts[vocabulary[token]] = 10**12
    for piece in made.generate_scores(3, prompt="random", prompt_tokens=13, max_tokens=60):
        drawn = [vocabulary.tokens[i] for i in piece.ids[1:14]]
        assert drawn[0] == "TimeSignature_3/4"
        assert set(drawn[1:]) == {"Pitch_61", "Pitch_64"}
        assert not any(vocabulary.tokens[i].startswith("Pitch") for i in piece.ids[14:])
        assert piece.prompt_end == 3 * 120
        assert piece.score.meters["numerator"][0] == 3


def test_what_training_never_met_is_not_said() -> None:
    made = make_generator("remi")
    vocabulary = made.tokenizer.vocabulary
    met = {"Bar", "TimeSignature_3/4", "Tempo_120", "Position_0", "Position_12", "Program_5", "Velocity_62", "EOS"}
    met |= {"Pitch_60", "Pitch_64", "Pitch_67", "Duration_6", "Duration_12"}
    for token in met:
        made.model.token_counts[vocabulary[token]] = 1
    for piece in made.generate_scores(4, max_tokens=80):
        assert {vocabulary.tokens[i] for i in piece.ids} <= met | {"BOS"}


@pytest.mark.parametrize("name", NATIVE)
def test_a_random_prompt_needs_no_counts(name: str) -> None:
    for piece in make_generator(name).generate_scores(3, prompt="random", max_tokens=60):
        assert piece.prompt_end is not None
        assert 0 <= piece.prompt_end <= piece.score.end
        assert piece.tokens > 16


def test_greedy_writes_one_piece() -> None:
    pieces = make_generator("frames").generate_scores(3, temperature=0, max_tokens=40)
    assert pieces[0].score == pieces[1].score == pieces[2].score


def test_threads_are_left_as_they_were() -> None:
    before = torch.get_num_threads()
    make_generator().generate_scores(1, max_tokens=8)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n=0 .* at least 1"),
        ({"seed": -1}, "seed=-1 .* at least 0"),
        ({"seed": 0.5}, r"seed=0\.5"),
        ({"top_p": 0}, "top_p=0"),
        ({"max_bars": -1}, "max_bars=-1"),
    ],
)
def test_bad_values_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_generator().generate_scores(**{"n": 1, **arguments})


def save(made: MusicGenerator, path: Path) -> Path:
    save_bundle(path, made.model, made.tokenizer.to_dict(), {"trained_on": "noise"})
    return path


def test_load_takes_the_newest_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSICLSTM_OUTPUTS", raising=False)
    with pytest.raises(UserError, match=r"no model under outputs.: train one with `python -m musiclstm\.train`"):
        load("outputs")
    assert newest_bundle(tmp_path) is None
    assert load().path == pretrained()[DEFAULT]
    old = save(make_generator("frames"), tmp_path / "outputs" / "a" / "model.safetensors")
    new = save(make_generator("voices"), tmp_path / "outputs" / "b" / "deep" / "model.safetensors")
    stamp = old.stat().st_mtime_ns
    os.utime(old, ns=(stamp, stamp - 10**9))
    assert load().tokenizer.name == "voices"
    assert load(tmp_path / "outputs" / "a").tokenizer.name == "frames"
    assert load(old).provenance == {"trained_on": "noise"}
    assert newest_bundle(tmp_path) == new
    monkeypatch.setenv("MUSICLSTM_OUTPUTS", str(old.parent))
    assert load().path == old


def test_load_refuses_devices_that_are_not_there() -> None:
    with pytest.raises(UserError, match="device='tpu' is unknown: choose one of cpu, cuda"):
        load(DEFAULT, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"device=cuda is not possible here .* give device=cpu"):
            load(DEFAULT, device="cuda")


def test_load_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model at all")
    with pytest.raises(UserError, match=r"notes\.txt"):
        load(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="no model under"):
        load(tmp_path)


def test_features_change_what_is_written() -> None:
    """The context reaches the model step by step as it does over a whole sequence."""
    made = make_generator("remi")
    made = MusicGenerator(made.model, made.tokenizer, engine="torch")  # in 8 bits two logits may change places
    (piece,) = made.generate_scores(1, seed=1, temperature=0, max_tokens=60)
    ids = piece.ids[None].astype(np.int64)
    features, _ = made.tokenizer.context(ids)
    with torch.inference_mode():
        logits, _ = made.model(torch.from_numpy(ids), torch.from_numpy(features))
    grammar, state = made.tokenizer.grammar(), made.tokenizer.grammar().start(1)
    for i, token in enumerate(piece.ids[1:].tolist()):
        allowed = grammar.allowed(state)
        assert int(logits[0, i].masked_fill(~torch.from_numpy(allowed[0]), -torch.inf).argmax()) == token
        state = grammar.advance(state, np.array([token]))


@pytest.mark.parametrize("particles", [1, 4])
def test_where_no_way_on_is_found_that_is_said(particles: int, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Plan.narrow

    def wall(self: Plan, gstate: Any, pstate: PlanState, allowed: np.ndarray) -> np.ndarray:
        mask = narrow(self, gstate, pstate, allowed)
        mask[pstate.clock.bar >= 1] = False
        return mask

    monkeypatch.setattr(Plan, "narrow", wall)
    made = favour(make_generator("voices"), Pickup=-99)
    with pytest.raises(UserError, match="no way was found to go on in bar 2 with key=C major, bars=4 all together"):
        made.generate(key="C major", bars=4, particles=particles)
