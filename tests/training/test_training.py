from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from musiclstm.errors import UserError
from musiclstm.model.bundle import load_bundle
from musiclstm.tokenizers.voices import Voices
from musiclstm.training.metrics import MetricsLog, read_metrics
from musiclstm.training.schedule import Budget, warmup_cosine
from tests.music import chorales
from tests.training.fitting import small_fit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    best: list[int] = []
    result = small_fit(folder, steps=24, on_best=lambda bundle, step: best.append(step))
    assert best and result.steps == 24
    return folder


def test_a_run_leaves_what_it_says(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        *("last.ckpt", "loss.png", "metrics.csv", "model.safetensors", "result.json")
    }
    result = json.loads((run / "result.json").read_text())
    assert result["bundle"] == str(run / "model.safetensors")
    assert result["provenance"] == {"trained_on": "made-up chorales"}


def test_the_loss_falls(run: Path) -> None:
    losses = [row["train/loss"] for row in read_metrics(run / "metrics.csv") if "train/loss" in row]
    assert len(losses) == 24 and sum(losses[-4:]) < 0.85 * sum(losses[:4])


def test_the_best_score_is_that_of_the_bundle_over_whole_pieces(run: Path) -> None:
    """Against the definition: each validation piece alone, in one window, from the initial state."""
    store = chorales()
    tokenizer = Voices.fit(store.scores)
    model = load_bundle(run / "model.safetensors").model
    nats, tokens, notes = 0.0, 0, 0
    for i in store.split("validation"):
        ids = torch.from_numpy(tokenizer.encode(store[int(i)])).long()
        context = torch.from_numpy(tokenizer.context(ids[None].numpy())[0])
        with torch.no_grad():
            logits, _ = model(ids[None, :-1], context[:, :-1])
        nats += float(F.cross_entropy(logits[0], ids[1:], reduction="sum"))
        tokens += len(ids) - 1
        notes += len(store[int(i)])
    result = json.loads((run / "result.json").read_text())
    assert result["nats_per_note"] == pytest.approx(nats / notes, rel=1e-4)
    assert result["scores"]["val/loss"] == pytest.approx(nats / tokens, rel=1e-4)
    headers = 2 * len(store.split("validation"))  # each piece's TimeSignature and EOS are scored and are no step
    assert result["scores"]["val/nats_per_voice_step"] == pytest.approx(nats / (tokens - headers), rel=1e-4)


def test_the_bundle_says_which_tokens_training_saw(run: Path) -> None:
    bundle = load_bundle(run / "model.safetensors")
    counts = bundle.model.token_counts
    assert counts.sum() == bundle.provenance["tokens_seen"] and counts[0] == 0


def test_a_checkpoint_is_the_model_that_was_validated(run: Path) -> None:
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    loaded = load_bundle(run / "last.ckpt").model.state_dict()
    assert all(torch.equal(loaded[k], checkpoint["state_dict"][f"average.module.{k}"]) for k in loaded)


def test_fast_dev_run_keeps_nothing(tmp_path: Path) -> None:
    result = small_fit(tmp_path, fast_dev_run=True)
    assert result.bundle is None and result.steps == 1
    assert not list(tmp_path.glob("*.ckpt")) and not list(tmp_path.glob("*.safetensors"))


def test_patience_ends_a_run_that_learns_nothing(tmp_path: Path) -> None:
    optimizer = {"learning_rate": 1e-12, "warmup_steps": 1}
    result = small_fit(tmp_path, steps=400, optimizer=optimizer, patience=2)
    assert result.steps < 100


def test_a_run_ends_in_time_with_a_validation(tmp_path: Path) -> None:
    result = small_fit(tmp_path, steps=-1, max_minutes=0.02)
    assert math.isfinite(result.nats_per_note) and result.minutes < 1


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"max_minutes": -1}, "max_minutes is -1"),
        ({"steps": 0}, "trainer.max_steps is 0"),
        ({"steps": -1}, "never end"),
        ({"patience": 0}, "optimizer.patience is 0"),
        ({"optimizer": {"learning_rate": 0}}, "optimizer.learning_rate is 0"),
        ({"optimizer": {"average_decay": 1}}, "optimizer.average_decay is 1"),
    ],
)
def test_bad_values_are_said(tmp_path: Path, bad: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        small_fit(tmp_path, **bad)  # type: ignore[arg-type]


def test_learning_rate_warms_up_and_falls_like_a_cosine() -> None:
    warming = [warmup_cosine(step, 10, 0.0) for step in range(12)]
    assert warming[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)]) and warming[11] == 1
    assert warmup_cosine(100, 10, 0.5, final=0.0) == pytest.approx(0.5)
    assert warmup_cosine(100, 10, 1.0, final=0.02) == pytest.approx(0.02)


def test_minutes_add_up_over_resumed_runs() -> None:
    first = Budget(10, -1)
    first.load_state_dict({"minutes": 4.0})
    assert first.minutes >= 4 and first.state_dict()["minutes"] == pytest.approx(first.minutes, abs=1e-3)


def test_a_resumed_log_drops_what_comes_again(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    for step in range(5):
        log.log_metrics({"train/loss": 5.0 - step, "epoch": 0}, step)
    log.log_metrics({"val/loss": 1.5}, 4)
    log.save()
    resumed = MetricsLog(tmp_path)
    resumed.log_metrics({"train/loss": 7.0}, 3)
    resumed.save()
    assert read_metrics(tmp_path / "metrics.csv") == [
        *({"step": step, "train/loss": 5.0 - step} for step in range(3)),
        {"step": 3, "train/loss": 7.0},
    ]
    with (tmp_path / "metrics.csv").open() as file:
        assert next(csv.reader(file)) == ["step", "train/loss"]


def test_tensorboard_is_written_where_asked(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    small_fit(tmp_path, steps=2, tensorboard=True)
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.parametrize("bad", [{"devices": 0}, {"precision": "7"}, {"no_such_key": 1}])
def test_what_lightning_refuses_is_said_in_a_line(tmp_path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(UserError, match="trainer"):
        small_fit(tmp_path, trainer=bad)
