from __future__ import annotations

import errno

import pytest

from musiclstm.explain import explain, quote, reason


@pytest.mark.parametrize(
    "override", ["seed=1", "~seed", "a=[1", "a={b:", "a=choice(1", "a='b", "a=b,ü", "a=", "a", "a=1,2"]
)
def test_what_may_be_a_slip_is_not_quoted(override: str) -> None:
    assert quote(override) == override


def test_an_unexpected_error_is_not_explained_away() -> None:
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert reason(ValueError("a\n b")) == "ValueError: a b"
