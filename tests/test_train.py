"""`python -m musiclstm.train` on a folder: what a run leaves behind, and that it goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from musiclstm.commands import CONF_DIR
from musiclstm.generation import load
from musiclstm.generation.lengths import Lengths
from musiclstm.midi import write_midi
from musiclstm.train import train
from musiclstm.training.run import Result
from tests.music import chorale

SMALL = ["model.hidden_size=8", "model.embedding_size=8", "model.num_layers=1", "data.window=64", "data.lanes=4"]
STEPS = ["max_minutes=null", "trainer.val_check_interval=2", "trainer.accelerator=cpu", "sample.max_tokens=16"]


def run(folder: Path, *settings: str) -> Result:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        overrides = [*SMALL, *STEPS, "tokenizer=voices", f"data.path={folder / 'music'}", *settings]
        cfg = compose("train", overrides)
        return train(cfg, folder / "run", [o for o in overrides if not o.startswith("tokenizer=")])


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    random = np.random.default_rng(0)
    for number in range(30):
        write_midi(chorale(random, steps=32 + 16 * (number % 5)), tmp_path / "music" / f"{number}.mid")
    return tmp_path


def test_a_run_knows_how_long_its_pieces_are_and_goes_on(music: Path) -> None:
    first = run(music, "trainer.max_steps=2")
    made, checkpoint = load(music / "run" / "model.safetensors"), music / "run" / "last.ckpt"
    assert made.model.intervals is not None
    assert made.lengths is not None and 1 <= made.lengths.shortest < made.lengths.longest <= 8
    assert load(checkpoint).lengths == made.lengths == Lengths(*made.provenance["bars"])
    again = run(music, "trainer.max_steps=4", f"ckpt_path={checkpoint}")
    assert (first.steps, again.steps) == (2, 4)


def test_a_run_from_before_intervals_goes_on_without(music: Path) -> None:
    run(music, "trainer.max_steps=2", "model.intervals=false")
    saved = music / "run" / "config.yaml"
    config = OmegaConf.load(saved)
    del config.model["intervals"]
    OmegaConf.save(config, saved)
    assert run(music, "trainer.max_steps=3", f"ckpt_path={music / 'run' / 'last.ckpt'}").steps == 3
    assert load(music / "run" / "last.ckpt").model.intervals is None
