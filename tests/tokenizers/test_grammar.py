"""What all grammars share: rows of states, and the prompts that they go on from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from musiclstm.score import Score, make_notes
from musiclstm.tokenizers import from_dict
from musiclstm.tokenizers.grammar import merge_rows, select_rows
from tests.tokenizers.checks import check_states

NATIVE = ("voices", "performance", "remi", "frames")


class Inner(NamedTuple):
    wide: np.ndarray


class Outer(NamedTuple):
    plain: np.ndarray
    inner: Inner


def outer(*rows: list[int]) -> Outer:
    """A state whose row is the first number of each, and within it the others."""
    return Outer(np.array([row[0] for row in rows]), Inner(np.array([row[1:] for row in rows])))


def values(state: Outer) -> list[list[int]]:
    return np.concatenate([state.plain[:, None], state.inner.wide], 1).tolist()


def test_rows_are_selected() -> None:
    state = outer([1, 10, 11], [2, 20, 21], [3, 30, 31])
    assert values(select_rows(state, np.array([2, 0, 2]))) == [[3, 30, 31], [1, 10, 11], [3, 30, 31]]
    assert values(select_rows(state, np.array([False, True, False]))) == [[2, 20, 21]]


def test_rows_are_merged() -> None:
    mask = np.array([True, False])
    assert values(merge_rows(mask, outer([1, 10, 11], [2, 20, 21]), outer([3, 30, 31], [4, 40, 41]))) == [
        [1, 10, 11], [4, 40, 41],
    ]  # fmt: skip
    assert values(merge_rows(mask, outer([1, 10], [2, 20]), outer([3, 30, 31], [4, 40, 41]))) == [
        [1, 10, 0], [4, 40, 41],
    ]  # fmt: skip


@pytest.mark.parametrize("name", NATIVE)
def test_prompts_leave_grammar_and_context_alike(name: str) -> None:
    """Also where a prompt is cut within a bar, in a silence, or before the first note."""
    tokenizer = from_dict({"name": name, "arguments": {}})
    score = Score(make_notes([960, 1200, 4800], [1200, 2400, 5280], [60, 67, 64]), 480)
    prompts = [
        tokenizer.encode_prompt(score, tokenizer.to_step(score, tick)) for tick in (0, 700, 1000, 2400, 4000, 4801)
    ]
    check_states(tokenizer, prompts)
