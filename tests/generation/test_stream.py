from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.generation.notes import Note
from musiclstm.score import Score
from tests.generation.models import NATIVE, favour, make_generator
from tests.generation.test_state import song


def content(notes: list[Note]) -> list[tuple[int, int, int, int, int]]:
    """In milliseconds."""
    return sorted((round(n.start * 1000), round(n.end * 1000), n.pitch, n.velocity, n.program) for n in notes)


def of_score(score: Score) -> list[tuple[int, int, int, int, int]]:
    columns = (score.notes[name].tolist() for name in ("start", "end", "pitch", "velocity", "program"))
    return sorted(
        (round(float(score.seconds(start)) * 1000), round(float(score.seconds(end)) * 1000), pitch, velocity, program)
        for start, end, pitch, velocity, program in zip(*columns, strict=True)
    )


@pytest.mark.parametrize("rescue", [False, True])
@pytest.mark.parametrize("name", NATIVE)
def test_a_stream_gives_the_notes_of_the_piece(name: str, rescue: bool) -> None:
    made = favour(make_generator(name), NoteOff=5, EOS=12)
    arguments: dict[str, Any] = {"seed": 3, "temperature": 1.0, "endless": False, "rescue": rescue, "max_tokens": 3000}
    notes = list(made.stream(**arguments))
    (piece,) = made.generate_scores(1, **arguments)
    assert piece.ended
    score = made.tokenizer.decode(piece.ids)
    if name == "remi" and len(score.tempos) > 1:
        assert len(notes) == len(score)  # the end of a note is told before a change of tempo on its way
    else:
        assert content(notes) == of_score(score)


@pytest.mark.parametrize("name", NATIVE)
def test_a_stream_goes_on_from_a_state(name: str) -> None:
    made = favour(make_generator(name), EOS=-99)
    state = made.read(song(), bars=2)
    stream = made.stream(state, seed=1)
    notes = list(itertools.islice(stream, 40))
    assert len(notes) == 40
    assert min(note.end for note in notes) >= 4.0 - 0.01  # two bars at 120
    kept = stream.state
    assert kept.ids[: len(state.ids)].tolist() == state.ids.tolist()
    assert made.tokenizer.decode(kept.ids).notes["start"].max() > 0
    again = made.stream(state, seed=1)
    assert list(itertools.islice(again, 40)) == notes
    assert again.state.moment.logits.tobytes() == kept.moment.logits.tobytes()


def test_a_stream_never_ends_by_itself() -> None:
    made = favour(make_generator("voices"), EOS=20)
    assert len(list(itertools.islice(made.stream(seed=1), 500))) == 500
    assert len(list(made.stream(seed=1, max_bars=2))) < 200


def test_notes_under_rescue_come_some_bars_later_and_stay() -> None:
    made = favour(make_generator("voices"), EOS=-99)
    stream = made.stream(seed=1, rescue=True)
    notes = list(itertools.islice(stream, 200))
    state = stream.state
    assert max(note.end for note in notes) <= state.seconds + 1e-6
    assert np.all(np.diff([note.end for note in notes]) >= 0)


def test_what_is_no_stream_is_refused() -> None:
    made = make_generator("voices")
    with pytest.raises(UserError, match="one row that goes on"):
        made.stream(particles=4)
