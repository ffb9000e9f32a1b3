"""How far a run has come, and what the learning rate and the end of the run make of it."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning as L

from musiclstm.errors import UserError


class Budget(L.Callback):
    """Ends a run after `max_minutes` of training or `trainer.max_steps`, with a validation before it stops.

    The minutes of a run that was cut off and resumed are added up. `progress` is the share that is spent, from
    0 to 1: of steps or of minutes, whichever is further.
    """

    def __init__(self, max_minutes: float | None, max_steps: int) -> None:
        if max_minutes is not None and not max_minutes > 0:
            raise UserError(f"max_minutes is {max_minutes}: give a number above 0, or null for no limit in time")
        if max_steps < -1 or max_steps == 0:
            raise UserError(f"trainer.max_steps is {max_steps}: give a number above 0, or -1 for no limit")
        if max_minutes is None and max_steps == -1:
            raise UserError("the run would never end: give max_minutes=N or trainer.max_steps=N")
        self.max_minutes, self.max_steps = max_minutes, max_steps
        self.progress = 0.0
        self._before, self._began = 0.0, time.monotonic()

    @property
    def minutes(self) -> float:
        """Minutes of training so far."""
        return self._before + (time.monotonic() - self._began) / 60

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._began = time.monotonic()
        self._update(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._update(trainer)
        if self.progress >= 1:
            trainer.should_stop = True  # which Lightning follows with a validation

    def _update(self, trainer: L.Trainer) -> None:
        by_steps = trainer.global_step / self.max_steps if self.max_steps > 0 else 0.0
        by_time = self.minutes / self.max_minutes if self.max_minutes else 0.0
        # One process's clock decides for all, or their learning rates would drift apart.
        self.progress = trainer.strategy.broadcast(min(1.0, max(by_steps, by_time)))

    def state_dict(self) -> dict[str, Any]:
        return {"minutes": self.minutes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["minutes"]


def warmup_cosine(step: int, warmup_steps: int, progress: float, final: float = 0.02) -> float:
    """The factor on the learning rate: linear warm-up, then half a cosine down to `final` (Loshchilov 2017)."""
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    return warm * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
