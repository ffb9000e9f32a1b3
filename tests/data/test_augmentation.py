from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiclstm.data.augmentation import Augmentation, pitch_range
from musiclstm.errors import UserError
from musiclstm.score import DRUMS, Score, make_notes


def score(pitches: list[int], program: int = 0) -> Score:
    start = np.arange(len(pitches)) * 480
    return Score(make_notes(start, start + 480, pitches, 80, program))


def both(a: Score, b: Score) -> Score:
    from musiclstm.score import sort_notes

    return a.replace(notes=sort_notes(np.concatenate([a.notes, b.notes])))


@given(st.lists(st.integers(0, 127), min_size=1, max_size=8), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_transposition_keeps_intervals_and_range(pitches: list[int], most: int, seed: int) -> None:
    lowest, highest = min(pitches), min(127, max(pitches) + 3)
    change = Augmentation(transpose=most, lowest=lowest, highest=highest)
    before = both(score(pitches), score([35, 38, 42], DRUMS))
    after = change(before, np.random.default_rng(seed))
    drums = before.notes["program"] == DRUMS
    assert np.array_equal(after.notes[drums], before.notes[drums])
    shift = after.notes["pitch"][~drums].astype(int) - before.notes["pitch"][~drums]
    assert len(set(shift.tolist())) == 1 and abs(shift[0]) <= most
    assert after.notes["pitch"][~drums].min() >= lowest and after.notes["pitch"][~drums].max() <= highest


def test_all_transpositions_come_up_alike() -> None:
    change, random = Augmentation(transpose=2), np.random.default_rng(0)
    seen = [int(change(score([60]), random).notes["pitch"][0]) for _ in range(1000)]
    assert set(seen) == {58, 59, 60, 61, 62}
    assert min(seen.count(p) for p in set(seen)) > 150


def test_stretch_scales_every_time_alike_and_leaves_ticks() -> None:
    change, before = Augmentation(stretch=0.1), score([60, 62, 64])
    factors = []
    for seed in range(50):
        after = change(before, np.random.default_rng(seed))
        assert np.array_equal(after.notes, before.notes)
        factors.append(after.duration / before.duration)
    assert 1 / 1.1 - 1e-6 <= min(factors) < 0.95 and 1.05 < max(factors) <= 1.1 + 1e-6


def test_velocity_stays_within_midi() -> None:
    change = Augmentation(velocity=100)
    velocities = {int(change(score([60]), np.random.default_rng(s)).notes["velocity"][0]) for s in range(200)}
    assert min(velocities) == 1 and max(velocities) == 127


def test_nothing_asked_nothing_changed() -> None:
    before = score([60, 61])
    assert Augmentation()(before, np.random.default_rng(0)) == before


def test_pitch_range_leaves_drums_out() -> None:
    assert pitch_range([score([60, 70]), score([20], DRUMS)]) == (60, 70)
    assert pitch_range([score([20], DRUMS)]) == (0, 127)


@pytest.mark.parametrize("bad", [{"transpose": -1}, {"stretch": 1.0}, {"velocity": 128}])
def test_bad_values_are_said(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(bad))):
        Augmentation(**bad)
