from __future__ import annotations

import itertools
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from musiclstm.data import ahead
from musiclstm.data.ahead import Ahead
from musiclstm.data.augmentation import Augmentation
from musiclstm.data.datamodule import MusicData
from musiclstm.data.lanes import Encoded, Lanes, Window
from musiclstm.errors import UserError
from musiclstm.tokenizers.voices import Voices
from tests.music import chorales

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork a process"
)


def lanes(broken_from: int = 1 << 30) -> Lanes:
    """Lanes over pieces of which those from the `broken_from`-th that is read on cannot be encoded."""
    count = itertools.count()

    def encode(piece: int, random: np.random.Generator) -> Encoded:
        if next(count) >= broken_from:
            raise UserError("piece 7 is damaged: prepare it again")
        ids = random.integers(3, 50, 20 + 3 * piece).astype(np.int32)
        return Encoded(ids, ids[:, None].astype(np.int64))

    return Lanes(encode, range(5), lanes=3, window=16, seed=7)


def test_windows_and_positions_are_those_of_the_lanes() -> None:
    for found, expected in itertools.islice(zip(Ahead(lanes()), lanes(), strict=False), 30):
        assert found.position == expected.position and found.scored == expected.scored
        for one, other in zip(found[:3], expected[:3], strict=True):
            assert one.dtype == torch.int16 and torch.equal(one.long(), other)
        assert torch.equal(found.reset, expected.reset)


def test_it_goes_on_from_a_position() -> None:
    windows = list(itertools.islice(lanes(), 12))
    resumed = lanes()
    resumed.seek(windows[6].position)
    found = list(itertools.islice(Ahead(resumed), 5))
    assert all(torch.equal(one.tokens, other.tokens) for one, other in zip(found, windows[7:], strict=True))


def test_what_is_wrong_with_a_piece_is_said_in_its_own_words() -> None:
    with pytest.raises(UserError, match=r"^piece 7 is damaged: prepare it again$"):
        list(Ahead(lanes(broken_from=9)))


def test_numbers_that_are_too_large_stay_as_they_are() -> None:
    def encode(piece: int, random: np.random.Generator) -> Encoded:
        return Encoded(np.array([0, 40_000, 2]), np.zeros((3, 0), np.int64))

    def wide() -> Lanes:
        return Lanes(encode, range(2), lanes=2, window=4, seed=0)

    found, expected = next(iter(Ahead(wide()))), next(iter(wide()))
    assert all(torch.equal(one.long(), other) for one, other in zip(found[:3], expected[:3], strict=True))
    assert int(found.targets.max()) == 40_000


@pytest.mark.parametrize("error", [RuntimeError, EOFError, ConnectionError])
def test_an_error_of_the_program_is_not_taken_for_the_end_of_the_process(error: type[Exception]) -> None:
    def encode(piece: int, random: np.random.Generator) -> Encoded:
        raise error("a real bug in encode")

    with pytest.raises(error, match="a real bug in encode") as caught:
        list(Ahead(Lanes(encode, range(5), lanes=3, window=16, seed=7)))
    assert ahead.why_it_died(RuntimeError(str(caught.value))) is None


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_process_that_dies_while_it_hands_a_window_over_is_said_to_be(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying:
        def __init__(self, *args: object, **kwargs: object) -> None:
            pass

        def __iter__(self) -> Iterator[Window]:
            raise error

    monkeypatch.setattr(ahead, "DataLoader", Dying)
    with pytest.raises(UserError, match="encodes pieces ahead was ended from outside"):
        next(iter(ahead.Ahead([])))


def test_shared_memory_that_is_full_is_named() -> None:
    died = ahead.why_it_died(RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. ..."))
    assert "--shm-size=1g" in str(died)


def test_what_takes_from_the_process_finds_it_gone() -> None:
    assert ahead.why_it_died(RuntimeError("Pin memory thread exited unexpectedly")) is not None


def test_shared_memory_is_looked_at_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ahead, "SHARED", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=64 << 20))
    assert ahead.shared_memory_missing(lanes=256, window=512, features=12, processes=3) is None
    missing = ahead.shared_memory_missing(lanes=256, window=512, features=12, processes=4)
    assert missing == f"{tmp_path} has 64 MB left, and 84 MB are needed"
    monkeypatch.setattr(ahead, "SHARED", tmp_path / "other")
    assert ahead.shared_memory_missing(lanes=256, window=512, features=12, processes=4) is None


@pytest.mark.parametrize(
    ("device", "methods", "free", "expected"),
    [
        ("cuda", ["fork"], 1 << 30, Ahead),
        ("cuda", ["fork"], 1000, Lanes),
        ("cuda", ["spawn"], 1 << 30, Lanes),
        ("cpu", ["fork"], 1 << 30, Lanes),
    ],
)
def test_lanes_are_read_ahead_for_a_gpu_where_that_can_be(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    device: str,
    methods: list[str],
    free: int,
    expected: type,
) -> None:
    monkeypatch.setattr(ahead, "SHARED", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: methods)
    store: Any = chorales()
    data = MusicData(store, Voices.fit(store.scores), Augmentation(3, 0.05, 5), lanes=3, window=64)
    strategy = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, num_devices=1, strategy=strategy)  # type: ignore[assignment]
    assert type(data.train_dataloader()) is expected
    assert ("are not encoded ahead" in capsys.readouterr().err) == (free == 1000)
