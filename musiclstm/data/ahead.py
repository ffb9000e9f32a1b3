"""Windows read ahead by a process of their own: a GPU need not wait for pieces to be encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset

from musiclstm.data.lanes import Window
from musiclstm.errors import UserError

WINDOWS = 4  # that lie ready at most


class Ahead:
    """The same windows in the same order, in memory from which a GPU copies by itself while the program goes on.

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
        )
        for window in loader:
            if isinstance(window, UserError):
                raise window
            yield window


class _Stream(IterableDataset["Window | UserError"]):
    """What the other process does. A sentence for the user comes last, which torch would wrap in a stack trace."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = windows

    def __iter__(self) -> Iterator[Window | UserError]:
        try:
            yield from self.windows
        except UserError as error:
            yield error
