from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiclstm.errors import UserError
from musiclstm.generation.limits import Limits
from musiclstm.generation.particles import Particles, shares, systematic
from musiclstm.generation.player import Player
from musiclstm.generation.sampling import Sampling
from musiclstm.generation.writing import Writing
from musiclstm.tokenizers.vocabulary import PAD
from musiclstm.tokenizers.voices import Voices
from tests.generation.models import make_generator


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40).filter(sum), st.floats(0, 1, exclude_max=True))
def test_systematic_names_each_as_often_as_its_share(weights: list[float], uniform: float) -> None:
    share = np.array(weights) / sum(weights)
    index = systematic(share, uniform)
    counts = np.bincount(index, minlength=len(share))
    assert len(index) == len(share)
    assert (np.abs(counts - share * len(share)) < 1 + 1e-6).all()
    stays = counts > 0
    assert (index[stays] == np.flatnonzero(stays)).all()


def test_shares_of_log_weights() -> None:
    assert shares(np.array([-1000.0, -1000.0 + np.log(3), -np.inf])).tolist() == pytest.approx([0.25, 0.75, 0])


def test_particles_wait_for_each_other_and_the_heavy_take_the_place_of_the_light() -> None:
    particles = Particles(4, seed=0, pieces=range(1), interval=4)
    rows, live = np.arange(4), np.ones(4, bool)
    particles.weigh(rows, np.exp([0.0, -50, -50, -50]), np.array([4, 3, 4, 9]))
    assert particles.waiting.tolist() == [True, False, True, True]
    assert particles.meet(live, np.array([4, 3, 4, 9])) == []
    particles.weigh(rows[1:2], np.array([1.0]), np.array([5]))
    ((met, sources),) = particles.meet(live, np.array([4, 5, 4, 9]))
    assert met.tolist() == [0, 1, 2, 3]
    assert sources is not None
    assert sources.tolist() == [0, 0, 0, 0]
    assert not particles.waiting.any()
    for row in range(4):
        particles.give_up(row)
    assert [sources for _, sources in particles.meet(live, np.array([9, 9, 9, 9]))] == [None]


class WallState(NamedTuple):
    said: np.ndarray  # voice tokens so far
    first: np.ndarray  # the first of them


class Wall:
    """After a first pitch of 60 only ten of 130 tokens may follow, after 61 a hundred, and after others none."""

    bars = None

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def start(self, batch: int) -> WallState:
        return WallState(np.zeros(batch, np.int64), np.zeros(batch, np.int64))

    def narrow(self, grammar: Any, state: WallState, allowed: np.ndarray) -> np.ndarray:
        pitch = self.tokenizer.pitch
        ids = np.arange(allowed.shape[1])
        first = (ids < pitch) | (ids == pitch + 60) | (ids == pitch + 61)
        width = np.where(state.first == pitch + 60, 10, np.where(state.first == pitch + 61, 100, 0))
        second = (ids >= pitch) & (ids < pitch + width[:, None])
        first &= (ids != self.tokenizer.rest) & (ids != self.tokenizer.hold)
        later = (ids >= self.tokenizer.rest) | (ids == PAD)  # no more changes of meter
        narrowed = np.where((state.said == 0)[:, None], first, np.where((state.said == 1)[:, None], second, later))
        return allowed & narrowed

    def bias(self, grammar: Any, state: WallState) -> None:
        return None

    def advance(self, state: WallState, before: Any, tokens: np.ndarray, after: Any) -> WallState:
        said = tokens >= self.tokenizer.rest
        return WallState(state.said + said, np.where(said & (state.said == 0), tokens, state.first))

    def at_work(self, bar: int) -> str:
        return "wall=true"


def first_pitches(particles: int, plan: type[Wall] = Wall, tokens: int = 20, pieces: int = 300) -> np.ndarray:
    tokenizer = Voices(num_voices=1)
    made = make_generator(tokenizer)
    made.model.head.weight.data.zero_()
    made.model.head.bias.data.zero_()
    counts = np.zeros(len(tokenizer.vocabulary))
    player = Player(made.engine, tokenizer, counts, plan(tokenizer))  # type: ignore[arg-type]
    limits = Limits(max_tokens=tokens)
    writing = Writing(player, Sampling(top_p=None), limits, seed=1, pieces=range(pieces), particles=particles)
    pitches = [written.ids[written.ids >= tokenizer.pitch][0] - tokenizer.pitch for written in writing.run()]
    return np.array(pitches)


def test_pieces_come_as_often_as_the_model_would_write_them_among_those_allowed() -> None:
    assert abs((first_pitches(1) == 60).mean() - 0.5) < 0.08  # a mask alone does not see what is to come
    assert abs((first_pitches(32, pieces=100) == 60).mean() - 10 / 110) < 0.08


class Trap(Wall):
    """A wall without a way on."""

    def narrow(self, grammar: Any, state: WallState, allowed: np.ndarray) -> np.ndarray:
        return super().narrow(grammar, state, allowed) & (state.said < 3)[:, None]


@pytest.mark.parametrize("particles", [1, 4])
def test_what_is_impossible_is_said(particles: int) -> None:
    with pytest.raises(UserError, match=r"no way was found to go on in bar \d with wall=true all together"):
        first_pitches(particles, Trap, pieces=3)


class Strait(Wall):
    """A dead end after 61 alone: whoever meets it goes back."""

    def narrow(self, grammar: Any, state: WallState, allowed: np.ndarray) -> np.ndarray:
        lost = (state.said == 5) & (state.first == self.tokenizer.pitch + 61)
        return super().narrow(grammar, state, allowed) & ~lost[:, None]


@pytest.mark.parametrize("particles", [1, 4])
def test_a_dead_end_is_left(particles: int) -> None:
    assert (first_pitches(particles, Strait) == 60).all()
