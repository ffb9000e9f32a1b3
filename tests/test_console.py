from __future__ import annotations

import io
import re
import sys
import time

import pytest

from musiclstm import console
from musiclstm.console import Progress, duration, progress, say, warn


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3840, "1 h 04 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_duration_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_lines_go_to_output_and_warnings_to_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("one")
    say()
    warn("two")
    assert capsys.readouterr() == ("one\n\n", "two\n")


def test_status_counts_rates_and_foresees(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    work = Progress("Reading", 2000, "files")
    assert work.status() == "0/2,000 files (0%) in 0.0 s"
    now[0] += 20
    work.advance(499)
    work.advance()
    work.update(loss=0.51234, speed=12345.6, best="a.mid")
    assert (
        work.status()
        == "500/2,000 files (25%) in 20 s, 25 files/s, 1 min 00 s left, loss 0.512, speed 12,346, best a.mid"
    )
    work.update(completed=2000, description="Done")
    assert work.status() == "2,000/2,000 files (100%) in 20 s, 100 files/s, loss 0.512, speed 12,346, best a.mid"
    assert work.description == "Done"


def test_status_without_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    work = Progress("Waiting", None, "steps")
    now[0] = 4
    work.advance(6)
    assert work.status() == "6 steps in 4.0 s, 1.5 steps/s"


def test_a_log_is_not_silent_while_one_step_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.02)
    with progress("Reading", 2, unit="files") as bar:
        bar.advance()
        time.sleep(0.2)
        bar.advance()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert all(line.startswith("Reading: 1/2 files (50%)") for line in lines[:-1])
    assert lines[-1].startswith("Reading: 2/2 files (100%)")


def test_short_work_is_one_line_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading", 3) as bar:
        for _ in range(3):
            bar.advance()
    assert capsys.readouterr().out == "Reading: 3/3 items (100%) in 0.0 s\n"


def test_work_that_is_cut_off_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), progress("Reading", 3) as bar:  # noqa: PT012 (the block is the point)
        bar.advance()
        raise ZeroDivisionError
    assert capsys.readouterr().out == "Reading: stopped at 1/3 items (33%) in 0.0 s\n"


@pytest.mark.parametrize("total", [None, 0, 3])
def test_a_terminal_gets_a_bar_and_a_last_line(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress("Reading [a]", total, unit="files") as bar:
        bar.advance(2)
        say("a line in the middle")
        time.sleep(0.3)
    text = terminal.text()
    assert "━" in text
    assert "a line in the middle\n" in text
    last = "2/3 files (67%)" if total else "2 files"
    assert f"Reading [a]: {last} in 0." in text.splitlines()[-1]


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    with progress("Reading", 1) as bar:
        bar.advance()
    assert terminal.getvalue() == "Reading: 1/1 items (100%) in 0.0 s\n"
