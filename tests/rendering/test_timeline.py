from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.rendering.timeline import MAX_SYSTEMS, SYSTEM_SECONDS, clock_text, follows_meter, lay_out
from musiclstm.score import METER, TEMPO, Score, make_notes


def on_grid(bars: int, **fields: object) -> Score:
    """Eight notes a bar of 4/4, at 2 seconds a bar."""
    start = np.arange(bars * 8) * 240
    return Score(make_notes(start, start + 240, 60)).replace(**fields)


def free(seconds: float, notes: int = 400) -> Score:
    """Onsets that know of no beat, at 960 ticks a second."""
    start = np.sort(np.random.default_rng(0).uniform(0, seconds * 960 - 300, notes)).astype(int)
    return Score(make_notes(start, start + 300, 60))


@pytest.mark.parametrize(("sloppiness", "follows"), [(0, True), (20, True), (2000, False)])
def test_music_that_is_played_loosely_still_follows_its_meter(sloppiness: int, follows: bool) -> None:
    notes = on_grid(40).notes
    start = 4000 + notes["start"] + np.random.default_rng(0).normal(0, sloppiness, len(notes))
    assert follows_meter(Score(make_notes(start.astype(int), start.astype(int) + 100, 60))) is follows


def test_a_few_notes_are_taken_to_follow_the_meter() -> None:
    assert follows_meter(free(10, notes=20))
    assert follows_meter(Score(make_notes([], [], [])))


@pytest.mark.parametrize(("bars", "systems"), [(1, 1), (16, 1), (17, 2), (32, 3), (90, 8), (1000, 8)])
def test_bars_are_broken_into_systems_of_whole_phrases(bars: int, systems: int) -> None:
    timeline = lay_out(on_grid(bars))
    assert len(timeline.systems) == systems
    assert timeline.systems[-1][1] == bars * 1920
    lengths = [(right - left) / 1920 for left, right in timeline.systems[:-1]]
    assert all(length % 4 == 0 for length in lengths)


def test_numbers_begin_at_the_first_full_bar_and_beats_lie_between_bars() -> None:
    timeline = lay_out(on_grid(4, first_bar=480))
    assert timeline.numbers.tolist() == [0, 1, 2, 3, 4]
    assert timeline.bars.tolist() == [0, 480, 2400, 4320, 6240]
    assert timeline.beats[:4].tolist() == [960, 1440, 1920, 2880]


def test_a_change_of_meter_changes_bars_and_beats() -> None:
    timeline = lay_out(on_grid(4, meters=np.array([(0, 4, 4), (1920, 6, 8)], METER)))
    assert timeline.bars[:4].tolist() == [0, 1920, 3360, 4800]
    assert timeline.beats[:5].tolist() == [480, 960, 1440, 2160, 2400]


def test_music_without_a_beat_is_laid_out_in_seconds() -> None:
    timeline = lay_out(free(100))
    assert not timeline.metric
    assert len(timeline.bars) == len(timeline.beats) == 0
    assert timeline.systems == [(0, 20), (20, 40), (40, 60), (60, 80), (80, 100)]
    assert timeline.x(960) == 1.0
    assert len(lay_out(free(4000)).systems) == MAX_SYSTEMS


def test_the_prompt_counts_where_it_is_longer_than_the_piece() -> None:
    assert lay_out(on_grid(1), until=5000).systems == [(0, 5760)]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 3_000_000),
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([2, 4, 8, 16])), min_size=1, max_size=4),
    st.integers(0, 400),
    st.integers(200_000, 3_000_000),
)
def test_systems_cover_the_piece_without_gaps(
    end: int, meters: list[tuple[int, int]], first_bar: int, tempo: int
) -> None:
    score = Score(
        make_notes([0], [end], [60]),
        meters=np.array([(i * 10_000, *meter) for i, meter in enumerate(meters)], METER),
        tempos=np.array([(0, 500_000), (5_000, tempo)], TEMPO),
        first_bar=min(first_bar, 1920 * meters[0][0] // meters[0][1] - 1),
    )
    timeline = lay_out(score)
    assert 1 <= len(timeline.systems) <= MAX_SYSTEMS
    assert timeline.systems[0][0] == 0
    assert timeline.systems[-1][1] >= end
    assert all(a[1] == b[0] for a, b in zip(timeline.systems, timeline.systems[1:], strict=False))
    assert len(timeline.bars) == len(timeline.numbers)
    if score.seconds(timeline.systems[-1][1]) < SYSTEM_SECONDS:
        assert len(timeline.systems) == 1
    for left, right in timeline.systems:
        where, texts = timeline.clock(left, right, 12)
        assert len(where) == len(texts) <= 12
        assert ((where >= left - 1) & (where <= right + 1)).all()


def test_clock_labels_stand_at_round_seconds() -> None:
    where, texts = lay_out(on_grid(4)).clock(0, 4 * 1920, most=9)
    assert where.tolist() == [960 * i for i in range(9)]
    assert texts[:2] == ["0:00", "0:01"]
    assert lay_out(on_grid(1)).clock(0, 1920, most=6)[1] == ["0:00.0", "0:00.5", "0:01.0", "0:01.5", "0:02.0"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (119.7, "2:00"), (3725, "1:02:05")])
def test_clock_text(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
