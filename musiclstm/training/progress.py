"""What a person sees while a model trains."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

import lightning as L

from musiclstm.console import progress, say
from musiclstm.training.module import MusicTraining
from musiclstm.training.schedule import Budget


class Progress(L.Callback):
    """A bar with loss, perplexity, nats per note, tokens a second and time left; a line for each validation."""

    def __init__(self, budget: Budget, notes_per_token: float) -> None:
        self.budget, self.notes_per_token = budget, notes_per_token
        self._stack = ExitStack()
        self._loss: float | None = None  # this and the rate run after what is measured, so that they can be read
        self._rate: float | None = None
        self._best = math.inf
        self._mark = (0.0, 0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, MusicTraining)
        if trainer.is_global_zero:
            self._bar = self._stack.enter_context(progress("Training", unit="steps", completed=trainer.global_step))
        self._mark = (time.monotonic(), pl_module.tokens_seen)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, MusicTraining)
        now = time.monotonic()
        if now - self._mark[0] < 0.5:  # reading the loss waits for the device
            return
        loss = float(outputs["loss"])
        self._loss = loss if self._loss is None else 0.8 * self._loss + 0.2 * loss
        rate = (pl_module.tokens_seen - self._mark[1]) / (now - self._mark[0])
        self._rate = rate = rate if self._rate is None else 0.9 * self._rate + 0.1 * rate
        self._mark = (now, pl_module.tokens_seen)
        self._bar.total = max(trainer.global_step, round(trainer.global_step / max(self.budget.progress, 1e-6)))
        fields: dict[str, Any] = {"nats/note": self._loss / self.notes_per_token, "tokens/s": rate}
        self._bar.update(
            completed=trainer.global_step,
            loss=self._loss,
            perplexity=math.exp(min(20.0, self._loss)),
            **fields,
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        score = float(metrics["val/nats_per_note"])
        better, self._best = score < self._best, min(score, self._best)
        assert isinstance(pl_module, MusicTraining)
        unit = pl_module.tokenizer.unit
        per_unit = f", {float(metrics[f'val/nats_per_{unit[0]}']):.3f} nats/{unit[0].replace('_', '-')}" if unit else ""
        say(
            f"Validation at step {trainer.global_step} ({self.budget.minutes:.1f} min): loss "
            f"{float(metrics['val/loss']):.3f}, perplexity {float(metrics['val/perplexity']):.2f}, "
            f"{score:.3f} nats/note{per_unit}{' (best so far)' if better else ''}"
        )
        self._mark = (time.monotonic(), pl_module.tokens_seen)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._bar.update(completed=trainer.global_step)
        self._stack.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stack.close()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]
