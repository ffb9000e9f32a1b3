"""Lines and progress for people: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

SECONDS_BETWEEN_LINES = 5.0


def say(text: str = "") -> None:
    """Print a line on standard output at once."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print a line on standard error at once."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """`seconds` as people say it: '8.2 s', '42 s', '3 min 05 s', '1 h 04 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


class Progress:
    """How far a piece of work is. `progress` makes one and shows it."""

    def __init__(self, description: str, total: float | None, unit: str, completed: float = 0) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.completed = completed
        self.fields: dict[str, object] = {}
        self._began, self._before = time.monotonic(), completed

    def advance(self, n: float = 1) -> None:
        """Say that `n` more units are done."""
        self.completed += n

    def update(self, completed: float | None = None, description: str | None = None, **fields: object) -> None:
        """Set what is done so far, the description, or `fields` to show behind them (loss=0.52)."""
        self.completed = self.completed if completed is None else completed
        self.description = self.description if description is None else description
        self.fields = {**self.fields, **fields}  # another thread may be reading the old one

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began

    def status(self, *, over: bool = False) -> str:
        """How far the work is: '120/410 files (29%) in 14 s, 8.6 files/s, 34 s left, loss 0.52'."""
        elapsed, rate = self.elapsed, self._rate()
        count = f"{self.completed:,.0f} {self.unit}"
        if self.total:
            count = f"{self.completed:,.0f}/{self.total:,.0f} {self.unit} ({100 * self.completed / self.total:.0f}%)"
        parts = [f"{count} in {duration(elapsed)}"]
        if rate:
            parts.append(f"{_number(rate)} {self.unit}/s")
            if self.total and self.completed < self.total and not over:
                parts.append(f"{duration((self.total - self.completed) / rate)} left")
        parts += [f"{name} {_number(value)}" for name, value in self.fields.items()]
        return ", ".join(parts)

    def _rate(self) -> float:
        elapsed = self.elapsed
        return (self.completed - self._before) / elapsed if elapsed >= 1 else 0.0  # over less time it says nothing


def _number(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@contextmanager
def progress(
    description: str, total: float | None = None, unit: str = "items", completed: float = 0
) -> Iterator[Progress]:
    """Show how far the work in the block is, and say at its end how much was done in what time.

    `completed` is what was done before, in an earlier process.

    A terminal gets a bar with what was done, the rate, the time spent and the time left. Anything else, a log
    say, gets a line every five seconds, whether or not the work has moved.
    """
    work = Progress(description, total, unit, completed)
    show = _bar if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else _lines
    try:
        with show(work):
            yield work
    except BaseException:
        say(f"{work.description}: stopped at {work.status(over=True)}")
        raise
    say(f"{work.description}: {work.status(over=True)}")


@contextmanager
def _lines(work: Progress) -> Iterator[None]:
    over = threading.Event()

    def report() -> None:
        while not over.wait(SECONDS_BETWEEN_LINES):
            say(f"{work.description}: {work.status()}")

    # a thread, because one long step must not leave the log silent
    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _bar(work: Progress) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def render() -> RenderableType:
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(no_wrap=True)
        row.add_column(ratio=1, min_width=4)
        row.add_column(no_wrap=True)
        bar = ProgressBar(work.total, work.completed, pulse=not work.total)
        row.add_row(Text(work.description), bar, Text(work.status()))
        return row

    with Live(get_renderable=render, console=Console(), refresh_per_second=4, transient=True):
        yield
