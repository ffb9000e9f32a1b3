"""What a checkpoint needs beside weights and optimiser so that a resumed run is the run that was cut off."""

from __future__ import annotations

import random
from typing import Any

import lightning as L
import numpy as np
import torch

from musiclstm.data.datamodule import MusicData
from musiclstm.errors import UserError
from musiclstm.training.module import MusicTraining

KEY = "musiclstm"


class ExactResume(L.Callback):
    """Keeps, for every process, the place in the data, the carried state and the state of the random generators."""

    def __init__(self, data: MusicData) -> None:
        self.data = data
        self._mine: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        assert isinstance(pl_module, MusicTraining)
        mine = {
            "position": pl_module.position,
            "state": pl_module.state,
            "tokens_seen": pl_module.tokens_seen,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(pl_module.device) if pl_module.device.type == "cuda" else None,
        }
        everybody: list[Any] = [mine]
        if trainer.world_size > 1:
            everybody = [None] * trainer.world_size
            torch.distributed.all_gather_object(everybody, mine)
        checkpoint[KEY] = everybody

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        everybody = checkpoint.get(KEY)
        if everybody is None:
            raise UserError("ckpt_path is a checkpoint that this version of musiclstm.train did not write")
        if len(everybody) != trainer.world_size:
            raise UserError(
                f"the checkpoint is of a run in {len(everybody)} processes and this one has {trainer.world_size}: "
                f"give trainer.devices={len(everybody)}"
            )
        self._mine = everybody[trainer.global_rank]
        self.data.position = self._mine["position"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._mine is None:
            return
        assert isinstance(pl_module, MusicTraining)
        mine, self._mine = self._mine, None
        pl_module.position, pl_module.tokens_seen = mine["position"], mine["tokens_seen"]
        pl_module.state = tuple(tuple(part.to(pl_module.device) for part in layer) for layer in mine["state"])
        torch.set_rng_state(mine["torch"].cpu())
        if mine["cuda"] is not None and pl_module.device.type == "cuda":
            torch.cuda.set_rng_state(mine["cuda"].cpu(), pl_module.device)


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch on this process."""
    if not 0 <= seed < 2**32:
        raise UserError(f"seed is {seed}: give a whole number from 0 to {2**32 - 1}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
