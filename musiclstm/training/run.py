"""One training run: everything between a store with a tokenizer and a folder with a model."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from musiclstm.console import say
from musiclstm.data.ahead import why_it_died
from musiclstm.data.datamodule import MusicData
from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.rendering.curves import loss_curve
from musiclstm.training.keep import BestBundle, LastCheckpoint
from musiclstm.training.metrics import MetricsLog
from musiclstm.training.module import MusicTraining
from musiclstm.training.progress import Progress
from musiclstm.training.resume import ExactResume
from musiclstm.training.schedule import Budget


@dataclass(frozen=True)
class Result:
    """What a run came to. `result.json` in its folder says the same."""

    folder: str
    bundle: str | None  # None where nothing was validated
    nats_per_note: float  # the best validation; nan where there was none
    scores: dict[str, float]  # all metrics of that validation
    parameters: int
    steps: int
    minutes: float


def fit(
    model: MusicLSTM,
    data: MusicData,
    folder: Path,
    *,
    max_minutes: float | None,
    trainer: dict[str, Any],
    optimizer: dict[str, Any],
    patience: int,
    every_minutes: float | None,
    every_n_steps: int | None = None,
    compile: bool = False,
    tensorboard: bool = False,
    fast_dev_run: bool = False,
    provenance: dict[str, Any],
    ckpt_path: Path | None = None,
    on_best: Callable[[Path, int], None] | None = None,
) -> Result:
    """Trains `model` on `data`, writes what comes of it into `folder` and gives the result.

    trainer: arguments of lightning.Trainer. optimizer: those of `MusicTraining` that begin with its
    learning rate. every_minutes or every_n_steps: how often `last.ckpt` is written.
    """
    # Lightning 2.6 asks torch 2.13's pytree in a way that torch deprecates: nothing that a user could change.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    folder.mkdir(parents=True, exist_ok=True)
    budget = Budget(max_minutes, 1 if fast_dev_run else int(trainer.get("max_steps", -1)))
    module = MusicTraining(
        model,
        data.tokenizer,
        val_notes=data.val_notes(),
        progress=lambda: budget.progress,
        provenance=provenance,
        compile=compile,
        **optimizer,
    )
    best = BestBundle(folder, on_best)
    log = MetricsLog(folder)
    # Order matters: what the others keep is up to date when the last of them writes a checkpoint.
    progress = Progress(budget, data.notes_per_token)
    callbacks: list[L.Callback] = [budget, ExactResume(data), progress, _EarlyStop(patience)]
    if not fast_dev_run:
        callbacks += [best, LastCheckpoint(folder, every_minutes, every_n_steps)]
    arguments = {
        "max_epochs": -1,
        "check_val_every_n_epoch": None,  # the lanes never end: validation is by steps
        "num_sanity_val_steps": 0,
        "fast_dev_run": fast_dev_run,
        "use_distributed_sampler": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": [log, *_tensorboard(folder, tensorboard)],
        "callbacks": callbacks,
        "default_root_dir": folder,
        **trainer,
        "precision": _precision(trainer.get("precision", "auto")),
    }
    try:
        lightning = L.Trainer(**arguments)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"trainer.*: Lightning refuses it ({str(error).partition(chr(10))[0]})") from error
    try:
        lightning.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    except RuntimeError as error:
        if died := why_it_died(error):
            raise died from None
        raise
    result = Result(
        folder=str(folder),
        bundle=str(best.path) if math.isfinite(best.best) else None,
        nats_per_note=best.best if math.isfinite(best.best) else math.nan,
        scores=best.scores,
        parameters=model.num_parameters,
        steps=lightning.global_step,
        minutes=round(budget.minutes, 2),
    )
    if lightning.is_global_zero:
        if log.rows:
            loss_curve(log.rows, folder / "loss.png")
        write_json(folder / "result.json", {**asdict(result), "provenance": provenance})
    return result


class _EarlyStop(L.Callback):
    """Ends the run after `patience` validations in a row without a better one."""

    def __init__(self, patience: int) -> None:
        if patience < 1:
            raise UserError(f"optimizer.patience is {patience}: give a number of validations of at least 1")
        self.patience, self.best, self.waited = patience, math.inf, 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = float(trainer.callback_metrics["val/nats_per_note"])
        if not math.isfinite(score):
            raise UserError(
                f"the validation loss is {score}: training has diverged; give a lower optimizer.learning_rate"
            )
        self.waited = 0 if score < self.best else self.waited + 1
        self.best = min(self.best, score)
        if self.waited >= self.patience:
            if trainer.is_global_zero:
                say(f"No better validation in {self.patience} checks: stopping here")
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.waited = state_dict["best"], state_dict["waited"]


def _precision(asked: Any) -> Any:
    if asked != "auto":
        return asked
    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"


def _tensorboard(folder: Path, wanted: bool) -> list[Any]:
    if not wanted:
        return []
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return [TensorBoardLogger(str(folder), name="", version="tensorboard")]
    except ModuleNotFoundError:
        raise UserError('tensorboard=true needs the extra: pip install "musiclstm[tensorboard]"') from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file beside, then over what was there."""
    with whole_file(path) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
