"""Scores that hypothesis makes up, with everything in them that real files have been seen to hold."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, bar_ticks, make_notes

TICKS_PER_QUARTER = (1, 7, 24, 96, 120, 220, 384, 480, 500, 1000, 1024, 32767)
QUARTERS = 12  # what is drawn lies within so many quarters of where the music begins


@st.composite
def scores(
    draw: st.DrawFn,
    *,
    min_notes: int = 1,
    max_notes: int = 40,
    max_tracks: int = 25,
    drums: bool = True,
    latest: int = 5000,
) -> Score:
    """Scores that keep only what `Score` promises.

    Notes overlap at one pitch, begin together twice, last no time at all or for dozens of bars; there are drums, and
    up to `max_tracks` tracks; tempo and meter change anywhere, several times at one tick and to meters that
    nobody writes; there may be a pickup, sustain pedal, and a first note up to `latest` quarters late.
    """
    quarter = draw(st.sampled_from(TICKS_PER_QUARTER))
    late = draw(st.sampled_from([0, 0, 0, 1, 33, latest])) * quarter
    tick = st.integers(0, QUARTERS * quarter)
    if draw(st.booleans()):  # few places, so that much happens at each
        tick = st.sampled_from([0, quarter // 3, quarter // 2, quarter, 2 * quarter, 4 * quarter])
    narrow = draw(st.booleans())  # few pitches, so that notes of one pitch meet
    pitch = st.integers(60, 62) if narrow else st.integers(0, 127)
    length = st.one_of(st.just(0), st.integers(0, 2 * quarter), st.integers(0, 60 * quarter))
    program = st.integers(0, DRUMS if drums else DRUMS - 1)
    programs = draw(st.lists(program, min_size=1, max_size=max_tracks))
    note = st.tuples(tick, length, pitch, st.integers(1, 127), st.integers(0, len(programs) - 1))
    rows = draw(st.lists(note, min_size=min_notes, max_size=max_notes))
    start, span, pitches, velocities, tracks = np.array(rows, np.int64).reshape(-1, 5).T
    notes = make_notes(start + late, start + late + span, pitches, velocities, np.array(programs)[tracks], tracks)

    when = st.one_of(st.just(0), tick.map(lambda t: t + late), tick)
    meter = st.one_of(
        st.sampled_from([(4, 4), (3, 4), (2, 4), (6, 8), (2, 2), (12, 8), (5, 8)]),
        st.sampled_from([(17, 16), (24, 4), (1, 32), (1, 64), (13, 8), (255, 2), (7, 1)]),
    )
    meters = [(0, *draw(meter)), *((at, *m) for at, m in draw(st.lists(st.tuples(when, meter), max_size=4)))]
    microseconds = st.one_of(st.integers(240_000, 2_000_000), st.sampled_from([1, 500_000, 0xFFFFFF]))
    tempos = [(0, draw(microseconds)), *draw(st.lists(st.tuples(when, microseconds), max_size=4))]
    pedals = draw(st.lists(st.tuples(tick, length, st.integers(0, len(programs) - 1)), max_size=3))
    pickup = st.one_of(st.just(0), st.integers(0, bar_ticks(*meters[0][1:], quarter) - 1))
    return Score(
        notes,
        quarter,
        np.array(sorted(tempos, key=lambda row: row[0]), TEMPO),
        np.array(sorted(meters, key=lambda row: row[0]), METER),
        np.array([(at, at + held, track) for at, held, track in sorted(pedals)], PEDAL),
        draw(pickup),
    )
