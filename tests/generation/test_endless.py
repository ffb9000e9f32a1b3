from __future__ import annotations

import itertools

import numpy as np
import pytest

from musiclstm.generation.joining import follow, next_line, pieces_of
from musiclstm.score import METER, TEMPO, Score, make_notes
from musiclstm.tokenizers.vocabulary import BOS, EOS
from tests.generation.models import NATIVE, favour, make_generator
from tests.generation.test_stream import content, of_score

ENDS = {"NoteOff": 5.0, "EOS": 8.0}


def score(*spans: tuple[int, int], **changes: object) -> Score:
    start, end = np.array(spans).T
    return Score(make_notes(start, end, 60 + np.arange(len(start))), 4).replace(**changes)


def test_ids_are_cut_where_pieces_end() -> None:
    ids = np.array([BOS, 7, EOS, 8, EOS, 9])
    assert [part.tolist() for part in pieces_of(ids)] == [[BOS, 7, EOS], [BOS, 8, EOS], [BOS, 9]]
    assert [part.tolist() for part in pieces_of(ids[:3])] == [[BOS, 7, EOS]]


def test_the_next_piece_begins_at_a_bar_line() -> None:
    first = score((0, 4), (4, 17))
    assert next_line(first) == 32
    assert next_line(score((0, 16))) == 16
    slow = np.array([(0, 1_000_000)], TEMPO)
    waltz = np.array([(0, 3, 4)], METER)
    both = follow(first, Score(make_notes([0, 12], [6, 24], [72, 74]), 8, slow, waltz))
    assert both.notes["start"].tolist() == [0, 4, 32, 38]  # in ticks of the first
    assert both.notes["end"].tolist() == [4, 17, 35, 44]
    assert both.tempos.tolist() == [(0, 500_000), (32, 1_000_000)]
    assert both.meters.tolist() == [(0, 4, 4), (32, 3, 4)]


def test_a_pickup_stands_at_the_end_of_a_bar_of_its_own() -> None:
    both = follow(score((0, 16)), score((0, 4), (4, 20), first_bar=4))
    assert both.notes["start"].tolist() == [0, 28, 32]
    assert both.bar_starts(49).tolist() == [0, 16, 32, 48]


@pytest.mark.parametrize("name", NATIVE)
def test_pieces_follow_each_other_up_to_the_limit(name: str) -> None:
    made = favour(make_generator(name), **ENDS)
    pieces = made.generate_scores(4, seed=1, endless=True, max_seconds=60)
    for piece in pieces:
        assert not piece.ended
        assert (piece.ids == EOS).sum() > 1
        assert 0 < piece.seconds <= 60
        parts = [made.tokenizer.decode(ids) for ids in pieces_of(piece.ids)]
        assert sum(len(part) for part in parts) >= len(piece.score) > 0
        midi = piece.to_pretty_midi()
        assert sum(len(instrument.notes) for instrument in midi.instruments) == len(piece.score)
        assert piece.state is not None
        (more,) = made.generate_scores(1, state=piece.state, max_tokens=20)
        assert more.ids[: len(piece.state.ids)].tolist() == piece.state.ids.tolist()
    assert any(len(piece.score) > len(made.tokenizer.decode(pieces_of(piece.ids)[0])) for piece in pieces)


@pytest.mark.parametrize("name", NATIVE)
def test_a_stream_plays_the_same_pieces(name: str) -> None:
    made = favour(make_generator(name), **ENDS)
    notes = list(itertools.islice(made.stream(seed=1), 300))
    (piece,) = made.generate_scores(1, seed=1, endless=True, rescue=False, max_tokens=4000, max_seconds=10_000)
    whole = of_score(piece.score)
    if name != "remi":  # the end of a note is told before a change of tempo on its way
        assert set(content(notes)) <= set(whole)
    assert len({round(note.start, 3) for note in notes} - {round(start / 1000, 3) for start, *_ in whole}) == 0
