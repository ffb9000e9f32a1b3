"""The table of a sweep: every run with its score, or with the reason why it has none."""

from __future__ import annotations

import csv
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from musiclstm.files import whole_file

RESULT = "result.json"
TABLE = "leaderboard.md"
NOT_ENDED = "it is still running, or was killed"


@dataclass(frozen=True)
class Row:
    """A run. Those that failed have no rank."""

    rank: int | None
    nats_per_note: float | None
    parameters: int | None
    minutes: float | None
    overrides: tuple[str, ...]
    sample: str  # a path below the sweep's folder, or nothing
    command: str
    folder: str
    failed: str  # why, or nothing

    @property
    def score(self) -> str:
        """Nats per note, or the word for there being none."""
        if self.failed:
            return "did not end" if self.failed == NOT_ENDED else "failed"
        known = self.nats_per_note is not None and not math.isnan(self.nats_per_note)
        return f"{self.nats_per_note:.4f}" if known else "none"


def command_line(overrides: Sequence[str]) -> str:
    """The command that does a run again."""
    sweep = any(override.lstrip("+").startswith("sweep=") for override in overrides)
    alone = ["hydra.mode=RUN"] if sweep else []  # its other settings hold, but it shall not start the sweep again
    return shlex.join(["python", "-m", "musiclstm.train", *overrides, *alone])


def read_results(folder: Path) -> list[Row]:
    """The runs of the sweep in `folder`, best first, those that failed last."""
    rows = [row for path in folder.glob("*") if (row := _read(path)) is not None]
    rows.sort(key=lambda row: (bool(row.failed), _score(row), len(row.folder), row.folder))
    return [row if row.failed else replace(row, rank=rank) for rank, row in enumerate(rows, 1)]


def _read(path: Path) -> Row | None:
    began, ended = path / ".hydra" / "overrides.yaml", path / RESULT
    if ended.is_file():
        result = json.loads(ended.read_text(encoding="utf-8"))
        overrides = result["provenance"]["overrides"]
    elif began.is_file():
        result = {"failed": NOT_ENDED}
        overrides = OmegaConf.to_container(OmegaConf.load(began))
    else:
        return None
    return Row(
        rank=None,
        nats_per_note=result.get("nats_per_note"),
        parameters=result.get("parameters"),
        minutes=result.get("minutes"),
        overrides=tuple(overrides),
        sample=f"{path.name}/sample.mid" if (path / "sample.mid").is_file() else "",
        command=command_line(overrides),
        folder=path.name,
        failed=result.get("failed", ""),
    )


def _score(row: Row) -> float:
    score = row.nats_per_note
    return math.inf if score is None or math.isnan(score) else score


def write_leaderboard(folder: Path, rows: Sequence[Row]) -> None:
    """Writes `leaderboard.md` and `leaderboard.csv` beside, then over what was there."""
    with whole_file(folder / TABLE) as beside:
        beside.write_text(as_markdown(rows), encoding="utf-8")
    with whole_file(folder / "leaderboard.csv") as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows({**asdict(row), "overrides": shlex.join(row.overrides)} for row in rows)


def as_markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown document."""
    lines = ["# Leaderboard", "", "Ranked by validation nats per note: lower is better.", ""]
    if common := shared(rows):
        lines += [f"In every run: `{shlex.join(common)}`", ""]
    lines += ["| rank | nats/note | parameters | minutes | run | settings | sample | command |"]
    lines += ["|---:|---:|---:|---:|---|---|---|---|"]
    escaped = "\\|"
    for row in rows:
        cells = [
            *_numbers(row),
            row.folder,
            shlex.join(_own(row, common)) + (f" ({row.score}: {row.failed})" if row.failed else ""),
            f"[{row.sample}]({row.sample})" if row.sample else "",
            f"`{row.command}`",
        ]
        lines.append(f"| {' | '.join(' '.join(cell.replace('|', escaped).split()) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def as_text(rows: Sequence[Row]) -> str:
    """The rows as lines for a screen."""
    form = "{:>4}  {:>11}  {:>10}  {:>7}  {:>3}  {}"
    lines = [form.format("rank", "nats/note", "parameters", "minutes", "run", "settings")]
    common = shared(rows)
    for row in rows:
        lines.append(form.format(*_numbers(row), row.folder, shlex.join(_own(row, common))))
        if row.failed:
            lines.append(f"{'':>45}{row.failed}")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """How many runs there are and what became of them: '9 runs, 1 failed'."""
    parts = [f"{len(rows)} {'run' if len(rows) == 1 else 'runs'}"]
    parts += [f"{count} {word}" for word in ("failed", "did not end") if (count := [r.score for r in rows].count(word))]
    return ", ".join(parts)


def shared(rows: Sequence[Row]) -> list[str]:
    """The settings that no run differs in from another."""
    if len(rows) < 2:
        return []
    return [override for override in rows[0].overrides if all(override in row.overrides for row in rows)]


def _own(row: Row, common: Sequence[str]) -> list[str]:
    return [override for override in row.overrides if override not in common]


def _numbers(row: Row) -> list[str]:
    return [_number(row.rank, ""), row.score, _number(row.parameters, ","), _number(row.minutes, ".1f")]


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
