"""What sounds in a bar is written so that its beats are seen."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiclstm.rendering.engraving.meters import UNITS, bar_of, beats, find_tuplets, notes_for

METERS = [(4, 4), (3, 4), (2, 4), (6, 8), (9, 8), (12, 8), (5, 8), (7, 8), (2, 2), (3, 2), (5, 4), (6, 4), (3, 8)]
METERS += [(17, 16), (1, 32), (13, 8), (7, 1), (24, 4), (8, 8), (9, 16), (3, 16), (255, 2)]
LENGTHS = {Fraction(2) ** n * dots for n in range(-5, 4) for dots in (Fraction(1), Fraction(3, 2))}


def written(meter: tuple[int, int], start: int, end: int, *, rest: bool = False) -> str:
    """The pieces from `start` to `end` by their lengths in units; those of a triplet with a 't'."""
    bar = bar_of(*meter, UNITS)
    tuplets = find_tuplets(bar, frozenset({start, end}), UNITS)
    pieces = notes_for(bar, start, end, tuplets, UNITS, rest=rest)
    return " ".join(f"{piece.length}{'t' * bool(piece.tuplet)}" for piece in pieces)


@pytest.mark.parametrize(
    ("meter", "start", "end", "note", "rest"),
    [
        ((4, 4), 0, 96, "96", "96"),
        ((4, 4), 24, 72, "48", "24 24"),  # syncopation is written, silence shows the beats
        ((4, 4), 36, 96, "12 48", "12 48"),
        ((4, 4), 0, 84, "48 36", "48 24 12"),
        ((4, 4), 36, 60, "12 12", "12 12"),
        ((3, 4), 24, 72, "48", "24 24"),
        ((6, 8), 0, 24, "24", "24"),
        ((6, 8), 18, 54, "18 18", "6 12 12 6"),
        ((5, 4), 0, 120, "72 48", "72 48"),
        ((4, 4), 16, 24, "8t", "8t"),
        ((4, 4), 16, 32, "16t", "16t"),  # a quarter of a triplet over two beats
        ((4, 4), 20, 72, "4t 48", "4t 24 24"),
    ],
)
def test_notes_and_rests(meter: tuple[int, int], start: int, end: int, note: str, rest: str) -> None:
    assert written(meter, start, end) == note
    assert written(meter, start, end, rest=True) == rest


@given(st.sampled_from(METERS), st.sampled_from([24, 48]), st.data())
def test_every_length_can_be_written(meter: tuple[int, int], units: int, data: st.DataObject) -> None:
    bar = bar_of(*meter, units)
    assert bar.length == 4 * units * meter[0] // meter[1]
    assert [beat.start for beat in beats(bar, units)][1:] == [beat.end for beat in beats(bar, units)][:-1]
    step = data.draw(st.sampled_from([1, 2, 3, 4, 6, 8, 12]))
    cuts = sorted({0, bar.length, *data.draw(st.lists(st.integers(0, bar.length // step).map(lambda n: n * step)))})
    tuplets = find_tuplets(bar, frozenset(cuts), units)
    for start, end in pairwise(cuts):
        for rest in (False, True):
            pieces = notes_for(bar, start, end, tuplets, units, rest=rest)
            assert [start, *(piece.end for piece in pieces)] == [*(piece.start for piece in pieces), end]
            scale = [Fraction(3, 2) if piece.tuplet else Fraction(1) for piece in pieces]
            assert {s * Fraction(p.length, units) for s, p in zip(scale, pieces, strict=True)} <= LENGTHS
