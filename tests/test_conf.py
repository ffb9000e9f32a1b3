"""Every file in conf/ is composed, and what trains is trained for one step."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from musiclstm import generate, prepare
from musiclstm.commands import CONF_DIR
from musiclstm.midi import write_midi
from musiclstm.train import train
from tests.music import chorale

FILES = sorted(path.relative_to(CONF_DIR).with_suffix("").as_posix() for path in Path(CONF_DIR).rglob("*.yaml"))
OPTIONS = [file.replace("/", "=") for file in FILES if "/" in file]
TRAINED = [option for option in OPTIONS if not option.startswith(("data=", "sweep="))]
TINY = ["data.lanes=2", "data.window=16", "sample.max_tokens=32", "trainer.accelerator=cpu"]
NARROW = ["model.hidden_size=8", "model.embedding_size=8"]
NEEDS = {
    "sweep=search": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper",
    "tokenizer=miditok": "miditok",
}


def composed(name: str, *overrides: str, hydra: bool = False) -> DictConfig:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return compose(name, list(overrides), return_hydra_config=hydra)


def need(option: str) -> None:
    if option in NEEDS:
        pytest.importorskip(NEEDS[option])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    random = np.random.default_rng(0)
    for i in range(6):
        write_midi(chorale(random, 16), folder / f"{i}.mid")
    return folder


@pytest.fixture(scope="module")
def store(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of the music."""
    folder = tmp_path_factory.mktemp("stores") / "store"
    prepare.main(composed("prepare", f"data.path={music}", f"output={folder}"))
    return folder


@pytest.mark.parametrize("name", [file for file in FILES if "/" not in file])
def test_every_command_has_its_configuration(name: str) -> None:
    assert callable(importlib.import_module(f"musiclstm.{name}").main)
    config = composed(name, hydra=True)
    assert config.hydra.help.app_name == f"python -m musiclstm.{name}"
    assert not OmegaConf.missing_keys({key: value for key, value in config.items() if key != "hydra"})


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_composed(option: str) -> None:
    need(option)
    group, _, name = option.partition("=")
    before = composed("train")
    config = composed("train", option, hydra=True)
    assert config.hydra.runtime.choices[group] == name
    names = {key: set(before[key]) for key in before if OmegaConf.is_dict(before[key])}
    for key, known in names.items():  # an option sets what there is; tokenizers differ in their settings
        assert key == "tokenizer" or set(config[key]) == known
    if group == "data":
        assert composed("prepare", option).data == {key: config.data[key] for key in composed("prepare").data}


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("sweep=")])
def test_sweeps_begin_by_themselves_and_change_what_there_is(option: str) -> None:
    need(option)
    config = composed("train", option, hydra=True)
    assert config.hydra.mode.name == "MULTIRUN" and config.hydra.sweeper.params
    lines = [f"{key}={values}" for key, values in config.hydra.sweeper.params.items()]
    for override in OverridesParser.create().parse_overrides(lines):
        assert override.is_sweep_override()
        group, _, name = override.key_or_group.rpartition(".")
        assert name in OmegaConf.select(config, group)


@pytest.mark.parametrize("option", TRAINED)
def test_every_option_trains_for_one_step(
    option: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(option)
    overrides = [option, f"data.path={store}", *TINY]
    overrides += [] if option == "model=small" else NARROW
    result = train(composed("train", *overrides, "fast_dev_run=true"), tmp_path, overrides)
    assert result.steps == 1
    loss = re.search(r"Validation at step 1 .* loss ([\d.]+)", capsys.readouterr().out)
    assert loss and 1 < float(loss[1]) < 10


def test_what_train_leaves_generate_plays(store: Path, tmp_path: Path) -> None:
    limits = ["max_minutes=null", "trainer.max_steps=2", "trainer.val_check_interval=1"]
    run, pieces = tmp_path / "run", tmp_path / "pieces"
    train(composed("train", f"data.path={store}", *TINY, *NARROW, *limits), run, [])
    generate.main(
        composed("generate", f"checkpoint={run}", f"output={pieces}", "n=2", "max_tokens=64", "format=mid+png")
    )
    assert {path.name for path in pieces.iterdir()} == {
        *("piece-001.mid", "piece-001.png", "piece-002.mid", "piece-002.png")
    }
