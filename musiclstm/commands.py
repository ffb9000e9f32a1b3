"""The frame around every command: where its configuration is found, and what a person sees when it fails."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser  # hydra.main's own parser, to report its errors in our way
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from musiclstm.console import warn
from musiclstm.errors import UserError
from musiclstm.explain import explain, quote, reason
from musiclstm.values import check_kinds

_PACKAGE = Path(__file__).resolve().parent
CONF_DIR = str(next((c for c in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if c.is_dir()), _PACKAGE / "conf"))
"""The folder of the Hydra configuration: inside an installed wheel, beside the package in a clone."""

Task = Callable[[DictConfig], Any]
OnFailure = Callable[[DictConfig, Exception], Any]


class _TaskFailed(BaseException):
    """Carries a task's exception past Hydra, which would report it in its own way."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def command(
    config_name: str, *, on_failure: OnFailure | None = None, config_dir: str = CONF_DIR
) -> Callable[[Task], Callable[..., Any]]:
    """A decorator that makes a task, which takes the composed configuration, a command with Hydra's abilities.

    The decorated function reads the command line; called with a configuration it is the task itself. What the
    user did wrong is one line on standard error and exit status 1, Ctrl-C one line and 130. A bug keeps its
    traceback, and MUSICLSTM_TRACEBACK=1 shows it for everything.

    In a multirun, where `on_failure` is given, a run that fails does not end the others: its reason is printed,
    and `on_failure(cfg, error)`, called in the run's own process, returns what the sweeper takes as its value.
    """

    def decorate(task: Task) -> Callable[..., Any]:
        @functools.wraps(task)
        def main(cfg: DictConfig | None = None) -> Any:
            if cfg is None:
                return _run(task, config_name, config_dir, on_failure)
            return task(cfg)

        return main

    return decorate


def _run(task: Task, config_name: str, config_dir: str, on_failure: OnFailure | None) -> None:
    full_error = os.environ.get("HYDRA_FULL_ERROR")

    @functools.wraps(task)
    def job(cfg: DictConfig) -> Any:
        try:
            with _full_error(full_error):
                return task(cfg)
        except Exception as error:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                raise _TaskFailed(error) from None
            if on_failure is None:
                raise
            if explain(error) is None:
                traceback.print_exception(error)
            warn(f"musiclstm: run {HydraConfig.get().job.num} failed: {reason(error)}")
            return on_failure(cfg, error)

    failure: Exception
    try:
        sys.argv[1:] = _readable(sys.argv[1:])
        with _full_error("1"):  # Hydra then lets exceptions through, where it would print them and exit
            check_kinds(config_dir, config_name, [argument for argument in sys.argv[1:] if _is_setting(argument)])
            hydra.main(config_path=config_dir, config_name=config_name, version_base="1.3")(job)()
        return
    except KeyboardInterrupt:
        warn("musiclstm: stopped")
        raise SystemExit(130) from None
    except _TaskFailed as failed:
        failure = failed.error
    except Exception as error:
        failure = error
    line = explain(failure)
    if line is None or "1" in (full_error, os.environ.get("MUSICLSTM_TRACEBACK")):
        raise failure
    warn(f"musiclstm: {line}")
    raise SystemExit(1)


@contextmanager
def _full_error(value: str | None) -> Iterator[None]:
    """Hydra's switch for full tracebacks set to `value`, and afterwards as it was."""
    before = os.environ.pop("HYDRA_FULL_ERROR", None)
    try:
        if value is not None:
            os.environ["HYDRA_FULL_ERROR"] = value
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def _readable(arguments: list[str]) -> list[str]:
    """`arguments` as Hydra can read them, with what it cannot read as they are: odd paths, `a=1 -m b=2`."""

    def fail(message: str) -> NoReturn:
        raise UserError(f"{message}: settings are written name=value, without dashes; --help lists them")

    readable = [quote(argument) for argument in sorted(arguments, key=_is_setting)]  # options first
    parser = get_args_parser()
    parser.error = fail  # type: ignore[method-assign]
    parser.parse_args(readable)
    return readable


def _is_setting(argument: str) -> bool:
    return "=" in argument and not argument.startswith("-")
