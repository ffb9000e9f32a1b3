"""What a run leaves in its folder: checkpoints to resume from, and the best model as a bundle."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L

from musiclstm.console import say
from musiclstm.model.bundle import save_bundle
from musiclstm.training.module import MusicTraining

MONITOR = "val/nats_per_note"
BUNDLE = "model.safetensors"
LAST = "last.ckpt"


class BestBundle(L.Callback):
    """Writes the bundle of the averaged model, calibrated, whenever validation is better than ever; calls `on_best`.

    `on_best` receives the path of the bundle; `best` is the lowest `val/nats_per_note`, `scores` all metrics
    of that validation.
    """

    def __init__(self, folder: Path, on_best: Callable[[Path, int], None] | None = None) -> None:
        self.path, self.on_best = folder / BUNDLE, on_best
        self.best = math.inf
        self.scores: dict[str, float] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = float(trainer.callback_metrics.get(MONITOR, math.nan))
        if trainer.sanity_checking or not score < self.best:
            return
        assert isinstance(pl_module, MusicTraining)
        self.best = score
        self.scores = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        if not trainer.is_global_zero:
            return
        provenance = {
            **pl_module.hparams["provenance"],
            "step": trainer.global_step,
            "tokens_seen": pl_module.tokens_seen,
            **self.scores,
        }
        model = pl_module.calibrated(self.scores["val/logit_factor"])
        save_bundle(self.path, model, pl_module.tokenizer.to_dict(), provenance)
        if self.on_best is not None:
            self.on_best(self.path, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.scores = state_dict["best"], state_dict["scores"]


class LastCheckpoint(L.Callback):
    """Writes `last.ckpt`, over itself, so that a run that is killed loses at most `every_minutes` or so many steps.

    Stands last among the callbacks: what the others do after a batch is then in the checkpoint.
    """

    def __init__(self, folder: Path, every_minutes: float | None = None, every_n_steps: int | None = None) -> None:
        self.path, self.every_minutes, self.every_n_steps = folder / LAST, every_minutes, every_n_steps
        self._written = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._written = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        due = bool(self.every_n_steps) and trainer.global_step % (self.every_n_steps or 1) == 0
        if self.every_minutes and not self.every_n_steps:
            due = trainer.strategy.broadcast(time.monotonic() - self._written >= 60 * self.every_minutes)
        if due:
            trainer.save_checkpoint(self.path)
            self._written = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(self.path)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero and self.path.is_file():
            say(f"Stopped. To go on: python -m musiclstm.train ckpt_path={os.path.relpath(self.path)}")
