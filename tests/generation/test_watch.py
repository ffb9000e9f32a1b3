from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from musiclstm.generation.watch import SHORTEST, TIMES, Bars, Watch, shortest_period
from tests.generation.models import favour, make_generator, make_tokenizer

TOKENIZER = make_tokenizer("voices")
FIRST = TOKENIZER.vocabulary.first("Pitch")
HOLD = TOKENIZER.vocabulary["Hold"]


def judge(bars: list[list[int]], entropy: float = 1.0) -> str | None:
    """What is said after the last of some bars, given as pitches, with -1 for a hold."""
    watch, seen = Watch(TOKENIZER.vocabulary), Bars()
    tokens = [np.array([FIRST + pitch if pitch >= 0 else HOLD for pitch in bar]) for bar in bars]
    for bar in tokens:
        watch.add(seen, bar, entropy)
    return watch.judge(seen, np.concatenate(tokens))


def varied(count: int, notes: int = 16) -> list[list[int]]:
    random = np.random.default_rng(0)
    return [random.integers(40, 80, notes).tolist() for _ in range(count)]


def test_music_is_left_alone() -> None:
    assert judge(varied(20)) is None
    assert judge(varied(1)) is None


@pytest.mark.parametrize("period", [1, 2, 5, 16])
def test_a_loop_is_seen_whatever_its_length(period: int) -> None:
    loop = [40 + i for i in range(period)] * 80
    bars = varied(6) + [loop[i : i + 16] for i in range(0, 80, 16)]
    assert judge(bars) == "the same over and over for 4 bars"
    assert judge(bars[:-3]) is None


def test_the_shortest_period_is_found() -> None:
    random = np.random.default_rng(0)
    for number in range(300):
        block = random.choice([1, 256, 65536, 1 << 24], random.integers(1, 14))  # alike when read at another byte
        tokens = np.resize(block, random.integers(20, 60)).astype(np.int32)
        if number % 3 == 0:
            tokens[random.integers(len(tokens))] = 1
        periods = [p for p in range(1, len(tokens) // TIMES + 1) if (tokens[p:] == tokens[:-p]).all()]
        expected = periods[0] if periods and len(tokens) >= SHORTEST else None
        assert shortest_period(tokens) == expected


def test_silence_is_seen() -> None:
    assert judge([*varied(6), [-1] * 16, [-1] * 16]) == "nothing begins in 2 bars"
    assert judge([*varied(6), [-1] * 16]) is None


def test_density_that_left_its_range_is_seen() -> None:
    sparse = [[*bar[:1], *[-1] * 15] for bar in varied(5)]
    assert judge(varied(12) + sparse) == "1 notes a bar after 15"
    assert judge(varied(4) + sparse) is None  # too early to say what is usual
    assert judge([[bar[0], -1, bar[1], *[-1] * 13] for bar in varied(12)] + varied(4)) == "16 notes a bar after 2"


def test_a_collapsed_and_a_dissolved_distribution_are_seen() -> None:
    assert judge(varied(6), entropy=0.01) == "no choice left in 4 bars"
    assert judge(varied(6), entropy=5.3) == "nothing but chance in 4 bars"


def test_rescue_leaves_a_loop_and_says_so() -> None:
    stuck = favour(make_generator("voices"), Pitch_60=11.0, EOS=-99.0, Hold=-99.0, Rest=-99.0)
    limits: dict[str, Any] = {"max_bars": 30, "seed": 1, "top_p": None}
    watched = stuck.generate_scores(4, **limits, rescue=True)
    assert all(not piece.remarks for piece in stuck.generate_scores(4, **limits, rescue=False))
    said = [remark for piece in watched for remark in piece.remarks]
    assert said
    assert any("the same over and over for 4 bars; written anew from 2 bars before" in remark for remark in said)
    for piece in watched:  # what is left does not hang on what was thrown away
        assert piece.ids.tolist() == piece.ids[: piece.tokens + 1].tolist()
        assert stuck.tokenizer.encode(stuck.tokenizer.decode(piece.ids))[: len(piece.ids) - 8].tolist() == (
            piece.ids[: len(piece.ids) - 8].tolist()
        )
