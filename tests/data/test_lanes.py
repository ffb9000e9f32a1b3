from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.data.lanes import IGNORE, Encoded, Lanes, WholePieces
from musiclstm.errors import UserError


def made_up(lengths: list[int]) -> list[Encoded]:
    """Pieces whose ids say which piece and place they are, and whose one feature is the id again."""
    pieces = []
    for number, length in enumerate(lengths):
        ids = 1000 * (number + 1) + np.arange(length, dtype=np.int32)
        pieces.append(Encoded(ids, ids[:, None].astype(np.int64)))
    return pieces


def lanes_over(pieces: list[Encoded], **arguments: int) -> Lanes:
    settings = {"lanes": 3, "window": 16, "seed": 7, **arguments}
    return Lanes(lambda i, random: pieces[i], range(len(pieces)), **settings)


def read_back(windows: list, lane: int) -> list[list[int]]:
    """The pieces that a lane read, token by token with their last target, put together from its windows."""
    read: list[list[int]] = []
    for window in windows:
        segment = window.tokens.shape[1] // window.reset.shape[1]
        for place in range(window.tokens.shape[1]):
            if place % segment == 0 and window.reset[lane, place // segment]:
                read.append([int(window.tokens[lane, place])])
            if window.targets[lane, place] != IGNORE:
                assert window.tokens[lane, place] == read[-1][-1]
                assert window.context[lane, place, 0] == read[-1][-1]
                read[-1].append(int(window.targets[lane, place]))
    return read


@given(st.lists(st.integers(2, 90), min_size=1, max_size=8), st.sampled_from([1, 8, 16, 48, 64]), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_lanes_read_whole_pieces_one_after_another(lengths: list[int], window: int, lanes: int) -> None:
    pieces = made_up(lengths)
    whole = {tuple(piece.ids.tolist()) for piece in pieces}
    windows = list(itertools.islice(lanes_over(pieces, lanes=lanes, window=window), 30))
    for lane in range(lanes):
        read = read_back(windows, lane)
        assert all(tuple(piece) in whole for piece in read[:-1])
        assert read[-1] == next(list(w) for w in whole if w[0] == read[-1][0])[: len(read[-1])]


def test_every_epoch_reads_each_piece_once() -> None:
    pieces = made_up([5, 9, 12, 30, 8, 7])
    windows = list(itertools.islice(lanes_over(pieces, lanes=1), 200))
    first = [piece[0] // 1000 for piece in read_back(windows, 0)]
    for epoch in range(5):
        assert sorted(first[6 * epoch : 6 * epoch + 6]) == [1, 2, 3, 4, 5, 6]
    assert first[:6] != first[6:12]


def test_processes_share_the_pieces() -> None:
    pieces = made_up([6, 7, 8, 9, 10, 11])
    read = []
    for rank in range(2):
        windows = list(itertools.islice(lanes_over(pieces, lanes=1, rank=rank, world=2), 20))
        read.append([piece[0] // 1000 for piece in read_back(windows, 0)])
    assert sorted(read[0][:3] + read[1][:3]) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("taken", [1, 2, 7, 20])
def test_a_stream_goes_on_from_any_position(taken: int) -> None:
    random_ids: dict[int, np.ndarray] = {}

    def encode(piece: int, random: np.random.Generator) -> Encoded:
        ids = random.integers(3, 100, 20 + 7 * piece).astype(np.int32)
        random_ids.setdefault(piece, ids)
        return Encoded(ids, ids[:, None].astype(np.int64))

    def stream() -> Lanes:
        return Lanes(encode, range(6), lanes=3, window=16, seed=1)

    straight = list(itertools.islice(stream(), taken + 10))
    resumed = stream()
    resumed.seek(straight[taken - 1].position)
    for old, new in zip(straight[taken:], resumed, strict=False):
        assert all(torch.equal(a, b) for a, b in zip(old[:4], new[:4], strict=True))
        assert old.position == new.position


def test_augmentation_is_fresh_in_every_epoch() -> None:
    drawn = []

    def encode(piece: int, random: np.random.Generator) -> Encoded:
        drawn.append(random.random())
        return made_up([4])[0]

    list(itertools.islice(Lanes(encode, [0, 1], lanes=1, window=8, seed=0), 20))
    assert len(set(drawn)) == len(drawn)


def test_validation_scores_every_token_of_every_piece_once() -> None:
    pieces = made_up([5, 40, 12, 33, 2])
    loader = WholePieces(pieces, lanes=2, window=16)
    windows = list(loader)
    assert len(windows) == len(loader)
    scored = sorted(int(t) for w in windows for t in w.targets.flatten() if t != IGNORE)
    assert scored == sorted(int(i) for piece in pieces for i in piece.ids[1:])
    for window in windows:
        begins = (window.tokens[:, 0] % 1000 == 0) & (window.tokens[:, 0] > 0)
        assert bool(window.reset[0, 0]) == bool(begins.any())


@pytest.mark.parametrize("bad", [{"lanes": 0}, {"window": 0}])
def test_bad_sizes_are_said(bad: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(bad))):
        lanes_over(made_up([5]), **bad)


def test_no_piece_is_said() -> None:
    with pytest.raises(UserError, match="no piece"):
        lanes_over([])
