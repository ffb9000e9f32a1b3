"""Parts of a batch written by threads of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from musiclstm.errors import UserError
from musiclstm.generation.engines.products import int8_missing
from musiclstm.generation.engines.stepping import Int8Engine
from musiclstm.generation.player import Player
from musiclstm.generation.writing import Writing
from tests.generation.models import make_generator

pytestmark = pytest.mark.skipif(int8_missing() is not None, reason="no int8 products here")


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a step were worth two threads, on any machine."""
    monkeypatch.setattr(Int8Engine, "small_step", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "asked", [{}, {"particles": 2, "ending": "tonic", "key": "C major", "bars": 2}, {"rescue": True, "max_bars": 6}]
)
def test_pieces_are_those_that_one_thread_writes(asked: dict[str, Any]) -> None:
    made, ended = make_generator("voices"), list[int]()
    assert made.engine.name == "int8" and made.engine.writers(5) == 2
    together = made.generate_scores(5, seed=3, max_tokens=300, on_end=ended.append, **asked)
    torch.set_num_threads(1)
    assert made.engine.writers(5) == 1
    alone = made.generate_scores(5, seed=3, max_tokens=300, **asked)
    assert [piece.ids.tolist() for piece in together] == [piece.ids.tolist() for piece in alone]
    assert [piece.score for piece in together] == [piece.score for piece in alone]
    assert sum(ended) == 5


def test_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs in one of them at a time, and in both the engine."""
    inside, most = [0, 0], [0, 0]

    def counted(place: int, call: Any) -> Any:
        def counting(*arguments: Any) -> Any:
            inside[place] += 1
            most[place] = max(most[place], inside[place])
            time.sleep(0.001)
            try:
                return call(*arguments)
            finally:
                inside[place] -= 1

        return counting

    made = make_generator("voices")
    monkeypatch.setattr(Player, "follow", counted(0, Player.follow))
    monkeypatch.setattr(type(made.engine), "step", counted(1, type(made.engine).step))
    made.generate_scores(4, seed=3, max_tokens=60)
    assert most == [1, 2] and inside == [0, 0]


def test_where_one_part_fails_the_others_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, step = dict[int, int](), Writing.step

    def failing(self: Writing) -> bool:
        steps[id(self)] = steps.get(id(self), 0) + 1
        if len(steps) == 2 and self is last[0]:
            raise UserError("bar 3 cannot be written")
        last[:] = last or [self]
        return step(self)

    last: list[Writing] = []
    monkeypatch.setattr(Writing, "step", failing)
    with pytest.raises(UserError, match="bar 3 cannot be written"):
        make_generator("voices").generate_scores(4, endless=True, max_tokens=100_000)
    assert len(steps) == 2
    assert max(steps.values()) < 50_000
