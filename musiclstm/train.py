"""The command that trains a model: python -m musiclstm.train"""

from __future__ import annotations

import math
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiclstm.commands import command
from musiclstm.console import duration, say
from musiclstm.errors import UserError
from musiclstm.leaderboard import RESULT, command_line
from musiclstm.sources import open_store

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from musiclstm.score import Score
    from musiclstm.tokenizers.base import Tokenizer
    from musiclstm.training.run import Result

SAMPLE_SIZE = 200  # pieces that are looked at to choose and fit a tokenizer


def train(cfg: DictConfig, folder: Path, overrides: list[str]) -> Result:
    """One run of `conf/train.yaml` into `folder`; `overrides` are what the user changed."""
    say("Loading torch and lightning ...")
    import logging

    import lightning  # noqa: F401  (sets the level of its log, which is then ours to set)
    from omegaconf import OmegaConf

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips go, warnings come through

    from musiclstm import __version__
    from musiclstm.data.augmentation import Augmentation, pitch_range
    from musiclstm.data.datamodule import MusicData
    from musiclstm.generation.lengths import Lengths
    from musiclstm.model.music_lstm import MusicLSTM
    from musiclstm.training.resume import seed_everything
    from musiclstm.training.run import fit

    ckpt_path = Path(cfg.ckpt_path) if cfg.ckpt_path else None
    if ckpt_path is not None:
        cfg, folder = _resumed(cfg, ckpt_path, overrides)
    seed_everything(cfg.seed)
    store = open_store(cfg.data, cfg.split, cfg.select, cfg.prepare)
    assert store is not None  # there are no shards
    train_pieces = store.split("train")
    sample = [store[int(i)] for i in train_pieces[:: max(1, len(train_pieces) // SAMPLE_SIZE)]]
    tokenizer = choose(sample, plain(cfg.tokenizer))
    lowest, highest = pitch_range(sample)
    data = MusicData(
        store,
        tokenizer,
        Augmentation(cfg.data.transpose, cfg.data.stretch, cfg.data.velocity, lowest, highest),
        lanes=cfg.data.lanes,
        window=cfg.data.window,
        seed=cfg.seed,
        max_val_tokens=cfg.data.max_val_tokens,
    )
    settings = plain(cfg.model)
    references = tokenizer.references() if settings.pop("intervals", False) else {}  # runs from before there were any
    model = MusicLSTM(len(tokenizer.vocabulary), tuple(tokenizer.context_sizes.values()), **settings, **references)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    say(
        f"Model: {model.num_parameters:,} parameters. Data: {len(data.train_pieces)} pieces to train on, "
        f"{len(data.val_pieces)} to validate on, {cfg.data.lanes} lanes of {cfg.data.window} tokens"
    )
    if cfg.max_minutes and not cfg.fast_dev_run:
        say(f"Training takes {duration(60 * cfg.max_minutes)} (max_minutes={cfg.max_minutes}); Ctrl-C stops it")
    optimizer = plain(cfg.optimizer)
    lengths = Lengths.of(tokenizer, [tokenizer.encode(score) for score in sample if not tokenizer.admits(score)])
    return fit(
        model,
        data,
        folder,
        max_minutes=cfg.max_minutes,
        trainer=plain(cfg.trainer),
        patience=optimizer.pop("patience"),
        optimizer=optimizer,
        every_minutes=cfg.checkpoint.every_minutes,
        every_n_steps=cfg.checkpoint.every_n_steps,
        compile=cfg.compile,
        tensorboard=cfg.tensorboard,
        fast_dev_run=cfg.fast_dev_run,
        provenance={
            "trained_on": cfg.data.path or cfg.data.corpus,
            "store": str(store.folder),
            "pieces": len(data.train_pieces),
            "bars": None if lengths is None else list(lengths),
            "seed": cfg.seed,
            "overrides": overrides,
            "command": command_line(overrides),
            "version": __version__,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
        ckpt_path=ckpt_path,
        on_best=_sampler(folder, cfg.seed, cfg.sample.max_seconds, cfg.sample.max_tokens),
    )


def plain(section: DictConfig) -> dict[str, Any]:
    """A section of the configuration as a dict, its references resolved."""
    from omegaconf import OmegaConf

    content = OmegaConf.to_container(section, resolve=True)
    if not isinstance(content, dict):
        raise UserError(f"a section of the configuration is {content!r}: change what is in it, as in model.dropout=0.1")
    return {str(key): value for key, value in content.items()}


def choose(scores: list[Score], wanted: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `conf/tokenizer` asks for, fitted to `scores`; says which it is."""
    from musiclstm.tokenizers import make_tokenizer
    from musiclstm.tokenizers.auto import choose_tokenizer

    arguments = dict(wanted)
    name = arguments.pop("name")
    if name == "auto":
        name, arguments, why = choose_tokenizer(scores)
        say(why)
        return make_tokenizer(name, scores, **arguments)
    tokenizer = make_tokenizer(name, scores, **arguments)
    say(f"tokenizer={name}: {tokenizer.describe()}")
    return tokenizer


def _resumed(cfg: DictConfig, ckpt_path: Path, overrides: list[str]) -> tuple[DictConfig, Path]:
    """The configuration of the run that wrote a checkpoint, with the values given now, and its folder."""
    from omegaconf import OmegaConf

    if not ckpt_path.is_file():
        raise UserError(f"ckpt_path={ckpt_path} is no file: name the last.ckpt of a run, such as outputs/.../last.ckpt")
    saved = ckpt_path.parent / "config.yaml"
    if not saved.is_file():
        raise UserError(
            f"ckpt_path={ckpt_path}: there is no config.yaml beside it; name a last.ckpt in its run's folder"
        )
    given = [o for o in overrides if "." in o.split("=")[0] or o.split("=")[0] in cfg]
    groups = [o for o in overrides if o.split("=")[0] in ("data", "tokenizer", "model", "experiment", "sweep")]
    if groups:
        raise UserError(f"{groups[0]} cannot be changed with ckpt_path: a resumed run keeps what it began with")
    merged = OmegaConf.merge(OmegaConf.load(saved), OmegaConf.from_dotlist([o.lstrip("+") for o in given]))
    say(f"Going on with the run in {ckpt_path.parent}")
    return merged, ckpt_path.parent  # type: ignore[return-value]


def _sampler(folder: Path, seed: int, max_seconds: float, max_tokens: int) -> Any:
    """What is done at each best bundle: one piece from it, as MIDI and as a picture."""
    from musiclstm.generation import load
    from musiclstm.midi import write_midi
    from musiclstm.rendering.piano_roll import piano_roll

    def sample(bundle: Path, step: int) -> None:
        generator = load(bundle)
        (piece,) = generator.generate_scores(1, seed=seed, max_seconds=max_seconds, max_tokens=max_tokens)
        write_midi(piece.score, folder / "sample.mid")
        piano_roll(piece.score, folder / "sample.png", title=f"Sample at step {step}")

    return sample


def report(result: Result) -> None:
    """Says what a run came to and what to do next."""
    if result.bundle is None:
        say("All fits together: one batch was trained on and one validated (fast_dev_run); nothing is kept")
        return
    units = [
        f", {value:.3f} nats per {name.removeprefix('val/nats_per_').replace('_', '-')}"
        for name, value in result.scores.items()
        if name.startswith("val/nats_per_") and name != "val/nats_per_note"
    ]
    say(f"Best validation: {result.nats_per_note:.3f} nats per note{''.join(units)}, after {result.minutes:.1f} min")
    folder = os.path.relpath(result.folder)
    say(f"Run folder: {folder} (model.safetensors, sample.mid, sample.png, loss.png, metrics.csv, last.ckpt)")
    say(f"More music: python -m musiclstm.generate checkpoint={os.path.relpath(result.bundle)}")


def _failed(cfg: DictConfig, error: Exception) -> float:
    """A run of a sweep that failed is a row of the leaderboard with its reason, and infinitely bad."""
    from hydra.core.hydra_config import HydraConfig

    from musiclstm.explain import reason
    from musiclstm.training.run import write_json

    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    folder = Path(hydra.runtime.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    provenance = {"overrides": overrides, "command": command_line(overrides)}
    write_json(folder / RESULT, {"failed": reason(error), "provenance": provenance})
    return math.inf


@command("train", on_failure=_failed)
def main(cfg: DictConfig) -> float:
    """One job of the command; gives what sweepers minimise: validation nats per note."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN and cfg.trainer.devices not in (1, "1", "auto"):
        # Lightning would start the other processes with the command of the whole sweep, not with that of this run.
        raise UserError(f"trainer.devices={cfg.trainer.devices} in a sweep, whose runs have one process each: give 1")
    result = train(cfg, Path(hydra.runtime.output_dir), list(hydra.overrides.task))
    report(result)
    return math.inf if math.isnan(result.nats_per_note) else result.nats_per_note  # Optuna stops at nan


if __name__ == "__main__":
    main()
