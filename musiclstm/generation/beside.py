"""Parts of a batch written by threads of their own: while one is in the engine's step, another draws its tokens.

A step lets other threads run Python, and what stands around it is Python: so on two cores the one costs hardly any time
beside the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait

from musiclstm.generation.engines.workers import workers
from musiclstm.generation.opening import Written
from musiclstm.generation.writing import Writing

Heard = Callable[[int], None]


def write_beside(writings: Sequence[Writing], on_end: Heard | None, on_tokens: Heard | None) -> list[Written]:
    """What each of `writings` writes, in their order; on_end and on_tokens are called as `Writing.run` says.

    What comes to a part is what would come to it alone. If one fails, or the program is stopped, so are the others.
    """
    if len(writings) == 1:
        return writings[0].run(on_end, on_tokens)
    stopped, one_at_a_time = threading.Event(), threading.Lock()

    def called(heard: Heard | None) -> Heard:
        def call(count: int) -> None:
            if stopped.is_set():
                raise _Stopped
            if heard is not None:
                with one_at_a_time:
                    heard(count)

        return call

    futures = [workers(len(writings)).submit(each.run, called(on_end), called(on_tokens)) for each in writings]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        stopped.set()  # also where the wait was interrupted; parts that have written all hear of nothing any more
        wait(futures)
    failed = [error for future in futures if (error := future.exception()) and not isinstance(error, _Stopped)]
    if failed:
        raise failed[0]
    return [written for future in futures for written in future.result()]


class _Stopped(Exception):
    """Ends a part whose result is no longer wanted."""
