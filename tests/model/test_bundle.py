"""Bundles and checkpoints: the round trip, and every kind of bad file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from musiclstm.errors import UserError
from musiclstm.model.bundle import FORMAT_VERSION, load_bundle, save_bundle
from musiclstm.model.music_lstm import MusicLSTM

TOKENIZER = {"name": "performance", "velocities": 32}
PROVENANCE = {"data": "bach", "seed": 1, "val/nats_per_note": 0.5, "Stück": "größer"}
METADATA_KEY = "musiclstm_bundle"


def make_model(**arguments: Any) -> MusicLSTM:
    torch.manual_seed(0)
    model = MusicLSTM(20, (3,), embedding_size=6, hidden_size=8, dropout=0.5, **arguments)
    model.token_counts += torch.arange(20)
    return model


def logits(model: MusicLSTM) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(20, (2, 5), generator=generator)
    with torch.no_grad():
        result: torch.Tensor = model.eval()(tokens, torch.randint(3, (2, 5, 1), generator=generator))[0]
    return result


def checkpoint_of(model: MusicLSTM) -> dict[str, Any]:
    weights = {f"average.module.{name}": value for name, value in model.state_dict().items()}
    return {
        "state_dict": weights | {"metric.total": torch.zeros(1)},
        "hyper_parameters": {"model": model.arguments, "tokenizer": TOKENIZER, "provenance": PROVENANCE},
        "epoch": 3,
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_bundle(path, make_model(), TOKENIZER, PROVENANCE)
    return path


KINDS: list[dict[str, Any]] = [
    {"cell": "lstm", "learned_state": True, "layer_norm": True},
    {"cell": "peephole", "learned_state": True, "gated_output": True},
    {"cell": "attention", "skip": "residual", "heads": 2, "memory": 3},
]


@pytest.mark.parametrize("arguments", KINDS)
@pytest.mark.parametrize("tie_output", [False, True])
@pytest.mark.parametrize("kind", ["bundle", "checkpoint"])
def test_round_trip(tmp_path: Path, kind: str, tie_output: bool, arguments: dict[str, Any]) -> None:
    model = make_model(tie_output=tie_output, **arguments)
    path = tmp_path / "new" / "folder" / "any.name"
    if kind == "bundle":
        save_bundle(path, model, TOKENIZER, PROVENANCE)
    else:
        path.parent.mkdir(parents=True)
        torch.save(checkpoint_of(model), path)
    loaded = load_bundle(path)
    assert (loaded.tokenizer, loaded.provenance) == (TOKENIZER, PROVENANCE)
    assert loaded.model.arguments == model.arguments
    assert not loaded.model.training
    assert torch.equal(loaded.model.token_counts, model.token_counts)
    assert torch.equal(logits(loaded.model), logits(model))


def test_weights_in_half_precision_are_read_as_single(tmp_path: Path) -> None:
    model = make_model()
    whole = logits(model)
    save_bundle(tmp_path / "half.safetensors", model.half(), TOKENIZER, PROVENANCE)
    loaded = load_bundle(tmp_path / "half.safetensors").model
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(loaded), whole, atol=1e-2, rtol=0)


def test_saving_replaces_the_file_whole_or_not_at_all(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bundle.read_bytes()
    with pytest.raises(TypeError):
        save_bundle(bundle, make_model(), {"not": object()}, PROVENANCE)

    def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space left"):
            save_bundle(bundle, make_model(tie_output=True), TOKENIZER, PROVENANCE)
    assert bundle.read_bytes() == before
    save_bundle(bundle, make_model(tie_output=True), TOKENIZER, PROVENANCE)
    assert load_bundle(bundle).model.arguments["tie_output"]
    assert list(bundle.parent.iterdir()) == [bundle]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_bundle_has_the_permissions_of_any_new_file(bundle: Path) -> None:
    other = bundle.with_name("other")
    other.write_bytes(b"")
    assert bundle.stat().st_mode == other.stat().st_mode


def rewritten(bundle: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], None]) -> Path:
    with safetensors.safe_open(bundle, framework="pt") as file:
        parts = json.loads(file.metadata()[METADATA_KEY])
    weights = safetensors.torch.load_file(bundle)
    change(weights, parts)
    text = parts.pop("text", None) or json.dumps(parts)
    safetensors.torch.save_file(weights, bundle, {METADATA_KEY: text} if parts else {})
    return bundle


def with_argument(name: str, value: object) -> Callable[[dict[str, torch.Tensor], dict[str, Any]], None]:
    def change(_: dict[str, torch.Tensor], parts: dict[str, Any]) -> None:
        parts["model"][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights, parts: parts.clear(), "no musiclstm bundle"),
        (lambda weights, parts: parts.update(format="nine"), "no musiclstm bundle"),
        (lambda weights, parts: parts.update(text="{"), "no musiclstm bundle"),
        (lambda weights, parts: parts.update(text="[]"), "no musiclstm bundle"),
        (lambda weights, parts: parts.update(text="[" * 100_000), "no musiclstm bundle"),
        (lambda weights, parts: parts.update(format=9), f"reads up to {FORMAT_VERSION}: upgrade"),
        (lambda weights, parts: parts.pop("tokenizer"), "does not say which model, tokenizer"),
        (lambda weights, parts: parts.update(model="x"), "does not say which model, tokenizer"),
        (lambda weights, parts: parts.update(provenance=[]), "does not say which model, tokenizer"),
        (lambda weights, parts: weights.pop("head.bias"), "do not fit the model it describes .*head.bias"),
        (lambda weights, parts: weights.update(more=torch.zeros(1)), "do not fit .*more"),
        (with_argument("hidden_size", 9), "do not fit the model it describes"),
        (with_argument("hidden_size", 10**7), "do not fit the model it describes"),
        (with_argument("num_layers", 10**9), "names 1000000000 layers and holds"),
        (with_argument("hidden_size", 10**30), "cannot be built"),
        (with_argument("num_layers", 0), "cannot be built .num_layers=0"),
        (with_argument("attention", 8), "cannot be built .*attention"),
    ],
)
def test_a_changed_bundle_is_refused_in_a_sentence(bundle: Path, change: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_bundle(rewritten(bundle, change))
    assert str(bundle) in str(caught.value)
    assert "\n" not in str(caught.value)


def truncated_bundle(path: Path) -> None:
    save_bundle(path, make_model(), TOKENIZER, PROVENANCE)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_header(path: Path) -> None:
    save_bundle(path, make_model(), TOKENIZER, PROVENANCE)
    path.write_bytes(path.read_bytes()[:50])


def truncated_checkpoint(path: Path) -> None:
    torch.save(checkpoint_of(make_model()), path)
    path.write_bytes(path.read_bytes()[:-100])


def pickled_model(path: Path) -> None:
    torch.save(checkpoint_of(make_model()) | {"model": make_model()}, path)


def checkpoint_of_another_program(path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, path)


def checkpoint_of_a_list(path: Path) -> None:
    torch.save([1, 2], path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is neither a bundle"),
        (lambda path: path.write_text("version https://git-lfs\n" * 5), "is neither a bundle"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is no readable checkpoint"),
        (truncated_bundle, "is damaged or cut off"),
        (truncated_header, "is damaged or cut off"),
        (truncated_checkpoint, "is no readable checkpoint"),
        (pickled_model, "holds Python objects"),
        (checkpoint_of_another_program, "does not say which model"),
        (checkpoint_of_a_list, "does not say which model"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "model.safetensors"
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        load_bundle(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
