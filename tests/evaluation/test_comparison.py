from __future__ import annotations

import json
import math

import numpy as np
import pytest

from musiclstm.evaluation.comparison import HELD_OUT, compare, number, spaced, table
from musiclstm.evaluation.metrics import METRICS
from musiclstm.score import DRUMS, Score, make_notes


def melodies(seed: int, number: int, scale: list[int], notes: int = 64) -> list[Score]:
    random = np.random.default_rng(seed)
    starts = np.arange(notes) * 240
    return [Score(make_notes(starts, starts + 240, 60 + random.choice(scale, notes))) for _ in range(number)]


DIATONIC, CHROMATIC = [0, 2, 4, 5, 7, 9, 11], list(range(12))


def test_samples_that_are_like_the_held_out_pieces_are_as_near_to_them_as_the_training_pieces() -> None:
    found = compare(
        {
            "samples": melodies(1, 30, CHROMATIC),
            HELD_OUT: melodies(2, 30, DIATONIC),
            "training pieces": melodies(3, 60, DIATONIC),
        }
    )
    assert list(found) == list(METRICS)
    entropy = found["pitch_class_entropy"]
    assert list(entropy) == [HELD_OUT, "samples", "training pieces"]
    assert entropy["samples"].mean == pytest.approx(math.log2(12), abs=0.15)
    assert entropy["training pieces"].mean == pytest.approx(math.log2(7), abs=0.1)
    samples, training = entropy["samples"].distance, entropy["training pieces"].distance
    assert samples is not None and training is not None
    assert samples.overlap < 0.01 and training.overlap > 0.8
    assert samples.wasserstein == pytest.approx(entropy["samples"].mean - entropy[HELD_OUT].mean)
    assert training.wasserstein < 0.05
    scale = found["scale_consistency"]
    assert scale[HELD_OUT].mean == scale["training pieces"].mean == 1 > 0.8 > scale["samples"].mean
    assert scale["training pieces"].distance is not None
    assert scale["training pieces"].distance.overlap == pytest.approx(1, abs=1e-3)


def test_pieces_in_which_a_metric_is_undefined_are_counted_and_left_out() -> None:
    drums = Score(make_notes(np.arange(64) * 480, np.arange(1, 65) * 480, np.full(64, 36), 80, DRUMS))
    held_out = melodies(0, 4, DIATONIC)
    found = compare({HELD_OUT: [*held_out, drums], "samples": [drums]})
    ranges = found["pitch_range"]
    assert (len(ranges[HELD_OUT].values), ranges[HELD_OUT].undefined) == (4, 1)
    assert (len(ranges["samples"].values), ranges["samples"].undefined) == (0, 1)
    assert ranges[HELD_OUT].mean == compare({HELD_OUT: held_out})["pitch_range"][HELD_OUT].mean > 0
    told = ranges["samples"].to_dict()
    assert (told["pieces"], told["undefined"], told["mean"], told["overlap"]) == (0, 1, None, None)
    assert found["notes_per_beat"]["samples"].to_dict()["deviation"] is None  # of a single piece
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    said = table(found)
    assert any("undefined: pitch range in 1 of the held-out pieces, 1 of the samples" in line for line in said)
    assert not any("nan" in line or "notes per beat in" in line for line in said)


def test_the_table_has_a_line_for_each_metric_and_its_columns_stand_below_each_other() -> None:
    found = compare({HELD_OUT: melodies(0, 3, DIATONIC), "samples": melodies(1, 3, CHROMATIC)})
    said = table(found)
    lines = [next(line for line in said if line.startswith(f"  {metric.label}  ")) for metric in METRICS.values()]
    assert len({len(line) for line in lines} | {len(line) for line in said if "overlap  " in line}) == 1
    assert "held-out pieces (3)" in said[2] and "samples (3)" in said[2]


def test_pieces_are_taken_evenly() -> None:
    assert spaced(range(5)) == [0, 1, 2, 3, 4]
    assert spaced(range(101), 5) == [0, 25, 50, 75, 100]
    assert len(set(spaced(range(1000), 300))) == 300
    assert spaced([]) == []


def test_figures_are_short() -> None:
    assert [number(value) for value in (math.nan, 0.12345, -9.9999, 34.56)] == ["-", "0.123", "-10.000", "34.6"]
