"""Windows read ahead by a process of their own: a GPU need not wait for pieces to be encoded."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from musiclstm.data.lanes import Window
from musiclstm.errors import UserError

WINDOWS = 4  # that lie ready at most
SHARED = Path("/dev/shm")
"""Where Linux keeps what processes share; a container has 64 MB of it unless told otherwise."""
NARROW = torch.int16
# torch's words: where the process or what takes from it was found dead, and where an error is one of the process itself
WORKER_DIED = ("DataLoader worker (pid", "Pin memory thread exited unexpectedly")
ITS_OWN = "in DataLoader worker process"
HANDING_OVER = (ConnectionError, EOFError)  # where it died while it handed a window over


class Ahead:
    """The same windows in the same order, in memory from which a GPU copies by itself while the program goes on.

    Their numbers are of the type `NARROW` where they fit, a quarter of the memory.

    A thread would not do: it takes turns with the one that hands a GPU its work. The process is a fork of this one.
    """

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = windows

    def __iter__(self) -> Iterator[Window]:
        loader = DataLoader(
            _Stream(self.windows),
            batch_size=None,
            num_workers=1,
            prefetch_factor=WINDOWS,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context="fork",
            generator=torch.Generator(),  # else it draws from the one that dropout draws from
        )
        try:
            for window in loader:
                if isinstance(window, UserError):
                    raise window
                yield window
        except HANDING_OVER as error:
            if ITS_OWN in str(error):
                raise
            raise _ended(str(error)) from error


def why_it_died(error: RuntimeError) -> UserError | None:
    """A sentence for what torch raises, wherever the program just is, where the process is no more; None for others."""
    return _ended(str(error)) if any(words in str(error) for words in WORKER_DIED) else None


def _ended(reason: str) -> UserError:
    remedy = f"give it more {SHARED} (in Docker: --shm-size=1g)" if "Bus error" in reason else "close other programs"
    return UserError(
        f"the process that encodes pieces ahead was ended from outside, perhaps for want of memory: {remedy}, or give "
        "fewer data.lanes, and go on with ckpt_path"
    )


def shared_memory_missing(lanes: int, window: int, features: int, processes: int) -> str | None:
    """What is wrong with the memory that processes share, in a few words, for windows of that size in so many of them;
    None where it will do, or where nobody can say."""
    if not SHARED.is_dir():
        return None
    # One more is being written, and one read. Narrow numbers are the rule: only an odd vocabulary has wider ones.
    needed = processes * (WINDOWS + 2) * lanes * window * (2 + features) * NARROW.itemsize
    free = shutil.disk_usage(SHARED).free
    return None if free >= needed else f"{SHARED} has {free >> 20} MB left, and {-(-needed >> 20)} MB are needed"


class _Stream(IterableDataset["Window | UserError"]):
    """What the other process does. A sentence for the user comes last, which torch would wrap in a stack trace."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = windows

    def __iter__(self) -> Iterator[Window | UserError]:
        try:
            for window in self.windows:
                tokens, targets, context = map(_narrow, window[:3])
                yield window._replace(tokens=tokens, targets=targets, context=context)
        except UserError as error:
            yield error


def _narrow(numbers: Tensor) -> Tensor:
    """None is below zero."""
    fits = not numbers.numel() or int(numbers.max()) <= torch.iinfo(NARROW).max
    return numbers.to(NARROW) if fits else numbers
