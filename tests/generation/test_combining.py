"""Constraints together with prompts, states, infill and pieces without end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.generation.joining import pieces_of
from musiclstm.score import METER, Score
from tests.generation.models import NATIVE, favour, make_generator
from tests.generation.test_state import song

EB_MAJOR = [0, 2, 3, 5, 7, 8, 10]
BAR = 4 * 480


def new_notes(score: Score, begin: int) -> np.ndarray:
    notes = score.notes[(score.notes["start"] >= begin) & (score.notes["program"] < 128)]
    assert len(notes) > 0
    return notes


def keeps(notes: np.ndarray) -> bool:
    fits = np.isin(notes["pitch"] % 12, EB_MAJOR) & (notes["pitch"] >= 48) & (notes["pitch"] <= 72)
    return bool((fits & (notes["velocity"] >= 40) & (notes["velocity"] <= 60)).all())


ASKED: dict[str, Any] = {"key": "Eb major", "pitch_range": "48-72", "velocity": "40-60"}


@pytest.mark.parametrize("name", NATIVE)
def test_a_prompt_stays_and_what_follows_keeps_to_what_was_asked_for(name: str) -> None:
    made, opening = favour(make_generator(name), Frame=2.0, NoteOff=2.0), song(2)
    more: dict[str, Any] = {} if name == "performance" else {"tempo": 90, "meter": {"1-2": "4/4", "3-": "3/4"}}
    for piece in made.generate_scores(3, prompt=opening, seed=1, bars=4, **ASKED, **more):
        score, begin = piece.score, 2 * BAR
        assert piece.prompt_end == begin
        assert score.notes[score.notes["start"] < begin]["pitch"].tolist() == opening.notes["pitch"].tolist()
        new = new_notes(score, begin)
        assert keeps(new)
        lines = score.bar_starts(score.end)
        assert len(lines) == 4
        assert score.notes["start"][-1] >= lines[3]
        if more:
            assert score.tempos.tolist() == [(0, 500_000), (begin, round(60e6 / 90))]
            assert score.meters.tolist() == np.array([(0, 4, 4), (begin, 3, 4)], METER).tolist()


@pytest.mark.parametrize("name", NATIVE)
def test_constraints_are_said_anew_where_a_state_goes_on(name: str, tmp_path: Path) -> None:
    made = favour(make_generator(name), Frame=2.0, NoteOff=2.0)
    made.read(song(), bars=2).save(tmp_path / "song.state")
    state = made.load_state(tmp_path / "song.state")
    (piece,) = made.generate_scores(1, state=state, seed=1, bars=4, **ASKED)
    begin = 2 * 4 * piece.score.ticks_per_quarter
    assert keeps(new_notes(piece.score, begin))
    assert len(piece.score.bar_starts(piece.score.end)) == 4
    kept = piece.score.notes[piece.score.notes["start"] < begin]
    assert kept["pitch"].tolist() == (60 + np.arange(8) % 7).tolist()
    (free,) = made.generate_scores(1, state=state, seed=1, max_bars=2)
    assert free.score.notes[len(kept) :].tolist() != piece.score.notes[len(kept) :].tolist()
    again = made.generate_scores(1, state=state, seed=1, bars=4, **ASKED)[0].score
    assert again == piece.score


@pytest.mark.parametrize("name", NATIVE)
def test_bars_between_others_keep_to_what_is_asked_of_them(name: str) -> None:
    made, whole = favour(make_generator(name), NoteOff=2.0), song(6)
    asked = {**ASKED, "chords": "Eb Ab Fm Bb"}
    for piece in made.generate_scores(2, prompt=whole, infill="3-4", seed=3, particles=4, **asked):
        notes = piece.score.notes
        hole = notes[(notes["start"] >= 2 * BAR) & (notes["start"] < 4 * BAR)]
        hole = hole[hole["program"] < 128]
        assert keeps(hole)
        beats = hole[hole["start"] % 480 == 0] if name != "performance" else hole
        for chord, line in (([5, 8, 0], 2 * BAR), ([10, 2, 5], 3 * BAR)):
            mine = beats[(beats["start"] >= line) & (beats["start"] < line + BAR)]
            assert np.isin(mine["pitch"] % 12, chord).all()
        assert len(notes) - len(hole) >= 16


@pytest.mark.parametrize("name", NATIVE)
def test_without_end_every_piece_keeps_to_what_was_asked_for(name: str) -> None:
    made = favour(make_generator(name), NoteOff=2.0)
    (piece,) = made.generate_scores(1, endless=True, max_bars=9, seed=2, bars=2, **ASKED)
    parts = pieces_of(piece.ids)
    assert len(parts) >= 4
    for ids in parts[:-1]:
        score = made.tokenizer.decode(ids)
        assert len(score.bar_starts(score.end)) - (score.first_bar > 0) == 2
    assert keeps(new_notes(piece.score, 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": song(3), "bars": 3}, "bars=3, and what it goes on from has 3 already"),
        ({"prompt": song(3), "notes": song(4)}, "notes= occur from the beginning .*: leave one out"),
        ({"prompt": song(6), "infill": "3-4", "bars": 6}, "bars= does not go with infill=3-4.*: ask for key, "),
        ({"prompt": song(6), "infill": "3-4", "rhythm": "x.x."}, "rhythm= does not go with infill=3-4"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_generator("voices").prepare(1, **arguments)
