"""MusicLSTM as Lightning trains it."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel

from musiclstm.data.lanes import IGNORE, Window
from musiclstm.errors import UserError
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State, detach_state
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.training.calibration import FACTORS, UNCALIBRATED, nats_by_factor
from musiclstm.training.schedule import warmup_cosine

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

OF_TOKENIZER = ("vocab_size", "context_sizes", "pitches", "pitch_tokens", "references")
"""The arguments of a model that follow from its tokenizer."""


class MusicTraining(L.LightningModule):
    """Cross-entropy on the next token, with the state carried from window to window of a lane.

    `average` follows the weights as an exponential moving average: it is what is validated and kept. With `calibrate`
    its logits are multiplied for that by the one of `FACTORS` with which the validation pieces are likeliest.
    `val_notes` is the number of notes in all validation pieces, for nats per note. `progress` gives the share
    of the run that is done, for the cosine.
    """

    def __init__(
        self,
        model: MusicLSTM,
        tokenizer: Tokenizer,
        *,
        val_notes: int,
        progress: Callable[[], float],
        provenance: dict[str, Any] | None = None,
        learning_rate: float = 6e-3,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.99),
        warmup_steps: int = 100,
        average_decay: float = 0.995,
        calibrate: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        for name, value, low in (("learning_rate", learning_rate, True), ("weight_decay", weight_decay, False)):
            if not (value > 0 or (value == 0 and not low)):
                raise UserError(f"optimizer.{name} is {value}: give a number {'above 0' if low else 'of at least 0'}")
        if not 0 <= average_decay < 1:
            raise UserError(f"optimizer.average_decay is {average_decay}: give a number from 0 to below 1")
        self.model, self.tokenizer = model, tokenizer
        self.average = AveragedModel(model, multi_avg_fn=_moving_average(average_decay))
        self.average.requires_grad_(False)
        self.val_notes, self.progress = val_notes, progress
        self.learning_rate, self.weight_decay, self.betas = learning_rate, weight_decay, betas
        self.warmup_steps = warmup_steps
        self.save_hyperparameters(
            {"model": model.arguments, "tokenizer": tokenizer.to_dict(), "provenance": provenance or {}}
        )
        self.state: State | None = None  # of the lanes, after the last window
        self.position: dict[str, Any] | None = None  # of the lanes, after the last window
        self.tokens_seen = 0
        self._forward = torch.compile(model) if compile else model
        self._val_state: State | None = None
        self.factors = FACTORS if calibrate else UNCALIBRATED
        self.reset_sums()
        unit = torch.zeros(len(tokenizer.vocabulary), dtype=torch.bool)
        for kind in tokenizer.unit[1] if tokenizer.unit else ():
            span = tokenizer.vocabulary.range(kind)
            unit[span.start : span.stop] = True
        self.register_buffer("_unit", unit, persistent=False)
        self._unit: torch.Tensor

    @property
    def averaged(self) -> MusicLSTM:
        """The model with the averaged weights."""
        return cast(MusicLSTM, self.average.module)

    def calibrated(self, factor: float) -> MusicLSTM:
        """A copy of it whose logits are `factor` times as large."""
        model = deepcopy(self.averaged)
        model.scale_logits(factor)
        return model

    def reset_sums(self) -> None:
        """Forgets what validation has added up so far: nats by factor, tokens, units of the tokenizer."""
        self.val_sums = torch.zeros(len(self.factors) + 2, dtype=torch.float64)

    def training_step(self, batch: Window, batch_idx: int) -> torch.Tensor:
        logits, state = self._forward(batch.tokens, batch.context, self.state, batch.reset)
        targets = batch.targets.flatten()
        loss = F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORE)
        self.state, self.position = detach_state(state), batch.position
        # Neither call makes the program wait for a GPU, as picking those scored or torch.bincount would.
        self.model.token_counts.scatter_add_(0, targets, (targets != IGNORE).to(self.model.token_counts.dtype))
        self.tokens_seen += batch.scored * self.trainer.world_size
        self.log("train/loss", loss)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        # Here and not in a batch-end hook: those come after the one in which a checkpoint may be written.
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.model)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Before the weights are put in, where what does not fit would be said in shapes.
        wrote = checkpoint.get("hyper_parameters", {})
        if not wrote.keys() >= {"model", "tokenizer", "provenance"}:
            raise UserError("ckpt_path is a checkpoint that musiclstm.train did not write")
        if what := _difference(wrote["tokenizer"], self.tokenizer.to_dict()):
            raise UserError(f"the tokenizer cannot be changed with ckpt_path: {what}; give the one of then")
        old, new = wrote["model"], self.model.arguments
        if bool(old.get("references")) != bool(new.get("references")):
            began_with = str(bool(old.get("references"))).lower()
            raise UserError(f"model.intervals cannot be changed with ckpt_path: the run began with {began_with}")
        # A setting that a model of before did not have is one that does nothing.
        names = sorted(old.keys() | new.keys())
        changed = [name for name in names if (old.get(name) or None) != (new.get(name) or None)]
        if set(changed) & set(OF_TOKENIZER):
            raise UserError(
                f"the checkpoint is of a run in which {self.tokenizer.name} had another vocabulary or other features: "
                "go on with the musiclstm that began it, or train anew"
            )
        for name in changed:
            if name != "dropout":
                raise UserError(
                    f"model.{name}={new.get(name)} cannot be changed with ckpt_path: the run began with {old.get(name)}"
                )

    def on_validation_epoch_start(self) -> None:
        self._val_state = None
        self.reset_sums()

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        fresh = bool(batch.reset[0, 0])
        logits, self._val_state = self.averaged(batch.tokens, batch.context, None if fresh else self._val_state)
        targets = batch.targets.flatten()
        scored = targets != IGNORE
        nats = nats_by_factor(logits.flatten(0, 1)[scored].float(), targets[scored], self.factors)
        counts = torch.stack([scored.sum(), (self._unit[targets] & scored).sum()])
        self.val_sums += torch.cat([nats.cpu().double(), counts.cpu()])

    def on_validation_epoch_end(self) -> None:
        for name, value in self.val_metrics().items():
            self.log(name, value, sync_dist=True)  # the same on every process

    def val_metrics(self) -> dict[str, float]:
        """What the last validation found, over all processes: nats per token, per note, and per unit, at the factor for
        the logits with which they are fewest."""
        sums = self.trainer.strategy.reduce(self.val_sums.float().to(self.device), reduce_op="sum")
        *by_factor, tokens, units = sums.tolist()
        nats = min(by_factor)
        metrics = {
            "val/loss": nats / max(1.0, tokens),
            "val/perplexity": math.exp(min(50.0, nats / max(1.0, tokens))),
            "val/nats_per_note": nats / max(1, self.val_notes),
            "val/logit_factor": float(self.factors[by_factor.index(nats)]),
        }
        if self.tokenizer.unit:
            metrics[f"val/nats_per_{self.tokenizer.unit[0]}"] = nats / max(1.0, units)
        return metrics

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        # Decay shrinks matrices; biases, peepholes and embeddings of rare tokens have no reason to shrink.
        embedded = {id(p) for m in self.model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
        matrices = [p for p in self.model.parameters() if p.ndim > 1 and id(p) not in embedded]
        others = [p for p in self.model.parameters() if p.ndim <= 1 or id(p) in embedded]
        groups = [{"params": matrices, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, betas=self.betas)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: warmup_cosine(step, self.warmup_steps, self.progress())
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _difference(began: dict[str, Any], now: dict[str, Any]) -> str | None:
    """In which setting two tokenizers (`to_dict`) differ, in a few words; None where they do not."""
    old, new = ({"name": each["name"], **each["arguments"]} for each in (began, now))
    first = next((key for key in {**old, **new} if old.get(key) != new.get(key)), None)
    if first is None:
        return None
    return f"the run began with {first} {str(old.get(first))[:60]}, now it is {str(new.get(first))[:60]}"


def _moving_average(decay: float) -> Callable[[Any, Any, torch.Tensor | int], None]:
    """An exponential moving average that begins quickly: the first weights, drawn at random, are soon forgotten."""

    @torch.no_grad()
    def update(averaged: Any, current: Any, count: torch.Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(list(averaged), list(current), 1 - now)

    return update
