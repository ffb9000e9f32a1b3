"""The settings that `benchmarks` makes up can be judged, are the same for the same seed, and are of every kind."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.judge import RULES, judge
from benchmarks.judge_reading import Piece
from benchmarks.random_settings import GRID, random_settings


@pytest.mark.parametrize("tokenizer", [*GRID, "performance"])
def test_random_settings(tokenizer: str, tmp_path: Path) -> None:
    asked: set[str] = set()
    for seed in range(150):
        settings = random_settings(random.Random(seed), tokenizer, tmp_path)
        assert random_settings(random.Random(seed), tokenizer, tmp_path) == settings
        asked |= set(judge(Piece(), settings, tokenizer))
        assert settings
    missing = {"tempo", "meter"} if tokenizer == "performance" else set()
    assert asked == set(RULES) - missing
