from __future__ import annotations

import itertools
import multiprocessing

import numpy as np
import pytest
import torch

from musiclstm.data.ahead import Ahead
from musiclstm.data.lanes import Encoded, Lanes
from musiclstm.errors import UserError

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
        for one, other in zip(found[:4], expected[:4], strict=True):
            assert torch.equal(one, other)


def test_it_goes_on_from_a_position() -> None:
    windows = list(itertools.islice(lanes(), 12))
    resumed = lanes()
    resumed.seek(windows[6].position)
    found = list(itertools.islice(Ahead(resumed), 5))
    assert all(torch.equal(one.tokens, other.tokens) for one, other in zip(found, windows[7:], strict=True))


def test_what_is_wrong_with_a_piece_is_said_in_its_own_words() -> None:
    with pytest.raises(UserError, match=r"^piece 7 is damaged: prepare it again$"):
        list(Ahead(lanes(broken_from=9)))
