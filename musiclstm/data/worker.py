"""What a worker process of the pool does: chunk after chunk, within its limits, until its parent is gone."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil

if sys.platform != "win32":
    import fcntl
    import resource

Reason = tuple[str, str]  # a kind of errors.FileError, "limit" or "crash", and what the file did

OUTSIDE = -1  # where a worker is that works on no item
OUT_OF_MEMORY = 86  # exit status of a worker that a MemoryError went through
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
KEPT_BYTES = 64 << 20  # that a worker keeps at most when it has freed them


@dataclass(frozen=True)
class Limits:
    """What one item may take."""

    seconds: float = 30.0  # wall clock
    megabytes: int = 1024  # beyond what the worker needs when idle

    @property
    def bytes(self) -> int:
        return self.megabytes * 2**20

    def too_long(self) -> Reason:
        return "limit", f"took longer than {self.seconds:g} s to read"

    def too_large(self) -> Reason:
        """Also for work that catches a MemoryError."""
        return "limit", f"needed more than {self.megabytes:,} MB to read"


def serve(pipe: Connection, stderr: Connection, place: Any, pickled: bytes, limits: Limits) -> None:
    """Does what comes through `pipe` and tells `place` which item it is at; what it prints goes to `stderr`."""
    _settle(stderr)
    _keep_memory()

    def begin(item: int) -> None:
        place.value = item

    try:
        work = pickle.loads(pickled)
        idle, ceiling = _limit_memory(limits)
        answer = pickle.dumps(("ready", idle, None))
    except Exception as error:
        answer = _error(error)
    while True:
        try:
            pipe.send_bytes(answer)
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return  # the parent is gone
        try:
            chunk, lost = pickle.loads(message)
            result = work(chunk, lost, begin)
            begin(OUTSIDE)
            # libraries keep memory; a worker that holds much is replaced, lest the next item pays for it
            answer = pickle.dumps(("done", result, _used() > ceiling))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:
            answer = _error(error)


def _settle(stderr: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    # what a dying parser prints is not for the user's screen
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    os.dup2(sys.stdout.fileno(), 1)
    if sys.platform == "win32":
        os.dup2(sys.stdout.fileno(), 2)
        ctypes.windll.kernel32.SetErrorMode(3)  # no dialog that waits for a click when a parser crashes
    else:
        os.set_blocking(stderr.fileno(), False)  # what a full pipe does not take is lost
        os.dup2(stderr.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    parent = multiprocessing.parent_process()
    assert parent is not None
    if sys.platform == "linux":
        # The parent holds the other end of this pipe; when it closes, SIGIO ends even a process that hangs in C.
        # (PR_SET_PDEATHSIG is of no use: the worker is the forkserver's child, which lives as long as any worker.)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _keep_memory() -> None:
    """Let the allocator keep what is freed for the next file: glibc gives large blocks back to the system, which clears
    them each time that it hands them out."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            allocator = ctypes.CDLL(None)
            allocator.mallopt(MMAP_THRESHOLD, KEPT_BYTES // 4)
            allocator.mallopt(TRIM_THRESHOLD, KEPT_BYTES)


def _limit_memory(limits: Limits) -> tuple[int, int]:
    """The bytes that are resident now, and those in use beyond which a worker that has nothing to do is replaced."""
    used = _used()
    if sys.platform == "linux":
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = used + limits.bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    return psutil.Process().memory_info().rss, used + limits.bytes // 2


def _used() -> int:
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "data", memory.rss))  # on Linux what the kernel's limit counts


def _error(error: Exception) -> bytes:
    text = "".join(traceback.format_exception(error))
    try:
        answer = pickle.dumps(("error", error, text))
        pickle.loads(answer)
    except Exception:
        return pickle.dumps(("error", RuntimeError(f"{type(error).__name__}: {error}"), text))
    return answer
