from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.data.report.tokenizer_counts import Count, count_frames, count_performance, count_remi, count_voices
from musiclstm.data.report.tokenizer_survey import Survey, survey
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, Score, make_notes
from musiclstm.tokenizers import make_tokenizer
from musiclstm.tokenizers.base import Tokenizer
from tests.music import chorales
from tests.strategies import scores


def check(count: Count | None, tokenizer: Tokenizer, score: Score) -> None:
    """The counts are what the tokenizer itself gives."""
    assert (count is None) == (tokenizer.admits(score) is not None)
    if count is not None:
        assert count.notes == len(tokenizer.quantise(score))
        assert count.tokens == len(tokenizer.encode(score))
        assert (count.moved >= 0).all()


@settings(max_examples=60, deadline=None)
@given(scores(latest=50))
def test_counts_are_those_of_the_tokenizers(score: Score) -> None:
    for steps in (4, 12):
        voices = make_tokenizer("voices", [score], steps_per_quarter=steps)
        check(count_voices(score, steps, voices.arguments["num_voices"]), voices, score)
        check(count_remi(score, steps), make_tokenizer("remi", [score], steps_per_quarter=steps), score)
        check(count_frames(score, steps), make_tokenizer("frames", [score], steps_per_quarter=steps), score)
    performance = make_tokenizer("performance", [score])
    check(count_performance(score, performance.arguments["program"] == DRUMS), performance, score)


@settings(max_examples=60, deadline=None)
@given(scores(max_notes=6, max_tracks=2, drums=False, latest=50))
def test_voices_are_counted(score: Score) -> None:
    check(count_voices(score, 4, 2), make_tokenizer("voices", [score], num_voices=2, steps_per_quarter=4), score)


def test_counts_hold_on_real_music(data_folder: Path) -> None:
    for path in ("nottingham/jigs100.mid", "pop909/076.mid"):
        if not (file := next(data_folder.rglob(Path(path).name), None)):
            pytest.skip(f"no {path}")
        score = read_midi(file)
        check(count_remi(score, 12), make_tokenizer("remi", [score], steps_per_quarter=12), score)
        check(count_performance(score, False), make_tokenizer("performance", [score]), score)


def table(found: Survey) -> dict[tuple[str, int | None], tuple[float, float]]:
    return {(row.tokenizer, row.steps_per_quarter): (row.pieces, row.notes) for row in found.rows}


def test_chorales_are_kept_whole_by_voices() -> None:
    found = survey(chorales().scores)
    assert found.chosen.tokenizer == "voices"
    assert found.chosen.steps_per_quarter == 4
    assert found.chosen.pieces == found.chosen.notes == 1
    assert found.chosen.moved == 0
    assert found.why.startswith("tokenizer=voices")
    assert found.pieces == len(chorales().scores)
    assert {name for name, _ in table(found)} == {"voices", "remi", "frames", "performance"}
    # where two voices sing one note, remi says it once
    assert table(found)["remi", 24] == pytest.approx((1, 0.99), abs=0.01)


def test_drums_cannot_be_said_by_all() -> None:
    start = np.arange(64) * 120
    found = survey([Score(make_notes(start, start + 60, 36, program=DRUMS))])
    assert found.chosen.tokenizer == "remi"
    assert table(found)["voices", 12] == table(found)["frames", 12] == (0, 0)
    assert all(np.isnan(row.moved) and np.isnan(row.tokens_per_note) for row in found.rows if not row.pieces)
    assert table(found)["performance", None] == (1, 1)


def test_a_coarse_grid_loses_notes_and_moves_them() -> None:
    start = np.arange(384) * 20  # 24 notes a quarter
    found = survey([Score(make_notes(start, start + 20, 60))])
    rows = {row.steps_per_quarter: row for row in found.rows if row.tokenizer == "remi"}
    assert rows[4].notes == pytest.approx(4 / 24, rel=0.02)
    assert rows[12].notes == pytest.approx(0.5, rel=0.01)
    assert rows[24].notes == 1
    assert rows[4].moved == pytest.approx(62.5)
    assert rows[24].moved == 0


def test_a_grid_that_is_chosen_has_its_row() -> None:
    start = np.cumsum([240, 120, 60, 60] * 40)  # down to 32nds
    found = survey([Score(make_notes(start, start + 60, 60 + np.arange(len(start)) % 5))] * 3)
    assert (found.chosen.tokenizer, found.chosen.steps_per_quarter) == ("voices", 8)
    assert found.chosen.notes == 1


def test_the_report_does_without_torch_and_matplotlib() -> None:
    script = (
        "import sys, musiclstm.data.report; print(*{'torch', 'matplotlib', 'pretty_midi'}.intersection(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
