"""Work for worker processes that does, item by item, what hostile files do to the program that reads them."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def perform(
    chunk: Sequence[str], lost: Mapping[int, tuple[str, str]], begin: Callable[[int], None]
) -> list[str | tuple[str, str]]:
    """What became of each item: its name, or why it was lost."""
    done: list[str | tuple[str, str]] = []
    for i, deed in enumerate(chunk):
        if i in lost:
            done.append(lost[i])
            continue
        begin(i)
        if deed.startswith("/"):
            killed_once(Path(deed))
        else:
            DEEDS.get(deed, lambda: None)()
        done.append(deed)
    begin(-1)
    if "die while writing out" in chunk:
        os._exit(5)
    return done


def process_id(chunk: object, lost: object, begin: Callable[[int], None]) -> int:
    return os.getpid()


def hang_in_c(path: Path, lost: object, begin: Callable[[int], None]) -> None:
    """Write its process's number to `path`, and hang."""
    begin(0)
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").replace(path)
    sleep_in_c()


def sleep_in_c() -> None:
    """Holds the interpreter's lock, so that no other thread runs."""
    ctypes.PyDLL(None).sleep(1000)


def loop_in_c() -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")


def loop_in_python() -> None:
    while True:
        time.sleep(0.001)


def take_slowly() -> None:
    hoard = []
    while True:
        hoard.append(b"x" * 2**22)
        time.sleep(0.001)


def take_shared() -> None:
    """Memory that the kernel's limit does not count."""
    with mmap.mmap(-1, 2**29) as area:
        for _ in range(2**7):
            area.write(b"x" * 2**22)
        loop_in_python()


def abort_for_memory() -> None:
    """As C++ does where nobody catches the exception."""
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os.abort()


def killed_once(flag: Path) -> None:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def raise_error(error: Exception) -> None:
    raise error


class Unpicklable(Exception):
    def __init__(self, *, what: str) -> None:
        super().__init__(what)


def print_much() -> None:
    """More than a pipe holds."""
    for _ in range(100):
        os.write(1, b"noise" * 1000)
    print("noise" * 100_000)


DEEDS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "raise SystemExit": lambda: exit(4),
    "sleep in C": sleep_in_c,
    "loop in C": loop_in_c,
    "loop in Python": loop_in_python,
    "take slowly": take_slowly,
    "take at once": lambda: bytearray(2**34),
    "take shared": take_shared,
    "abort for memory": abort_for_memory,
    "raise OSError": lambda: raise_error(OSError(28, "No space left on device")),
    "raise Unpicklable": lambda: raise_error(Unpicklable(what="odd")),
    "print": print_much,
}
