from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.generation.limits import (
    DEFAULT_SECONDS,
    DEFAULT_TOKENS,
    Limits,
    close_hanging,
    cut_at,
    drop_before,
    refine,
)
from musiclstm.score import METER, TEMPO, Score, make_notes


def score(*notes: tuple[int, int], **changes: Any) -> Score:
    """Notes of (start, end) in ticks of which four are a quarter note, which lasts half a second."""
    start, end = np.array(notes).T
    return Score(make_notes(start, end, 60 + np.arange(len(start))), 4, **changes)


def spans(piece: Score) -> list[tuple[int, int]]:
    return [(int(note["start"]), int(note["end"])) for note in piece.notes]


def test_defaults_hold_only_where_no_limit_is_given() -> None:
    assert Limits() == Limits(max_tokens=DEFAULT_TOKENS, max_seconds=DEFAULT_SECONDS)
    assert Limits(max_bars=3).max_tokens is None
    assert Limits(max_bars=3).max_seconds is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_bars": -1}, "max_bars=-1 .* at least 1"),
        ({"max_bars": 1.5}, "max_bars=1.5"),
        ({"max_seconds": 0}, "max_seconds=0 .* above 0"),
        ({"max_seconds": float("inf")}, "max_seconds=inf"),
    ],
)
def test_bad_values_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Limits(**arguments)


def test_seconds_follow_the_tempo() -> None:
    piece = score((0, 400), tempos=np.array([(0, 500_000), (16, 1_000_000)], TEMPO))
    assert Limits(max_seconds=1.0).last_tick(piece) == 8
    assert Limits(max_seconds=3.0).last_tick(piece) == 20
    assert Limits(max_seconds=1.0).last_tick(piece, begin=12) == 18


def test_bars_follow_the_meter() -> None:
    piece = score((0, 400), meters=np.array([(0, 4, 4), (32, 3, 4)], METER))
    assert Limits(max_bars=2).last_tick(piece) == 32
    assert Limits(max_bars=3).last_tick(piece) == 44
    assert Limits(max_bars=1).last_tick(piece, begin=32) == 44
    assert Limits(max_bars=1).last_tick(piece, begin=35) == 44
    assert Limits(max_bars=40).last_tick(piece) is None


def test_a_pickup_and_the_last_bar_are_a_bar_together() -> None:
    assert Limits(max_bars=2).last_tick(score((0, 100), first_bar=4)) == 32


def test_the_nearer_limit_counts() -> None:
    assert Limits(max_bars=2, max_seconds=1).last_tick(score((0, 99))) == 8
    assert Limits(max_bars=1, max_seconds=9).last_tick(score((0, 99))) == 16
    assert Limits(max_tokens=9).last_tick(score((0, 99))) is None


def test_what_lies_across_the_cut_ends_there() -> None:
    piece = score((0, 6), (2, 9), (8, 12), tempos=np.array([(0, 500_000), (8, 400_000)], TEMPO))
    cut = cut_at(piece, 8)
    assert spans(cut) == [(0, 6), (2, 8)]
    assert cut.tempos["tick"].tolist() == [0]
    assert spans(piece) == [(0, 6), (2, 9), (8, 12)]


def test_what_is_kept_is_not_cut() -> None:
    assert spans(cut_at(score((0, 30), (5, 30), (20, 30)), 8, keep=4)) == [(0, 30), (5, 8)]


def test_a_forgotten_note_does_not_sound_to_the_end() -> None:
    piece = score((0, 400), (10, 60), (390, 400))
    assert spans(close_hanging(piece)) == [(0, 50), (10, 60), (390, 400)]


def test_notes_of_usual_length_may_sound_at_the_end() -> None:
    piece = score((0, 8), (4, 34), (8, 34))  # 4 seconds are 32 ticks
    assert close_hanging(piece) == piece
    assert close_hanging(score((0, 400), (4, 34)), begin=4) == score((0, 400), (4, 34))


def test_a_silent_opening_is_dropped_with_its_bars() -> None:
    meters = np.array([(0, 4, 4), (32, 3, 4)], METER)
    tempos = np.array([(0, 500_000), (16, 400_000), (40, 300_000)], TEMPO)
    dropped = drop_before(score((36, 40), (44, 48), meters=meters, tempos=tempos), 36)
    assert spans(dropped) == [(0, 4), (8, 12)]
    assert dropped.meters.tolist() == [(0, 3, 4)]
    assert dropped.tempos.tolist() == [(0, 400_000), (4, 300_000)]
    assert dropped.first_bar == 8


def test_what_is_left_of_a_silent_opening_is_a_pickup_that_midi_can_say() -> None:
    piece = Score(make_notes([91], [200], [60]), 24)  # 5 steps before a bar line, and 6 are a sixteenth
    left = drop_before(piece, 91, room=24)
    assert (spans(left), left.first_bar) == ([(1, 110)], 6)
    tight = drop_before(piece, 91)
    assert (spans(tight), tight.first_bar) == ([(0, 109)], 0)
    late = drop_before(Score(make_notes([97], [200], [60]), 24), 97, room=24)
    assert (spans(late), late.first_bar) == ([(1, 104)], 0)


def test_finer_ticks_are_the_same_music() -> None:
    tempos, meters = np.array([(0, 500_000), (8, 400_000)], TEMPO), np.array([(0, 3, 4), (15, 2, 4)], METER)
    piece = score((0, 3), (7, 20), tempos=tempos, meters=meters, first_bar=3)
    fine = refine(piece)
    assert fine.ticks_per_quarter == 480
    assert np.allclose(fine.seconds(fine.notes["end"]), piece.seconds(piece.notes["end"]))
    assert fine.bar_starts().tolist() == (120 * piece.bar_starts()).tolist()
    assert refine(fine) == fine
