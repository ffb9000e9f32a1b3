from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from musiclstm.evaluation.suffixes import longest_matches

SEQUENCES = st.lists(st.lists(st.integers(0, 2), max_size=30).map(lambda s: np.array(s, np.int64)), max_size=4)


def brute(known: list[np.ndarray], asked: np.ndarray, place: int) -> int:
    best = 0
    for one in known:
        for start in range(len(one)):
            length = 0
            while (
                start + length < len(one)
                and place + length < len(asked)
                and one[start + length] == asked[place + length]
            ):
                length += 1
            best = max(best, length)
    return best


@given(SEQUENCES, SEQUENCES)
def test_every_place_has_its_longest_match(known: list[np.ndarray], asked: list[np.ndarray]) -> None:
    found = longest_matches(known, asked)
    assert len(found) == len(asked)
    together = np.concatenate([*known, np.zeros(0, np.int64)])
    for one, (lengths, where) in zip(asked, found, strict=True):
        assert lengths.tolist() == [brute(known, one, place) for place in range(len(one))]
        for place, (length, start) in enumerate(zip(lengths.tolist(), where.tolist(), strict=True)):
            assert together[start : start + length].tolist() == one[place : place + length].tolist()


def test_a_match_may_be_longer_than_a_block() -> None:
    known = [np.random.default_rng(0).integers(0, 99, 5000)]
    asked = [np.concatenate([[99], known[0][1000:4000], [99]])]
    ((lengths, where),) = longest_matches(known, asked)
    assert (lengths[0], lengths[1], where[1]) == (0, 3000, 1000)
