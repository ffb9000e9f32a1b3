"""What Hydra calls when a sweep begins and ends, and around each of its runs."""

from __future__ import annotations

import atexit
import io
import shutil
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import open_dict, read_write

from musiclstm.console import say, warn
from musiclstm.explain import quote
from musiclstm.leaderboard import TABLE, Row, as_text, read_results, summary, write_leaderboard

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig


class Sweep(Callback):
    """Gives a sweep a folder of its own, tells its runs apart on the screen, and keeps its leaderboard.

    The leaderboard is written whenever a run ends, so that a sweep that is cut off has one too.
    """

    def __init__(self) -> None:
        self._given: list[str] = []
        self._label = ExitStack()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        launcher, wanted = config.hydra.launcher._target_, Path(config.hydra.sweep.dir)
        if launcher.endswith(".SlurmLauncher") and shutil.which("srun") is None:
            _stop("there is no Slurm (srun) here; hydra/launcher=submitit_local runs jobs on this machine")
        try:
            folder = claim(wanted)
        except OSError as error:
            _stop(f"hydra.sweep.dir={wanted}: {error.strerror}")
        if folder != wanted:
            with read_write(config), open_dict(config):
                config.hydra.sweep.dir = str(folder)
                config.hydra.overrides.hydra.append(quote(f"hydra.sweep.dir={folder}"))  # from which runs are composed
        self._given = list(config.hydra.overrides.task)
        where = "; what its runs say stands in .submitit there" if ".hydra_submitit_launcher." in launcher else ""
        say(f"Sweep folder: {folder}{where}")
        atexit.register(_broke_off, folder)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        number = config.hydra.job.num
        own = [override for override in config.hydra.overrides.task if override not in self._given]
        say(f"\nRun {number}: {' '.join(own) or 'as it is'}")
        if not config.hydra.launcher._target_.endswith(".BasicLauncher"):  # several at once
            self._label.enter_context(redirect_stdout(Labelled(sys.stdout, f"[{number}] ")))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if config.hydra.mode == RunMode.MULTIRUN:
            self._label.close()
            folder = Path(config.hydra.sweep.dir)
            write_leaderboard(folder, read_results(folder))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        atexit.unregister(_broke_off)
        folder = Path(config.hydra.sweep.dir)
        rows = read_results(folder)
        show(folder, rows)
        if all(row.failed for row in rows):
            _stop(f"none of the {len(rows)} runs has a result")


def _stop(message: str) -> NoReturn:
    """Ends the command. Hydra lets this through, where it makes any other exception of a callback a warning."""
    warn(f"musiclstm: {message}")
    raise SystemExit(1)


def claim(folder: Path) -> Path:
    """`folder`, or where a sweep is in it already, FOLDER-2 and so on; with an empty leaderboard that holds it."""
    number, candidate = 1, folder
    while True:
        candidate.mkdir(parents=True, exist_ok=True)
        try:
            (candidate / TABLE).touch(exist_ok=False)
        except FileExistsError:
            number += 1
            candidate = folder.with_name(f"{folder.name}-{number}")
        else:
            return candidate


def show(folder: Path, rows: list[Row]) -> None:
    """Writes the leaderboard and prints it."""
    write_leaderboard(folder, rows)
    say(f"\n{as_text(rows)}")
    say(f"{summary(rows)}: {folder / TABLE}")
    if rows and rows[0].rank and rows[0].sample:  # fast_dev_run leaves none
        say(f"Music by the best: python -m musiclstm.generate checkpoint={folder / rows[0].folder}")


def _broke_off(folder: Path) -> None:
    """At the end of a process in which a sweep did not come to its own end."""
    rows = read_results(folder)
    if rows:
        say("\nThe sweep was cut off. So far:")
        show(folder, rows)
    else:
        (folder / TABLE).unlink(missing_ok=True)


class Labelled(io.TextIOBase):
    """A stream that is no terminal and writes whole lines, each behind `label`: whose line it is."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream, self._label, self._rest = stream, label, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        self._stream.write("".join(f"{self._label}{line}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True
