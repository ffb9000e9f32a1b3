"""A small run of training; as a script, one that is killed at a given step."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from musiclstm.data.augmentation import Augmentation
from musiclstm.data.datamodule import MusicData
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers.voices import Voices
from musiclstm.training.resume import seed_everything
from musiclstm.training.run import Result, fit
from tests.music import chorales


def small_fit(
    folder: Path,
    *,
    steps: int = 12,
    every: int = 5,
    ckpt_path: Path | None = None,
    kill_at: int = 0,
    model_arguments: dict[str, Any] | None = None,
    **changes: Any,
) -> Result:
    """Trains a tiny model with dropout, augmentation and averaging for `steps` steps."""
    seed_everything(3)
    store = chorales()
    tokenizer = Voices.fit(store.scores)
    data = MusicData(store, tokenizer, Augmentation(3, 0.05, 5), lanes=3, window=64, seed=3)  # type: ignore[arg-type]
    sizes = tuple(tokenizer.context_sizes.values())
    tiny = {"embedding_size": 8, "hidden_size": 12, "num_layers": 2, "dropout": 0.2, **(model_arguments or {})}
    model = MusicLSTM(len(tokenizer.vocabulary), sizes, **tiny)
    if kill_at:
        encode, calls = data.encode, iter(range(10**6))

        def deadly(piece: int, random: Any = None) -> Any:
            if random is not None and next(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return encode(piece, random)

        data.encode = deadly  # type: ignore[method-assign]
    trainer = {"max_steps": steps, "accelerator": "cpu", "devices": 1, "val_check_interval": 4, "log_every_n_steps": 1}
    arguments: dict[str, Any] = {
        "max_minutes": None,
        "trainer": {**trainer, **changes.pop("trainer", {})},
        "optimizer": {"learning_rate": 1e-2, "warmup_steps": 3},
        "patience": 100,
        "every_minutes": None,
        "every_n_steps": every,
        "provenance": {"trained_on": "made-up chorales"},
        **changes,
    }
    return fit(model, data, folder, ckpt_path=ckpt_path, **arguments)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """All that a checkpoint holds of the model: weights and their average."""
    return torch.load(path, weights_only=True)["state_dict"]


if __name__ == "__main__":
    folder, processes, kill_at, *checkpoint = sys.argv[1:]
    ddp = {"devices": 2, "strategy": "ddp"} if processes == "2" else {}
    small_fit(Path(folder), kill_at=int(kill_at), ckpt_path=Path(checkpoint[0]) if checkpoint else None, trainer=ddp)
