"""Pieces that nobody asked a length of are about as long as those that the model was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from musiclstm.generation import MusicGenerator
from musiclstm.generation.lengths import FEWEST_PIECES, Lengths
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.vocabulary import EOS
from tests.generation.models import NATIVE, favour, make_generator, make_tokenizer


def of_lengths(made: MusicGenerator, shortest: int, longest: int) -> MusicGenerator:
    return MusicGenerator(made.model, made.tokenizer, {"bars": [shortest, longest]})


def bars_of(made: MusicGenerator, ids: np.ndarray) -> int:
    return int(made.tokenizer.context(ids[None, :-1])[1].bars[0])


def at_bars(*bars: int) -> Clock:
    number = np.array(bars)
    return Clock(number, number, number, number, number)


def test_those_of_a_collection() -> None:
    voices = make_tokenizer("voices")
    header, bar = [1, voices.vocabulary["TimeSignature_4/4"]], [voices.vocabulary["Pitch_60"]] * 64
    pieces = [np.array(header + bar * bars + [EOS]) for bars in range(4, 4 + FEWEST_PIECES)]
    assert Lengths.of(voices, pieces) == (4, 3 + FEWEST_PIECES)
    assert Lengths.of(voices, pieces[1:]) is None


def test_the_end_is_not_too_early_and_grows_likelier_late() -> None:
    lengths, allowed = Lengths(4, 8), np.ones((3, 6), bool)
    narrowed = lengths.narrow(at_bars(3, 4, 11), allowed)
    assert narrowed[:, EOS].tolist() == [False, True, True] and allowed.all()
    assert narrowed.sum() == allowed.size - 1
    assert lengths.narrow(at_bars(4, 5, 6), allowed) is allowed
    assert lengths.bias(at_bars(3, 4, 8), 6) is None
    ends_only = np.zeros((1, 6), bool)
    ends_only[:, EOS] = True
    assert lengths.narrow(at_bars(0), ends_only).tolist() == ends_only.tolist()
    bias = lengths.bias(at_bars(3, 9, 11), 6)
    assert bias is not None and bias[:, EOS].tolist() == [0, 1, 3]
    assert not np.delete(bias, EOS, axis=1).any()


@pytest.mark.parametrize("name", NATIVE)
def test_no_piece_ends_early(name: str) -> None:
    eager = of_lengths(favour(make_generator(name), EOS=6, Frame=2, Position=1, Bar=2, TimeShift=3), 3, 5)
    for piece in eager.generate_scores(6, seed=3, max_tokens=3000):
        assert not piece.ended or bars_of(eager, piece.ids) >= 3


def test_a_state_of_nothing_is_no_beginning() -> None:
    eager = of_lengths(favour(make_generator("voices"), EOS=6), 3, 5)
    (piece,) = eager.generate_scores(1, state=eager.begin(), seed=3)
    assert bars_of(eager, piece.ids) >= 3


def test_a_piece_that_would_go_on_ends() -> None:
    made = favour(make_generator("frames"), EOS=-12, Frame=3)
    endings = of_lengths(made, 2, 4).generate_scores(4, seed=0)
    assert all(piece.ended and bars_of(made, piece.ids) < 25 for piece in endings)
    assert max(bars_of(made, piece.ids) for piece in made.generate_scores(4, seed=0)) > 30


def test_what_is_asked_or_given_comes_first() -> None:
    made = of_lengths(favour(make_generator("voices"), EOS=3), 6, 8)
    (piece,) = made.generate_scores(1, seed=1, bars=2)
    assert piece.ended and bars_of(made, piece.ids) == 2
    short = made.generate_scores(4, seed=1, prompt=piece.score)
    plain = MusicGenerator(made.model, made.tokenizer).generate_scores(4, seed=1, prompt=piece.score)
    assert [one.ids.tolist() for one in short] == [one.ids.tolist() for one in plain]
