from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig

from musiclstm.commands import CONF_DIR, command
from musiclstm.errors import UserError
from musiclstm.explain import reason

CONF = {
    "play.yaml": """
        defaults: [_self_, {tokenizer: auto}, {override hydra/job_logging: none}, {override hydra/hydra_logging: none}]
        seed: 1
        trainer: {max_steps: 3}
        data: {path: null, must: '???'}
        """,
    "tokenizer/auto.yaml": "name: auto",
    "tokenizer/remi.yaml": "name: remi",
}

Run = Callable[..., "tuple[int, str, str]"]


class Thing:
    def __init__(self, size: int) -> None:
        if size < 0:
            raise UserError("size is -1:\n  give 0 or more")
        raise TypeError("sizes\nare not for us")


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "conf"
    for name, text in CONF.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(line.removeprefix(" " * 8) for line in text.splitlines()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.delenv("MUSICLSTM_TRACEBACK", raising=False)
    return folder


@pytest.fixture
def run(conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a task as a command with these arguments: its exit status, output and error output."""

    def run(task: Callable[[DictConfig], Any], *arguments: str, **options: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["play", *arguments])
        status = 0
        try:
            command("play", config_dir=str(conf), **options)(task)()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def play(cfg: DictConfig) -> None:
    print("playing", cfg.seed, cfg.data.path, cfg.tokenizer.name)


def fails_with(error: BaseException) -> Callable[[DictConfig], None]:
    def task(cfg: DictConfig) -> None:
        raise error

    return task


def test_the_configuration_is_found_from_any_folder() -> None:
    assert Path(CONF_DIR).is_absolute()
    assert (Path(CONF_DIR) / "train.yaml").is_file()


def test_a_task_gets_what_the_command_line_says(run: Run) -> None:
    assert run(play, "seed=5", "tokenizer=remi") == (0, "playing 5 None remi\n", "")


def test_a_task_can_be_called_with_a_configuration() -> None:
    @command("play")
    def double(cfg: DictConfig) -> Any:
        return 2 * cfg.seed

    assert double(DictConfig({"seed": 4})) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foo=1"], "there is no setting foo; --help lists them"),
        (["maxsteps=4"], "there is no setting maxsteps: did you mean trainer.max_steps?"),
        (["max_steps=4"], "there is no setting max_steps: did you mean trainer.max_steps?"),
        (["trainer.max_step=4"], "there is no setting trainer.max_step: did you mean trainer.max_steps?"),
        (["optimizer.max_steps=4"], "there is no setting optimizer.max_steps: did you mean trainer.max_steps?"),
        (["tokenizr=remi"], "there is no setting tokenizr: did you mean tokenizer?"),
        (["tokenizer=foo"], "tokenizer=foo is not known: tokenizer= takes auto, remi"),
        (["hydra.job.num=x"], "Error merging override hydra.job.num=x: Value 'x' of type 'str' could not be converted"),
        (["data.path=[1"], "cannot read data.path=[1: if the value is text, quote it: 'data.path=\"[1\"'"),
        (["seed"], "cannot read seed: settings are written name=value, as in seed=1; --help lists them"),
        (["seed=1,2"], "seed=1,2 is several values: add -m to run each of them, or quote it if it is text: "),
        (["--seed=3"], "unrecognized arguments: --seed=3: settings are written name=value, without dashes"),
        (["--config-name", "nothing"], "Cannot find primary config 'nothing'"),
    ],
)
def test_a_bad_command_line_is_one_line(run: Run, arguments: list[str], said: str) -> None:
    status, out, err = run(play, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"musiclstm: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("top_p is 0:\n  give more"), "top_p is 0: give more"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied: /x"),
    ],
)
def test_what_is_wrong_with_the_input_is_one_line(run: Run, error: Exception, said: str) -> None:
    assert run(fails_with(error)) == (1, "", f"musiclstm: {said}\n")


def test_a_value_that_must_be_given_is_asked_for(run: Run) -> None:
    assert run(lambda cfg: cfg.data.must)[2] == "musiclstm: data.must has no value: give data.must=...\n"


@pytest.mark.parametrize(
    ("size", "said"),
    [(-1, "size is -1: give 0 or more"), (1, "TypeError: sizes are not for us (MUSICLSTM_TRACEBACK=1 shows where)")],
)
def test_a_constructor_that_refuses_is_one_line(run: Run, size: int, said: str) -> None:
    target = f"{__name__}.Thing"
    assert run(lambda cfg: instantiate({"_target_": target, "size": size})) == (1, "", f"musiclstm: {said}\n")


def test_a_bug_keeps_its_traceback_and_its_cause(run: Run) -> None:
    bug = RuntimeError("a bug")
    bug.__cause__ = KeyError("why")
    with pytest.raises(RuntimeError, match="a bug") as caught:
        run(fails_with(bug))
    assert isinstance(caught.value.__cause__, KeyError)
    assert "hydra" not in {Path(str(entry.path)).parent.name for entry in caught.traceback}


@pytest.mark.parametrize("variable", ["MUSICLSTM_TRACEBACK", "HYDRA_FULL_ERROR"])
def test_a_traceback_can_be_had_for_everything(run: Run, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UserError):
        run(fails_with(UserError("bad")))


def test_an_interrupt_is_one_line(run: Run) -> None:
    assert run(fails_with(KeyboardInterrupt())) == (130, "", "musiclstm: stopped\n")


def test_the_environment_is_left_alone(run: Run) -> None:
    seen = []
    run(lambda cfg: seen.append(os.environ.get("HYDRA_FULL_ERROR")))
    assert [*seen, os.environ.get("HYDRA_FULL_ERROR")] == [None, None]


def test_a_run_that_fails_does_not_lose_the_sweep(run: Run) -> None:
    failed = []

    def task(cfg: DictConfig) -> None:
        if cfg.seed == 2:
            raise UserError("2 is bad")
        if cfg.seed == 3:
            raise RuntimeError("a bug")
        print("played", cfg.seed)

    def on_failure(cfg: DictConfig, error: Exception) -> float:
        failed.append((cfg.seed, reason(error)))
        return 0.0

    status, out, err = run(task, "seed=1,2,3,4", "-m", "trainer.max_steps=1", on_failure=on_failure)
    assert (status, out) == (0, "played 1\nplayed 4\n")
    assert failed == [(2, "2 is bad"), (3, "RuntimeError: a bug")]
    assert "musiclstm: run 1 failed: 2 is bad\n" in err
    assert "Traceback" in err.partition("musiclstm: run 1 failed: 2 is bad\n")[2]


def test_a_sweep_that_nobody_rescues_fails_in_one_line(run: Run) -> None:
    status, _, err = run(fails_with(UserError("bad")), "-m", "seed=1,2")
    assert status == 1
    assert err.endswith("musiclstm: bad\n")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "path",
    ["/a=b.mid", "/Björk (live)/it's.mid", "a~b", "C:\\music\\", "a & b #1", "a\\'b", "(a)", "plain", "/with space"],
)
def test_paths_arrive_as_they_were_given(run: Run, path: str) -> None:
    assert run(play, f"data.path={path}") == (0, f"playing 1 {path} auto\n", "")


def test_paths_may_begin_at_home(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of (some)")
    monkeypatch.setenv("USERPROFILE", "/home/of (some)")
    assert run(play, "data.path=~/a=b.mid") == (0, "playing 1 /home/of (some)/a=b.mid auto\n", "")
