from __future__ import annotations

import numpy as np
import pytest

from musiclstm.evaluation.originality import FEWEST, originality, percent, shares
from musiclstm.score import DRUMS, METER, Score, make_notes, sort_notes

QUARTER = 480


def piece(seed: int, bars: int = 8, meters: np.ndarray | None = None) -> Score:
    """Four notes a bar, in steps of a quarter or two eighths and a rest, with a chord now and then."""
    random = np.random.default_rng(seed)
    starts = np.arange(4 * bars) * QUARTER + random.integers(0, 2, 4 * bars) * QUARTER // 2
    pitches = random.integers(48, 72, 4 * bars)
    notes = [make_notes(starts, starts + 200, pitches), make_notes(starts[::5], starts[::5] + 200, pitches[::5] + 7)]
    score = Score(sort_notes(np.concatenate(notes)))
    return score if meters is None else score.replace(meters=meters)


def moved(score: Score, semitones: int, slower: int) -> Score:
    notes = score.notes.copy()
    notes["pitch"] = notes["pitch"].astype(int) + semitones
    notes["start"] *= slower
    notes["end"] *= slower
    meters = score.meters.copy()
    meters["numerator"] *= slower
    return score.replace(notes=notes, meters=meters)


@pytest.mark.parametrize(("semitones", "slower"), [(0, 1), (-5, 1), (7, 2), (3, 3)])
def test_a_copy_is_found_in_any_key_and_tempo(semitones: int, slower: int) -> None:
    known = [(f"known {i}", piece(i)) for i in range(6)]
    (found,) = originality(known, [("copy", moved(piece(4), semitones, slower))])
    assert found.copy is not None
    assert (found.copy.source, found.copy.notes) == ("known 4", found.notes)
    assert (found.copy.first_bar, found.copy.last_bar, found.copy.source_bar) == (1, 8, 1)
    assert found.windows == found.copied
    assert found.windows[1] > found.windows[2] > found.windows[4] > 0


def test_what_was_never_heard_is_no_copy() -> None:
    known = [(f"known {i}", piece(i)) for i in range(6)]
    (found,) = originality(known, [("new", piece(99))])
    assert found.copy is not None and found.copy.notes < 8
    assert found.windows[1] >= 7 and found.copied == {1: 0, 2: 0, 4: 0}
    assert shares([found]) == {1: 0, 2: 0, 4: 0}


def test_copied_bars_are_counted_and_named() -> None:
    other, new = piece(1), piece(50)
    inside = (other.notes["start"] >= 2 * 1920) & (other.notes["start"] < 5 * 1920)
    taken = other.notes[inside].copy()
    for field in ("start", "end"):
        taken[field] += 1920
    taken["pitch"] -= 2
    kept = new.notes[(new.notes["start"] < 3 * 1920) | (new.notes["start"] >= 6 * 1920)]
    mixed = new.replace(notes=sort_notes(np.concatenate([kept, taken])))
    (found,) = originality([("other", other)], [("mixed", mixed)])
    assert found.copy is not None
    assert (found.copy.source, found.copy.source_bar) == ("other", 3)
    assert (found.copy.first_bar, found.copy.last_bar) == (4, 6)
    assert 3 * 1920 <= found.copy.start < 4 * 1920
    assert 5 * 1920 < found.copy.end <= 6 * 1920
    assert found.copied[4] == 0
    assert 2 <= found.copied[1] <= 3 and 1 <= found.copied[2] <= 2


def test_drums_are_compared_as_they_are() -> None:
    def groove(drum: int) -> Score:
        starts = np.arange(32) * 240
        drums = np.where(np.arange(32) % 4, 42, drum)
        return Score(make_notes(starts, starts + 100, drums, 90, DRUMS))

    known = [("kick", groove(36))]
    same, other = originality(known, [("a", groove(36)), ("b", groove(38))])
    assert same.copied[1] == same.windows[1] > 0
    assert other.copied[1] == 0


def test_pieces_of_few_notes_say_nothing() -> None:
    tiny = Score(make_notes(np.arange(FEWEST - 1) * 480, np.arange(1, FEWEST) * 480, np.full(FEWEST - 1, 60)))
    empty = Score(make_notes(np.zeros(0), np.zeros(0), np.zeros(0)))
    single = Score(make_notes(np.zeros(1), np.ones(1), np.full(1, 60)))
    found = originality([("known", piece(0)), ("nothing", empty)], [("a", tiny), ("b", empty), ("c", single)])
    assert [f.windows[1] for f in found] == [0, 0, 0]
    assert found[1].copy is None and found[2].copy is None
    assert shares(found)[1] is None
    assert percent(None) == "none so long"
    assert [f.copy for f in originality([], [("a", piece(0))])] == [None]


def test_a_pickup_is_bar_0() -> None:
    known = piece(3, meters=np.array([(0, 4, 4)], METER)).replace(first_bar=480)
    (found,) = originality([("known", known)], [("copy", known)])
    assert found.copy is not None
    assert found.copy.first_bar == 0 and found.copy.source_bar == 0
