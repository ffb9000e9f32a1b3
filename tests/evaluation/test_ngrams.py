"""The n-gram baselines: on counts made by hand, and against the figures of the benchmarks where the data are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.published import REST, Frames, read_jsb_16th
from musiclstm.evaluation.ngrams import FramesNGram, VoicesNGram
from musiclstm.evaluation.protocol import evaluate

CHORALE = np.array([[67, 62, 59, 43], [67, 62, 59, 43], [69, 62, 60, 42], [69, REST, 60, 42], [71, 62, 55, 43]])
ROLL: Frames = [(), (60, 64, 67), (60, 64), (), (127,), (0, 63, 64)]


def refined(probability: float, *, times: int, seen: int, types: int) -> float:
    """After `times` more contexts in which the symbol came once of `seen` times, and `types` different ones came."""
    for _ in range(times):
        probability = (1 + types * probability) / (seen + types)
    return probability


def test_voices_by_hand() -> None:
    step = np.array([[67, 62, 59, 43]])
    found = np.exp(VoicesNGram().fit([step]).log_probs(step))[0]
    # 48 notes in 12 keys: 38 to 49 in the bass, 54 to 73 in the others, where 67, 62 and 59 come 2, 3 and 2 times
    soprano, alto, tenor, bass = ((count + 32 / 129) / (48 + 32) for count in (2, 3, 2, 1))
    assert found[0] == pytest.approx(refined(soprano, times=6, seen=12, types=12))
    # a voice, its last pitch and its place do not tell the key; the soprano does
    for voice, probability in enumerate((alto, tenor, bass), start=1):
        known = refined(probability, times=3, seen=12, types=12)
        assert found[voice] == pytest.approx(refined(known, times=3, seen=1, types=1))


def test_frames_by_hand() -> None:
    found = FramesNGram().fit([[(60,)]]).log_probs([(60,)])
    # 24 symbols in 12 keys: 12 pitches, once each, and the end
    pitch, end = ((count + 13 / 129) / (24 + 13) for count in (1, 12))
    pitch = refined(pitch, times=4, seen=12, types=12)
    end = refined(end, times=4, seen=1, types=1)
    assert np.exp(found) == pytest.approx([pitch * end])


def test_one_figure_a_symbol() -> None:
    assert VoicesNGram().fit([CHORALE]).log_probs(CHORALE).shape == (5, 4)
    assert FramesNGram().fit([[(60, 64)]]).log_probs(ROLL).shape == (6,)
    assert FramesNGram().fit([ROLL[:4], []]).log_probs([]).shape == (0,)


def test_a_key_is_as_likely_as_another() -> None:
    voices, frames = VoicesNGram().fit([CHORALE]), FramesNGram().fit([ROLL[:4]])
    higher = np.where(CHORALE == REST, REST, CHORALE + 1)
    moved = [tuple(pitch + 1 for pitch in frame) for frame in ROLL[:4]]
    # only the lowest level knows which pitches are frequent
    assert voices.log_probs(higher) == pytest.approx(voices.log_probs(CHORALE), abs=0.3)
    assert frames.log_probs(moved) == pytest.approx(frames.log_probs(ROLL[:4]), abs=0.3)


def test_a_note_knows_only_what_came_before_it() -> None:
    model = VoicesNGram().fit([CHORALE])
    known = model.log_probs(CHORALE)
    order = [0, 3, 1, 2]  # of the voices in the chain rule
    for place in range(CHORALE.size):
        changed = CHORALE.copy()
        step, voice = divmod(place, 4)
        changed[step, order[voice]] = 80
        found = model.log_probs(changed)[:, order].ravel()
        np.testing.assert_array_equal(found[:place], known[:, order].ravel()[:place])
        assert found[place] < known[:, order].ravel()[place]


def test_a_frame_knows_only_what_came_before_it() -> None:
    model = FramesNGram().fit([ROLL[:4]])
    known = model.log_probs(ROLL)
    for place in range(len(ROLL)):
        found = model.log_probs([*ROLL[:place], (1, 2, 3, 4), *ROLL[place + 1 :]])
        np.testing.assert_array_equal(found[:place], known[:place])
        assert found[place] < known[place]
    # what differs two frames before makes no difference
    np.testing.assert_array_equal(model.log_probs([(1,), *ROLL[1:]])[2:], known[2:])


def test_the_figures_of_the_chorales(data_folder: Path) -> None:
    splits = read_jsb_16th(data_folder / "jsb_chorales")
    model = VoicesNGram().fit(splits["train"])
    found = [round(evaluate(model, splits[split]).per_symbol, 3) for split in ("validation", "test")]
    assert found == [0.479, 0.487]
