"""The table at the end of a sweep: every run with its score, or with the reason why it has none."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from musiclstm.console import say
from musiclstm.files import whole_file

if TYPE_CHECKING:
    from omegaconf import DictConfig

RESULT = "result.json"
COLUMNS = ("rank", "nats_per_note", "parameters", "minutes", "overrides", "sample", "command", "folder", "failed")


class Leaderboard(Callback):
    """Hydra callback: when a multirun ends, writes `leaderboard.md` and `leaderboard.csv` into its folder."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        rows = read_results(folder)
        if not rows:
            return
        write_leaderboard(folder, rows)
        say()
        say(as_text(rows))
        failed = sum(1 for row in rows if row["failed"])
        say(f"{len(rows)} runs{f', {failed} of them failed' if failed else ''}: {folder / 'leaderboard.md'}")


def read_results(folder: Path) -> list[dict[str, Any]]:
    """The rows of the runs under a sweep's folder, best first, those that failed last."""
    rows = []
    for path in sorted(folder.glob(f"*/{RESULT}")):
        result = json.loads(path.read_text(encoding="utf-8"))
        provenance = result.get("provenance", {})
        sample = path.parent / "sample.mid"
        rows.append(
            {
                "nats_per_note": result.get("nats_per_note"),
                "parameters": result.get("parameters"),
                "minutes": result.get("minutes"),
                "overrides": " ".join(provenance.get("overrides", [])),
                "sample": str(sample.relative_to(folder)) if sample.is_file() else "",
                "command": provenance.get("command", ""),
                "folder": path.parent.name,
                "failed": result.get("failed", ""),
            }
        )
    rows.sort(key=lambda row: (bool(row["failed"]), _score(row), row["folder"]))
    return [{"rank": rank, **row} for rank, row in enumerate(rows, 1)]


def _score(row: dict[str, Any]) -> float:
    score = row["nats_per_note"]
    return math.inf if score is None or math.isnan(score) else float(score)


def write_leaderboard(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Writes both files beside, then over what was there."""
    title = "# Leaderboard\n\nRanked by validation nats per note: lower is better.\n\n"
    with whole_file(folder / "leaderboard.md") as beside:
        beside.write_text(title + as_markdown(rows) + "\n", encoding="utf-8")
    with whole_file(folder / "leaderboard.csv") as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| rank | nats/note | parameters | minutes | run | sample | command |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        score = f"failed: {row['failed']}" if row["failed"] else _number(row["nats_per_note"], ".4f")
        sample = f"[{row['sample']}]({row['sample']})" if row["sample"] else ""
        cells = [
            str(row["rank"]),
            score.replace("|", "\\|").replace("\n", " "),
            _number(row["parameters"], ","),
            _number(row["minutes"], ".1f"),
            f"{row['folder']}: {row['overrides']}".replace("|", "\\|"),
            sample,
            f"`{row['command']}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_text(rows: list[dict[str, Any]]) -> str:
    """The rows as lines for a screen."""
    lines = [f"{'rank':>4}  {'nats/note':>9}  {'parameters':>10}  {'minutes':>7}  run"]
    for row in rows:
        score = "failed" if row["failed"] else _number(row["nats_per_note"], ".4f")
        parameters, minutes = _number(row["parameters"], ","), _number(row["minutes"], ".1f")
        reason = f" ({row['failed']})" if row["failed"] else ""
        lines.append(f"{row['rank']:>4}  {score:>9}  {parameters:>10}  {minutes:>7}  {row['overrides']}{reason}")
    return "\n".join(lines)


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
