"""Who of several threads may run Python.

Python itself lets one run at a time, and NumPy lets go of that right in each of its calls: threads that write parts of
a batch then fight for it some hundred times a token, which takes a quarter of their time. So they ask once a step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """Held while a step runs Python, let go of while the engine is at work. Threads that share one take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which another thread has it."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
