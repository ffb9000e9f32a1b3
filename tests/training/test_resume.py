from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from musiclstm.data.datamodule import MusicData
from musiclstm.errors import UserError
from musiclstm.tokenizers.voices import Voices
from musiclstm.training.keep import BUNDLE
from musiclstm.training.metrics import read_metrics
from tests.training.fitting import small_fit, weights

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.training.fitting", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    small_fit(folder)
    return folder


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_run_killed_and_resumed_ends_as_one_never_stopped(straight: Path, tmp_path: Path) -> None:
    killed = run(tmp_path, "1", "10")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    step = torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < step < 12
    small_fit(tmp_path, ckpt_path=tmp_path / "last.ckpt")
    assert same(straight / "last.ckpt", tmp_path / "last.ckpt")
    assert (straight / BUNDLE).read_bytes() == (tmp_path / BUNDLE).read_bytes()
    assert read_metrics(straight / "metrics.csv") == read_metrics(tmp_path / "metrics.csv")


class Stop(Exception):
    pass


@pytest.mark.parametrize("every", [1, 3, 4, 7])
def test_resuming_from_any_step_ends_the_same(straight: Path, tmp_path: Path, every: int) -> None:
    # Validation runs after every fourth step: with 1 and 4 the checkpoint is written just before one.
    def stop(bundle: Path, step: int) -> None:
        if step == 8:
            raise Stop

    with pytest.raises(Stop):
        small_fit(tmp_path, every=every, on_best=stop)
    written = torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"]
    assert written == 8 // every * every
    small_fit(tmp_path, every=every, ckpt_path=tmp_path / "last.ckpt")
    assert same(straight / "last.ckpt", tmp_path / "last.ckpt")
    assert read_metrics(straight / "metrics.csv") == read_metrics(tmp_path / "metrics.csv")


def test_a_model_of_other_shape_does_not_go_on(straight: Path, tmp_path: Path) -> None:
    for arguments, reason in (
        ({"hidden_size": 24}, r"model\.hidden_size=24 cannot be changed with ckpt_path: the run began with \d+"),
        (Voices().references(), r"model\.intervals cannot be changed with ckpt_path: the run began with false"),
        ({"layer_norm": True}, r"model\.layer_norm=True cannot be changed with ckpt_path: the run began with False"),
    ):
        with pytest.raises(UserError, match=reason):
            small_fit(tmp_path, ckpt_path=straight / "last.ckpt", model_arguments=arguments)
    longer = small_fit(tmp_path, steps=13, ckpt_path=straight / "last.ckpt", model_arguments={"dropout": 0.5})
    assert longer.steps == 13  # dropout has no shape


def altered(path: Path, to: Path, **parts: dict[str, Any]) -> Path:
    """A checkpoint that says other things of its model or tokenizer."""
    checkpoint = torch.load(path, weights_only=True)
    for name, changes in parts.items():
        checkpoint["hyper_parameters"][name] |= changes
    torch.save(checkpoint, to)
    return to


def test_what_has_changed_since_the_run_began_is_named(straight: Path, tmp_path: Path) -> None:
    last = straight / "last.ckpt"
    for parts, reason in (
        ({"tokenizer": {"name": "remi"}}, "the tokenizer cannot be changed .* began with name remi, now it is voices"),
        ({"tokenizer": {"arguments": {}}}, "the tokenizer cannot be changed .* began with .* None, now it is"),
        ({"model": {"context_sizes": [4, 5]}}, "other features: go on with the musiclstm that began it, or train anew"),
    ):
        checkpoint = altered(last, tmp_path / "altered.ckpt", **parts)
        with pytest.raises(UserError, match=reason):
            small_fit(tmp_path, ckpt_path=checkpoint)


def test_a_checkpoint_from_before_there_was_a_setting_goes_on(straight: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(straight / "last.ckpt", weights_only=True)
    del checkpoint["hyper_parameters"]["model"]["layer_norm"]
    del checkpoint["hyper_parameters"]["tokenizer"]["arguments"]["features"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    assert small_fit(tmp_path, steps=13, ckpt_path=tmp_path / "old.ckpt").steps == 13


def test_a_run_whose_pieces_are_encoded_ahead_is_the_same_run(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(bundle: Path, step: int) -> None:
        if step == 8:
            raise Stop

    monkeypatch.setattr(MusicData, "_ahead", lambda data: True)
    with pytest.raises(Stop):
        small_fit(tmp_path, every=3, on_best=stop)
    small_fit(tmp_path, every=3, ckpt_path=tmp_path / "last.ckpt")
    assert same(straight / "last.ckpt", tmp_path / "last.ckpt")


def test_a_process_that_encodes_ahead_and_is_killed_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MusicData, "_ahead", lambda data: True)
    with pytest.raises(UserError, match=r"encodes pieces ahead was ended .* go on with ckpt_path"):
        small_fit(tmp_path, steps=100_000, kill_at=200)


def test_a_memory_is_resumed_as_any_state(tmp_path: Path) -> None:
    arguments = {"cell": "attention", "skip": "residual", "hidden_size": 16, "heads": 2, "memory": 100}
    small_fit(tmp_path / "straight", model_arguments=arguments)

    def stop(bundle: Path, step: int) -> None:
        if step == 8:
            raise Stop

    with pytest.raises(Stop):
        small_fit(tmp_path / "half", every=3, on_best=stop, model_arguments=arguments)
    small_fit(tmp_path / "half", every=3, ckpt_path=tmp_path / "half" / "last.ckpt", model_arguments=arguments)
    assert same(tmp_path / "straight" / "last.ckpt", tmp_path / "half" / "last.ckpt")


def test_two_processes_train_one_model_and_resume_exactly(tmp_path: Path) -> None:
    straight = run(tmp_path / "straight", "2", "0")
    assert straight.returncode == 0, straight.stderr
    checkpoint = torch.load(tmp_path / "straight" / "last.ckpt", weights_only=True)
    assert len(checkpoint["musiclstm"]) == 2 and checkpoint["global_step"] == 12
    first, second = (own["position"] for own in checkpoint["musiclstm"])
    assert first != second  # each process has read its own pieces

    killed = run(tmp_path / "half", "2", "10")
    assert killed.returncode != 0  # one process was killed, and the other finds it gone
    resumed = run(tmp_path / "half", "2", "0", str(tmp_path / "half" / "last.ckpt"))
    assert resumed.returncode == 0, resumed.stderr
    assert same(tmp_path / "straight" / "last.ckpt", tmp_path / "half" / "last.ckpt")


def test_same_seed_same_weights(straight: Path, tmp_path: Path) -> None:
    small_fit(tmp_path)
    assert same(straight / "last.ckpt", tmp_path / "last.ckpt")


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, straight: Path) -> None:
    checkpoint = torch.load(straight / "last.ckpt", weights_only=True)
    del checkpoint["musiclstm"]
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="did not write"):
        small_fit(tmp_path, ckpt_path=tmp_path / "other.ckpt")
