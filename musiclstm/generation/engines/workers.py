"""Threads that share the rows of a batch, each with its own part from the first call of a step to the last.

torch's own threads share every call and wait for each other at the end of it, a dozen times in a step of 3 ms. Where
another program wants the cores, each wait can last until the scheduler gets round to the slower thread: the step was
then seen to take 130 ms.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch


def parts_of(count: int, parts: int) -> list[slice]:
    """`count` rows divided into so many parts, as even as they can be."""
    ends = [count * part // parts for part in range(parts + 1)]
    return [slice(*span) for span in pairwise(ends)]


def workers(count: int) -> ThreadPoolExecutor:
    """A pool of `count` threads in which torch has one thread each."""
    return _workers(count, os.getpid())  # a process that was forked has none of its parent's threads


@cache
def _workers(count: int, process: int) -> ThreadPoolExecutor:
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "step", _begin)
    barrier = threading.Barrier(count)
    list(pool.map(lambda _: barrier.wait(), range(count)))  # all have begun
    torch.set_num_threads(before)  # part of what they set is the whole process's
    return pool


def _begin() -> None:
    torch.get_num_threads()  # without which torch would forget the next line when it first looks
    torch.set_num_threads(1)
