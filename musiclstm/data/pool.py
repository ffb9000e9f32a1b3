"""A pool of worker processes that may die: of a crash, of an endless loop, of too much memory.

Whatever a file does to the process that reads it, it costs that file and nothing else: the worker is replaced and is
given the rest. On Linux an allocation beyond the limit fails at once, workers are forked in milliseconds from a server
that has the modules loaded, and the kernel ends them with their parent. macOS and Windows have none of the three: there
the parent's look at their memory a few times a second is all that stops a parser (one that takes gigabytes faster than
that gets them), a replaced worker imports its modules anew, and one that hangs in C, holding the interpreter's lock,
when its parent is killed outright stays. None of this was tried on macOS or Windows.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from types import FrameType, ModuleType
from typing import Any, TypeVar

import psutil

from musiclstm.data.worker import OUT_OF_MEMORY, OUTSIDE, Limits, Reason, serve
from musiclstm.errors import UserError

if sys.platform != "win32":
    from multiprocessing import resource_tracker

Key = TypeVar("Key")
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
OUTSIDE_SECONDS = 300.0  # for what is no item's work: starting, writing out
ATTEMPTS = 3  # deaths of a chunk's workers outside of its items, after which it is given up
POLL_SECONDS = 0.2
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
FROM_OUTSIDE = {-9, -15, 255}  # SIGKILL, SIGTERM, the server of workers gone: not what a parser does to itself


def run_chunks(
    work: Callable[[Chunk, Mapping[int, Reason], Callable[[int], None]], Result],
    chunks: Iterable[tuple[Key, Chunk]],
    *,
    workers: int,
    limits: Limits,
) -> Generator[tuple[Key, Result], None, None]:
    """Yield each chunk's key and `work(chunk, lost, begin)`, as they are done, in any order.

    `work` runs in a worker process, one even where `workers` is 1. It calls `begin(i)` before it works on item i, and
    `begin(-1)` when it is past the last. Where the worker dies during item i, the chunk is worked on again from its
    start, by a new worker, with i in `lost`: `work` leaves the lost items out and records them. So it must bear being
    run twice. What a signal from outside killed (as the kernel does when memory runs out) gets a second try.

    Limits are looked at while the caller waits for a result. A chunk is taken from `chunks` when a worker is free for
    it. `work` and the chunks are of importable modules; where `work` is of a script, that must guard its entry.

    Closing the generator (see contextlib.closing), an exception and Ctrl-C kill the workers, in the midst of whatever
    they do. Raises what `work` raises, and UserError where workers die outside of any item.
    """
    if workers < 1:
        raise UserError(f"{workers} workers cannot read anything: give at least 1")
    pool = _Pool(work, chunks, workers, limits)
    try:
        yield from pool.results()
    finally:
        pool.dismiss(list(pool.workers))


def warm_up(module: str) -> None:
    """Begin to load `module`, in which `work` is, for the workers that `run_chunks` will start: where there is a server
    of workers, it does so while the caller goes on."""
    context = _context(module)
    if context.get_start_method() == "forkserver":
        with _starting(hide_main=True):
            multiprocessing.forkserver.ensure_running()


def _context(module: str) -> Any:
    methods = multiprocessing.get_all_start_methods()
    # not fork: the threads of torch, if it is there, would not survive it
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if sys.platform == "linux":  # elsewhere what libraries set up on import may not outlive a fork
        context.set_forkserver_preload([__name__, module])
    return context


@dataclass
class _Job:
    key: Any
    chunk: Any
    lost: dict[int, Reason] = field(default_factory=dict)
    suspects: set[int] = field(default_factory=set)  # items during which something outside killed the worker
    failures: int = 0  # deaths outside of any item


class _Pool:
    """The parent's side: who has which job, and since when."""

    def __init__(self, work: Any, chunks: Iterable[tuple[Any, Any]], size: int, limits: Limits) -> None:
        self.context = _context(getattr(work, "func", work).__module__)
        self.work = pickle.dumps(work)
        self.jobs = (_Job(key, chunk) for key, chunk in chunks)
        self.again: deque[_Job] = deque()
        self.size = min(size, 30) if sys.platform == "win32" else size  # Windows waits for 63 things at most
        self.limits = limits
        self.workers: list[_Worker] = []
        self.looked = time.monotonic()

    def results(self) -> Iterator[tuple[Any, Any]]:
        self.feed()
        while any(worker.job for worker in self.workers):
            handles = {handle: worker for worker in self.workers for handle in (worker.pipe, worker.process.sentinel)}
            ready = wait(list(handles), POLL_SECONDS)
            done = [result for worker in {handles[handle]: None for handle in ready} for result in self.hear(worker)]
            self.look()
            self.feed()  # before the caller has its turn, which may be long
            yield from done

    def feed(self) -> None:
        """Give every idle worker a job, and every job that is left a new worker, as far as they go."""
        idle = [worker for worker in self.workers if worker.job is None]
        while idle or len(self.workers) < self.size:
            job = self.again.popleft() if self.again else next(self.jobs, None)
            if job is None:
                return
            if idle:
                idle.pop().give(job)
                continue
            try:
                with _starting(hide_main=b"__main__" not in self.work):
                    self.workers.append(_Worker(self.context, self.work, self.limits, job))
            except (OSError, EOFError) as error:
                raise UserError(f"no worker process can be started ({error}): free memory or use fewer") from error

    def hear(self, worker: _Worker) -> list[tuple[Any, Any]]:
        """Take in a worker's message or death, and what it has done."""
        try:
            message = worker.pipe.recv_bytes() if worker.pipe.poll() else None
        except (EOFError, OSError):
            message = None
        job = worker.job
        if message is None or job is None:
            self.bury(worker)
            return []
        kind, value, extra = pickle.loads(message)
        if kind == "error":
            raise value from RuntimeError(f"in a worker process:\n{extra}")
        if kind == "ready":
            worker.idle_bytes = value
            worker.give(job)
            return []
        worker.job = None
        if extra or worker.verdict:  # it has grown, or was being killed when it got done
            self.dismiss([worker])
        return [(job.key, value)]

    def look(self) -> None:
        """Kill the workers that are beyond the limits."""
        now = time.monotonic()
        if now - self.looked < POLL_SECONDS:
            return
        # a program that was stopped (Ctrl-Z, a laptop's lid) had its workers stopped as well
        step, self.looked = min(now - self.looked, 1.0), now
        for worker in self.workers:
            if worker.job is not None and worker.verdict is None:
                worker.verdict = worker.look(step, self.limits)
                if worker.verdict:
                    worker.process.kill()

    def bury(self, worker: _Worker) -> None:
        worker.process.join(5)  # its pipe may have closed before it is gone
        code, verdict, job = worker.process.exitcode, worker.verdict, worker.job
        item, reason = verdict or (worker.place.value, worker.cause(self.limits))
        self.dismiss([worker])
        if job is None:
            return
        self.again.append(job)
        if item == OUTSIDE or item in job.lost:
            job.failures += 1
            if job.failures == ATTEMPTS:
                raise UserError(
                    f"{ATTEMPTS} worker processes were lost where no file was to blame, and the last {reason[1]}: see "
                    "that memory and disk are not full, use fewer workers, and in a script of your own start the work "
                    'under `if __name__ == "__main__":`'
                )
        elif code in FROM_OUTSIDE and verdict is None and item not in job.suspects:
            job.suspects.add(item)
        else:
            job.lost[item] = reason

    def dismiss(self, workers: list[_Worker]) -> None:
        for worker in workers:
            if worker.process.is_alive():
                worker.process.kill()
        for worker in workers:
            worker.process.join()
            self.workers.remove(worker)
            worker.pipe.close()
            worker.stderr.close()
            worker.process.close()


class _Worker:
    """A worker process as its parent sees it. It is sent its first job when it says that it is ready."""

    def __init__(self, context: Any, work: bytes, limits: Limits, job: _Job) -> None:
        self.pipe, pipe = context.Pipe()
        self.stderr, stderr = context.Pipe(duplex=False)
        self.place = context.RawValue("q", OUTSIDE)  # the item that it works on, written by the worker
        self.job: _Job | None = job
        self.idle_bytes: int | None = None
        self.verdict: tuple[int, Reason] | None = None  # the item for which it is killed, and why
        self.seen, self.seconds = OUTSIDE, 0.0  # where it was last seen, and for how long
        self.process = context.Process(target=serve, args=(pipe, stderr, self.place, work, limits), daemon=True)
        self.process.start()
        pipe.close()
        stderr.close()

    def give(self, job: _Job) -> None:
        self.job, self.seen, self.seconds = job, OUTSIDE, 0.0
        with suppress(OSError):  # it is dead, which its sentinel will say
            self.pipe.send_bytes(pickle.dumps((job.chunk, job.lost)))

    def look(self, step: float, limits: Limits) -> tuple[int, Reason] | None:
        """The verdict on it, `step` seconds after the last look."""
        item = self.place.value
        self.seconds = self.seconds + step if item == self.seen else 0.0
        self.seen = item
        patience = replace(limits, seconds=max(OUTSIDE_SECONDS, limits.seconds)) if item == OUTSIDE else limits
        if self.seconds > patience.seconds:
            return item, patience.too_long()
        try:
            resident = psutil.Process(self.process.pid).memory_info().rss
        except psutil.Error:
            return None
        if self.idle_bytes is not None and resident - self.idle_bytes > limits.bytes:
            return item, limits.too_large()
        return None

    def cause(self, limits: Limits) -> Reason:
        """Why it died by itself."""
        code = self.process.exitcode
        # C++ aborts where nobody catches that an allocation failed
        aborted = os.name == "posix" and code == -signal.SIGABRT and self.stderr.poll()
        if code == OUT_OF_MEMORY or (aborted and b"bad_alloc" in os.read(self.stderr.fileno(), 2**16)):
            return limits.too_large()
        return "crash", f"{'died' if self.place.value == OUTSIDE else 'crashed its parser'} ({_exit(code)})"


def _exit(code: int | None) -> str:
    if code is not None and -code in set(signal.Signals):
        return signal.Signals(-code).name
    return f"exit status {code:#x}" if code is not None and code > 255 else f"exit status {code}"


@contextmanager
def _starting(*, hide_main: bool) -> Iterator[None]:
    """Within it, processes are started that never hear of Ctrl-C, for which the parent waits until it knows them; and
    that do not run the program's script or command anew, which takes long where it imports much, and starts everything
    again where it is not guarded."""
    main = sys.modules["__main__"]
    method = multiprocessing.get_start_method(allow_none=True)
    # processes are told the default method, and where that is joblib's own (in a job of its) do not know it
    own = method is not None and method not in multiprocessing.get_all_start_methods()
    interrupts: list[FrameType | None] = []
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # which on its start unblocks the signal
        # for the processes to inherit; here another thread may still get the signal
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.getsignal(signal.SIGINT)
    defer = callable(handler) and threading.current_thread() is threading.main_thread()
    if defer:
        signal.signal(signal.SIGINT, lambda _, frame: interrupts.append(frame))
    if hide_main:
        sys.modules["__main__"] = ModuleType("__main__")
    if own:
        multiprocessing.set_start_method("spawn", force=True)
    # there is a worker for each core: threads of theirs would be in the way, in the server of workers most of all
    threads = os.environ.get(BLAS_THREADS)
    os.environ.setdefault(BLAS_THREADS, "1")
    try:
        yield
    finally:
        if threads is None:
            del os.environ[BLAS_THREADS]
        sys.modules["__main__"] = main
        if own:
            multiprocessing.set_start_method(method, force=True)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if defer:
            signal.signal(signal.SIGINT, handler)
    if interrupts and callable(handler):
        handler(signal.SIGINT, interrupts[0])
