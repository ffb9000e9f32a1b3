from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.evaluation import structureness as module
from musiclstm.evaluation.structureness import structureness
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes, sort_notes

QUARTER = 480
BAR = 4 * QUARTER  # two seconds at the usual tempo


def bars(*columns: list[int] | tuple[int, ...], step: int = QUARTER) -> Score:
    """Bars of 4/4, each with these pitches one after another."""
    places = [(number * BAR + i * step, pitch) for number, bar in enumerate(columns) for i, pitch in enumerate(bar)]
    starts, pitches = np.array(places).T
    return Score(make_notes(starts, starts + step, pitches))


def random_bars(random: np.random.Generator, number: int) -> list[list[int]]:
    return [random.permutation(np.arange(40, 90))[:4].tolist() for _ in range(number)]


def approx(*values: float) -> object:
    return pytest.approx(values, nan_ok=True)


NAN = math.nan
A, B, C, D = (60, 62, 64, 65), (67, 69, 71, 72), (48, 50, 52, 53), (80, 81, 82, 83)


def test_the_best_pair_of_passages_counts() -> None:
    half_b = (67, 69, 70, 73)
    # passages of 4 s are two bars: A B and C D have nothing in common with the others, A B and A b half of B
    assert structureness(bars(A, B, A, half_b)) == approx(2 * 6 / 16, NAN, NAN)
    assert structureness(bars(A, B, C, D)) == approx(0, NAN, NAN)
    assert structureness(bars(A, B, C, A, B)) == approx(1, NAN, NAN)
    # a passage does not overlap with the one that it is like, else this would be 1
    assert structureness(bars(A, A, A)) == approx(NAN, NAN, NAN)
    assert structureness(bars(A, A, A, A)) == approx(1, NAN, NAN)
    # more onsets in one than in the other
    assert structureness(bars(A, B, (*A, 90), B)) == approx(2 * 8 / 17, NAN, NAN)


def test_passages_are_as_long_as_they_are_said_to_be() -> None:
    random = np.random.default_rng(0)
    other = random_bars(random, 20)
    four = [A, B, C, D]
    short, middle, long = structureness(bars(*four, *other[:8], *four, *other[8:]))  # a repeat of 8 s
    assert short == 1 and middle == 1 and long < 1
    short, middle, long = structureness(bars(*four[:3], *other[:8], *four[:3], *other[8:]))  # 6 s
    assert short == 1 and middle < 1
    twice = structureness(bars(*other[:8], *other[8:12], *other[:8]))  # 16 s
    assert twice == approx(1, 1, 1)
    slower = bars(*four, *other[:8], *four, *other[8:]).replace(tempos=np.array([(0, 1_000_000)], TEMPO))
    assert structureness(slower) == approx(1, 1, 1)  # the repeat lasts 16 s now


def test_key_and_octave_count_and_loudness_length_and_instrument_do_not() -> None:
    piece = bars(A, B, A, B)
    notes = piece.notes.copy()
    later = notes["start"] >= 2 * BAR
    notes["velocity"][later], notes["program"][later] = 30, 40
    notes["end"][later] -= 100
    assert structureness(piece.replace(notes=notes)) == approx(1, NAN, NAN)
    notes["pitch"][later] += 12
    assert structureness(piece.replace(notes=notes)) == approx(0, NAN, NAN)
    notes["pitch"][later] -= 12
    notes["program"][later] = DRUMS
    assert structureness(piece.replace(notes=notes)) == approx(0, NAN, NAN)  # a drum is no pitch


def test_onsets_are_rounded_to_16ths_over_bar_lines_too() -> None:
    notes = bars(A, B, A, B).notes.copy()
    notes["start"][8:] += np.array([-40, 30, -50, 50, -20, 10, 0, 59])
    assert structureness(Score(sort_notes(notes))) == approx(1, NAN, NAN)


def test_a_passage_of_few_notes_says_nothing() -> None:
    assert structureness(bars((60,), (62,), (60,), (62,))) == approx(NAN, NAN, NAN)
    assert structureness(bars((60, 61), (62, 63), (60, 61), (62, 63))) == approx(1, NAN, NAN)


def test_bars_may_differ_in_length() -> None:
    piece = bars(A, B, A, B).replace(meters=np.array([(0, 4, 4), (2 * BAR, 2, 4)], METER))
    short, _, _ = structureness(piece)  # bars of 2, 2, 1, 1, 1 and 1 s: what begins A in 4/4 begins it in 2/4
    assert 0 < short < 1
    pickup = bars(D, A, B, C, A, B, C).replace(first_bar=BAR // 2)
    assert structureness(pickup)[0] == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 20))
def test_a_piece_that_is_repeated_has_structureness_1(seed: int, number: int) -> None:
    once = random_bars(np.random.default_rng(seed), number)
    assert structureness(bars(*once, *once)) == approx(1, 1, 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 6))
def test_it_is_what_trying_all_pairs_gives(seed: int, number: int, pitches: int) -> None:
    random = np.random.default_rng(seed)
    columns = [random.integers(60, 60 + pitches, 4).tolist() for _ in range(number)]
    onsets = [{(i, pitch) for i, pitch in enumerate(column)} for column in columns]
    best = [NAN] * 3
    for n in range(1, number // 2 + 1):
        span = sum(2 * n >= least for least, _ in module.SPANS) - 1
        for first in range(number - 2 * n + 1):
            for second in range(first + n, number - n + 1):
                common = sum(len(onsets[first + i] & onsets[second + i]) for i in range(n))
                if span >= 0:
                    best[span] = float(np.fmax(best[span], common / (4 * n)))
    assert structureness(bars(*columns)) == approx(*best)
