from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from musiclstm.leaderboard import NOT_ENDED, as_text, command_line, read_results, summary, write_leaderboard

COMMON = ["seed=1", "trainer.max_steps=5"]


def result(folder: Path, name: str, overrides: list[str], **found: Any) -> None:
    """What a run of a sweep leaves: `found` is nothing where it did not end."""
    (folder / name / ".hydra").mkdir(parents=True)
    lines = [f"- {json.dumps(override)}\n" for override in overrides]
    (folder / name / ".hydra" / "overrides.yaml").write_text("".join(lines))
    if found:
        content = {**found, "provenance": {"overrides": overrides}}
        (folder / name / "result.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, score in ((0, 3.5), (2, 2.25), (10, 2.25), (11, float("nan"))):
        overrides = [f"model.num_layers={number}", *COMMON]
        result(tmp_path, str(number), overrides, nats_per_note=score, parameters=12345, minutes=1.04)
    (tmp_path / "2" / "sample.mid").write_bytes(b"MThd")
    result(tmp_path, "3", ["model.num_layers=0", *COMMON], failed="num_layers=0 | is\nnothing")
    result(tmp_path, "4", ["model.num_layers=4", *COMMON])
    (tmp_path / ".submitit").mkdir()
    (tmp_path / "multirun.yaml").write_text("")
    return tmp_path


def test_runs_are_ranked_by_score_and_those_that_failed_come_last(folder: Path) -> None:
    rows = read_results(folder)
    assert [row.folder for row in rows] == ["2", "10", "0", "11", "3", "4"]
    assert [row.rank for row in rows] == [1, 2, 3, 4, None, None]
    assert rows[0].sample == "2/sample.mid" and rows[1].sample == ""
    assert rows[0].command == "python -m musiclstm.train model.num_layers=2 seed=1 trainer.max_steps=5"
    assert rows[-1].failed == NOT_ENDED
    assert summary(rows) == "6 runs, 1 failed, 1 did not end"


def test_the_csv_has_all_of_every_run(folder: Path) -> None:
    write_leaderboard(folder, read_results(folder))
    with (folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "", ""]
    assert rows[0]["nats_per_note"] == "2.25" and rows[0]["parameters"] == "12345" and rows[0]["minutes"] == "1.04"
    assert shlex.split(rows[2]["overrides"]) == ["model.num_layers=0", *COMMON]
    assert rows[4]["failed"] == "num_layers=0 | is\nnothing" and rows[4]["nats_per_note"] == ""


def test_the_table_says_once_what_is_common(folder: Path) -> None:
    write_leaderboard(folder, read_results(folder))
    lines = (folder / "leaderboard.md").read_text().splitlines()
    assert "In every run: `seed=1 trainer.max_steps=5`" in lines
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 6
    assert all(line.replace("\\|", "").count("|") == 9 for line in table)
    assert "2.2500 | 12,345 | 1.0 | 2 | model.num_layers=2 | [2/sample.mid](2/sample.mid) | `python -m" in table[2]
    assert "failed: num_layers=0 \\| is nothing" in table[6]


def test_the_screen_shows_what_runs_differ_in_and_why_they_failed(folder: Path) -> None:
    text = as_text(read_results(folder))
    assert "seed=1" not in text
    assert "num_layers=0 | is" in text and NOT_ENDED in text


def test_a_single_run_shows_all_its_settings(tmp_path: Path) -> None:
    result(tmp_path, "0", COMMON, nats_per_note=1.0, parameters=1, minutes=0.1)
    assert as_text(read_results(tmp_path)).endswith("seed=1 trainer.max_steps=5")
    assert summary(read_results(tmp_path)) == "1 run"


def test_the_command_of_a_run_holds_paths_and_does_not_begin_the_sweep_again() -> None:
    path = "data.path='/my music (a=b)'"
    assert shlex.split(command_line([path]))[3:] == [path]
    assert shlex.split(command_line(["sweep=width", "seed=1"]))[3:] == ["sweep=width", "seed=1", "hydra.mode=RUN"]
    assert shlex.split(command_line(["+sweep=width"]))[3:] == ["+sweep=width", "hydra.mode=RUN"]
