from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from musiclstm.commands import CONF_DIR
from musiclstm.explain import explain
from musiclstm.midi import write_midi
from musiclstm.sweep import Labelled, Sweep, claim
from tests.music import chorale

TINY = [
    *("data.path=music", "data.folder=stores", "data.lanes=2", "data.window=16", "model.embedding_size=8"),
    *("max_minutes=null", "trainer.max_steps=2", "trainer.val_check_interval=1", "sample.max_tokens=32"),
    *("trainer.accelerator=cpu", "hydra.sweep.dir=swept"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder to run in, with music in it and nothing prepared."""
    random = np.random.default_rng(0)
    for i in range(6):
        write_midi(chorale(random, 16), tmp_path / "music" / f"{i}.mid")
    return tmp_path


def run(place: Path, *arguments: str) -> tuple[int, str, str]:
    """`python -m musiclstm.train` in `place`: its exit status, output and error output."""
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "musiclstm.train", *arguments]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def leaderboard(place: Path) -> list[dict[str, str]]:
    with (place / "swept" / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_from_a_file_ranks_its_runs_keeps_those_that_fail_and_can_be_done_again(place: Path) -> None:
    changes = ["sweep=skips", "model.cell=lstm", "model.skip=none,foo,graves", "model.hidden_size=8"]
    status, out, err = run(place, *changes, *TINY)
    assert status == 0
    assert err == "musiclstm: run 1 failed: skip='foo' is unknown: choose one of graves, residual, none\n"
    first, second, third = leaderboard(place)
    assert float(first["nats_per_note"]) < float(second["nats_per_note"])
    assert {first["folder"], second["folder"], third["folder"]} == {"0", "1", "2"}
    assert int(first["parameters"]) > 0 and first["minutes"]
    assert (place / "swept" / first["sample"]).read_bytes().startswith(b"MThd")
    assert third["rank"] == "" and third["failed"].startswith("skip='foo' is unknown")
    assert "3 runs, 1 failed: swept/leaderboard.md\n" in out
    assert out.endswith(f"generate checkpoint=swept/{first['folder']}\n")

    status, out, _ = run(place, *shlex.split(first["command"])[3:], "hydra.run.dir=again")
    assert status == 0 and "Sweep" not in out
    again = json.loads((place / "again" / "result.json").read_text())
    assert again["nats_per_note"] == float(first["nats_per_note"])


def test_a_search_runs_in_parallel_and_outlives_a_trial_that_fails(place: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper.optuna_sweeper")
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher.joblib_launcher")
    two = ["hydra/launcher=joblib", *(f"hydra.{what}=2" for what in ("launcher.n_jobs", "sweeper.n_jobs"))]
    drawn = ["hydra.sweeper.n_trials=2", "hydra.sweeper.sampler.seed=4"]  # a seed that draws both
    changes = ["model.dropout=choice(0.1,7)", "model.hidden_size=choice(8,12)", "model.num_layers=1"]
    status, out, err = run(place, "sweep=search", *two, *drawn, *changes, *TINY)
    assert status == 0 and "Traceback" not in err and "No trials are completed yet" not in err
    good, bad = leaderboard(place)
    assert good["rank"] == "1" and float(good["nats_per_note"]) > 0
    assert bad["failed"] == "dropout=7 is not possible: give a number from 0 up to, but not, 1"
    best = OmegaConf.load(place / "swept" / "optimization_results.yaml")
    assert best.best_value == float(good["nats_per_note"])
    assert f"[{good['folder']}] Best validation" in out
    assert len([path for path in (place / "stores").iterdir() if path.is_dir()]) == 1  # both began by preparing it


def test_submitit_runs_jobs_where_the_sweep_was_started(place: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
    changes = ["model.hidden_size=8", "model.num_layers=1", "seed=1,2"]
    status, _, err = run(place, "-m", "hydra/launcher=submitit_local", *changes, *TINY)
    assert (status, err) == (0, "")
    assert [row["rank"] for row in leaderboard(place)] == ["1", "2"]
    assert {path.name for path in place.iterdir()} == {"music", "stores", "swept"}


def test_slurm_is_composed() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
    changes = [f"hydra.launcher.{setting}" for setting in ("partition=gpu", "timeout_min=60", "gpus_per_node=1")]
    launcher = composed("hydra/launcher=submitit_slurm", *changes).hydra.launcher
    assert launcher._target_.endswith(".SlurmLauncher") and launcher.submitit_folder.startswith("outputs/")
    assert (launcher.partition, launcher.timeout_min, launcher.gpus_per_node) == ("gpu", 60, 1)


def test_slurm_where_there_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="1"):
        Sweep().on_multirun_start(composed("hydra/launcher=submitit_slurm"))
    assert capsys.readouterr().err.startswith("musiclstm: there is no Slurm (srun) here")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


def test_a_sweep_takes_a_folder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = tmp_path / "a (b)" / "c=d"
    assert claim(wanted) == wanted
    config = composed(f"hydra.sweep.dir='{wanted}'")
    Sweep().on_multirun_start(config)
    assert config.hydra.sweep.dir == f"{wanted}-2"
    again = composed(*config.hydra.overrides.hydra)  # as Hydra composes the runs
    assert again.hydra.sweep.dir == f"{wanted}-2"
    assert capsys.readouterr().out == f"Sweep folder: {wanted}-2\n"


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="1"):
        Sweep().on_multirun_start(composed(f"hydra.sweep.dir={tmp_path / 'file' / 'sweep'}"))
    assert capsys.readouterr().err.endswith("file/sweep: Not a directory\n")


@pytest.mark.parametrize("results", [[], [{"failed": "bad"}]])
def test_a_sweep_without_any_result_fails(tmp_path: Path, results: list[dict[str, Any]]) -> None:
    for number, result in enumerate(results):
        (tmp_path / str(number)).mkdir()
        content = {**result, "provenance": {"overrides": ["seed=1"]}}
        (tmp_path / str(number) / "result.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="1"):
        Sweep().on_multirun_end(composed(f"hydra.sweep.dir={tmp_path}"))
    assert (tmp_path / "leaderboard.md").is_file()


def test_lines_of_runs_side_by_side_say_whose_they_are() -> None:
    screen = io.StringIO()
    labelled = Labelled(screen, "[3] ")
    print("one\ntwo", file=labelled)
    print("thr", end="", file=labelled)
    print("ee", file=labelled, flush=True)
    assert screen.getvalue() == "[3] one\n[3] two\n[3] three\n"
    assert not labelled.isatty()


def test_what_a_sweep_wants_and_has_not_is_said_in_a_line() -> None:
    missing = MissingConfigException("", missing_cfg_file="hydra/sweeper/optuna", options=["basic"])
    assert explain(missing) == 'hydra/sweeper=optuna needs an extra: pip install "musiclstm[sweep]"'
    interval = HydraException("BasicSweeper does not support sweep type : INTERVAL_SWEEP")
    assert str(explain(interval)).endswith("INTERVAL_SWEEP: to search an interval, add hydra/sweeper=optuna")


def test_a_launcher_that_lost_a_run_says_so_in_a_line() -> None:
    killed = type("TerminatedWorkerError", (Exception,), {"__module__": "joblib.externals.loky.process_executor"})
    line = explain(killed("A worker was terminated.\n\nSIGKILL(-9)\nmore"))
    assert line is not None and line.startswith("a run of the sweep was killed") and "\n" not in line
