from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from musiclstm.data.pool import run_chunks
from musiclstm.data.worker import Limits
from musiclstm.errors import UserError
from tests.data import hostile_work
from tests.data.hostile_work import perform

LIMITS = Limits(megabytes=200)
SHORT = Limits(seconds=0.5, megabytes=200)
TOO_LONG = ("limit", "took longer than 0.5 s to read")
TOO_LARGE = ("limit", "needed more than 200 MB to read")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's limits and signals are Linux's")


def run(*chunks: list[str], workers: int = 2, limits: Limits = LIMITS) -> list[list[str | tuple[str, str]]]:
    results = dict(run_chunks(perform, enumerate(chunks), workers=workers, limits=limits))
    return [results[key] for key in range(len(chunks))]


def children() -> set[psutil.Process]:
    """Processes that this one started, but for the two that multiprocessing keeps."""
    this = psutil.Process()
    servers = re.compile(r"multiprocessing\.(forkserver|resource_tracker)")
    return {
        child
        for child in this.children(recursive=True)
        if child.ppid() != this.pid or not servers.search(" ".join(child.cmdline()))
    }


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


@pytest.mark.parametrize("workers", [1, 3])
def test_every_chunk_comes_back_once(workers: int) -> None:
    chunks = [[f"{chunk}.{item}" for item in range(5)] for chunk in range(200)]
    results = list(run_chunks(perform, enumerate(chunks), workers=workers, limits=LIMITS))
    assert sorted(results) == list(enumerate(chunks))


def test_no_chunks_no_results() -> None:
    assert run() == []


@linux
@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("segfault", ("crash", "crashed its parser (SIGSEGV)")),
        ("exit", ("crash", "crashed its parser (exit status 3)")),
        ("raise SystemExit", ("crash", "crashed its parser (exit status 4)")),
        ("kill", ("crash", "crashed its parser (SIGKILL)")),
        ("sleep in C", TOO_LONG),
        ("loop in C", TOO_LONG),
        ("loop in Python", TOO_LONG),
        ("take slowly", TOO_LARGE),
        ("take at once", TOO_LARGE),
        ("take shared", TOO_LARGE),
        ("abort for memory", TOO_LARGE),
    ],
)
def test_a_deadly_item_costs_itself_and_nothing_else(
    deed: str, reason: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    limits = SHORT if reason == TOO_LONG else LIMITS
    assert run(["a", deed, "b"], ["c"], ["d", "e"], limits=limits) == [["a", reason, "b"], ["c"], ["d", "e"]]
    assert capfd.readouterr() == ("", "")


@linux
def test_several_deadly_items_in_a_chunk() -> None:
    segfault, died = ("crash", "crashed its parser (SIGSEGV)"), ("crash", "crashed its parser (exit status 3)")
    assert run(["segfault", "a", "loop in Python", "exit"], ["b"], limits=SHORT) == [
        [segfault, "a", TOO_LONG, died],
        ["b"],
    ]


def test_what_a_signal_from_outside_killed_is_tried_again(tmp_path: Path) -> None:
    flags = [str(tmp_path / name) for name in "ab"]
    assert run(["x", *flags, "y"]) == [["x", *flags, "y"]]


def test_what_workers_print_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["print", "a"]) == [["print", "a"]]
    assert capfd.readouterr() == ("", "")


def test_an_exception_comes_through_with_its_type() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        run(["a"], ["raise OSError"], ["b"])
    assert caught.value.errno == 28
    assert "hostile_work.py" in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_sent_is_described() -> None:
    with pytest.raises(RuntimeError, match="Unpicklable: odd"):
        run(["raise Unpicklable"])


def test_dying_outside_of_any_item_ends_with_a_sentence() -> None:
    with pytest.raises(UserError, match=r"3 worker processes .* no file .* died \(exit status 5\)"):
        run(["die while writing out"], ["a"], workers=1)


def test_workers_that_cannot_start_end_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "dies_on_import"
    source = "import multiprocessing, os\nif multiprocessing.parent_process(): os._exit(9)\ndef work(*_): pass\n"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    work = __import__(name).work
    with pytest.raises(UserError, match=r"3 worker processes .* died \(exit status 9\)"):
        list(run_chunks(work, enumerate("abcdef"), workers=2, limits=LIMITS))


def test_no_workers_are_refused() -> None:
    with pytest.raises(UserError, match="0 workers"):
        list(run_chunks(perform, [], workers=0, limits=LIMITS))


def test_closing_the_generator_kills_the_workers_where_they_are() -> None:
    results = run_chunks(perform, enumerate([["a"], ["sleep in C"]] * 2), workers=2, limits=Limits())
    assert next(results)[1] == ["a"]
    assert children()
    began = time.monotonic()
    results.close()
    assert not children()
    assert time.monotonic() - began < 2


def test_chunks_are_taken_as_they_are_needed() -> None:
    taken = 0

    def chunks() -> Iterator[tuple[int, list[str]]]:
        nonlocal taken
        for taken in range(1, 10**9):
            yield taken, ["a"]

    results = run_chunks(perform, chunks(), workers=2, limits=LIMITS)
    for count in range(1, 20):
        next(results)
        assert taken <= count + 2 * 2
    results.close()


def test_a_worker_is_kept_while_it_does_well() -> None:
    ids = {result for _, result in run_chunks(hostile_work.process_id, enumerate("a" * 50), workers=1, limits=LIMITS)}
    assert len(ids) == 1
    assert os.getpid() not in ids


SCRIPT = """
import sys
from pathlib import Path
from musiclstm.data.pool import run_chunks
from musiclstm.data.worker import Limits
from tests.data.hostile_work import {work} as work

for _, result in run_chunks(work, [(0, {chunk})], workers=2, limits=Limits()):  # unguarded
    print(result)
"""


def start(tmp_path: Path, work: Callable[..., object], chunk: str) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(work=work.__name__, chunk=chunk))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_script_needs_no_guard_and_nothing_is_printed_at_its_end(tmp_path: Path) -> None:
    with start(tmp_path, perform, "['a', 'segfault', 'b']") as script:
        assert script.communicate(timeout=20)[1] == ""
        assert script.returncode == 0


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, number: int) -> None:
    place = tmp_path / "number"
    with start(tmp_path, hostile_work.hang_in_c, f"Path({str(place)!r})") as script:
        wait_for(place.exists)
        worker = psutil.Process(int(place.read_text()))
        script.send_signal(number)
        wait_for(lambda: gone(worker), 2)
        complaint = script.communicate(timeout=5)[1]
    if number == signal.SIGINT:
        assert complaint.rstrip().endswith("KeyboardInterrupt")
        assert "resource_tracker" not in complaint
        assert "Process" not in complaint


def gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # where nobody takes in the children of the dead
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
