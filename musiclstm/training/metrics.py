"""The CSV log of a run: one row a logged step, in a file that a resumed run goes on with."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from musiclstm.files import whole_file


class MetricsLog(Logger):
    """Writes `metrics.csv`: a column `step` and one for each metric, empty where a step has none.

    Lightning's own CSVLogger empties the folder of a run that is resumed; this one drops only the rows after
    the step that the run goes on from.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self.rows: list[dict[str, float]] = read_metrics(self.path)
        self._resumed = False

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsLog:
        return self

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's configuration is in its folder already."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        step = step or 0
        if not self._resumed:
            self.rows = [row for row in self.rows if row["step"] < step]
            self._resumed = True
        metrics = {key: value for key, value in metrics.items() if key != "epoch"}
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1].update(metrics)
        else:
            self.rows.append({"step": step, **metrics})

    @rank_zero_only
    def save(self) -> None:
        """Writes all rows beside the file, then over it."""
        names = ["step", *sorted({key for row in self.rows for key in row} - {"step"})]
        with whole_file(self.path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self.rows:
            self.save()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {key: int(value) if key == "step" else float(value) for key, value in row.items() if value}
            for row in csv.DictReader(file)
        ]
