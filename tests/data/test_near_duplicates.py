"""Versions of one piece are grouped whatever their key, tempo, player and accompaniment, and other pieces are not."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.data import near_duplicates
from musiclstm.data.near_duplicates import SKETCH, group, sketch
from musiclstm.data.sketches import TEXTURE, sketches
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, TEMPO, Score, make_notes, sort_notes
from tests.strategies import scores

Change = Callable[[np.random.Generator, Score], Score]
STEP = 120  # ticks of a 16th
TEMPOS = (400_000, 500_000, 780_000)


def melody(random: np.random.Generator, steps: int) -> tuple[np.ndarray, ...]:
    """Starts, ends and pitches of a tune in a scale, on a grid of 16ths."""
    lengths = random.choice([1, 2, 2, 2, 4], steps)
    ends = np.cumsum(lengths)
    ends = ends[ends <= steps]
    degrees = np.cumsum(random.choice([-3, -2, -1, -1, 0, 1, 1, 2, 4], len(ends))) % 11
    return np.append(0, ends[:-1]) * STEP, ends * STEP, np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17])[degrees] + 67


def accompaniment(random: np.random.Generator, steps: int) -> tuple[np.ndarray, ...]:
    """Two lower voices that know nothing of the tune."""
    start = np.arange(0, steps, 4).repeat(2) * STEP
    return start, start + 4 * STEP, random.integers(36, 62, len(start))


def together(*voices: tuple[np.ndarray, ...]) -> Score:
    start, end, pitch = (np.concatenate(columns) for columns in zip(*voices, strict=True))
    track = np.arange(len(voices)).repeat([len(voice[0]) for voice in voices])
    return Score(make_notes(start, end, pitch, 80, 0, track))


def tune(seed: int, steps: int = 192) -> Score:
    random = np.random.default_rng(seed)
    return together(melody(random, steps), accompaniment(random, steps))


def groove(random: np.random.Generator, bars: int = 16) -> Score:
    """Drums of which each bar is a little different from the first."""
    first = random.random((16, 3)) < (0.3, 0.2, 0.5)
    hits = np.concatenate([first ^ (random.random((16, 3)) < 0.08) for _ in range(bars)])
    step, drum = np.nonzero(hits)
    return Score(make_notes(step * STEP, step * STEP + 60, np.array([36, 38, 42])[drum], 80, DRUMS))


def change(score: Score, **columns: np.ndarray | int) -> Score:
    notes = score.notes.copy()
    for name, values in columns.items():
        notes[name] = values
    return score.replace(notes=sort_notes(notes))


def transpose(random: np.random.Generator, score: Score) -> Score:
    return change(score, pitch=score.notes["pitch"] + random.integers(-6, 7))


def scale(score: Score, factor: int, *, ticks_per_quarter: bool = False) -> Score:
    notes = score.notes
    score = change(score, start=notes["start"] * factor, end=notes["end"] * factor)
    return score.replace(ticks_per_quarter=score.ticks_per_quarter * factor) if ticks_per_quarter else score


def perform(random: np.random.Generator, score: Score) -> Score:
    """At another tempo and in another key, up to 15 ms early or late, with 3% wrong notes."""
    score = transpose(random, score)
    notes, count = score.notes, len(score)
    jitter = np.rint(random.uniform(-0.015, 0.015, count) * 960).astype(int)
    start = np.maximum(notes["start"] + jitter, 0)
    wrong = np.where(random.random(count) < 0.03, random.integers(-2, 3, count), 0)
    score = change(score, start=start, end=start + random.integers(60, 200, count), pitch=notes["pitch"] + wrong)
    return scale(score, int(random.integers(1, 4)))


def repeat(random: np.random.Generator, score: Score) -> Score:
    """The first half twice."""
    notes, half = score.notes, score.end // 2
    again = notes[notes["start"] < half].copy()
    later = notes.copy()
    later["start"] += half
    later["end"] += half
    return score.replace(notes=sort_notes(np.concatenate([again, later])))


def excerpt(random: np.random.Generator, score: Score) -> Score:
    return score.replace(notes=score.notes[score.notes["start"] > score.end * 2 // 3])


def arrange(random: np.random.Generator, score: Score) -> Score:
    """The upper voice over another accompaniment."""
    upper = score.notes[score.notes["track"] == 0]
    voice = accompaniment(random, score.end // STEP)
    return transpose(random, together((upper["start"], upper["end"], upper["pitch"]), voice))


def ornament(random: np.random.Generator, score: Score) -> Score:
    """A short upper neighbour before one note in twenty."""
    chosen = score.notes[random.random(len(score)) < 0.05].copy()
    chosen["end"] = chosen["start"] + 30
    chosen["pitch"] += 2
    return score.replace(notes=sort_notes(np.concatenate([score.notes, chosen])))


def grouped(pieces: list[Score]) -> np.ndarray:
    return group(sketches(pieces))


def test_a_sketch_is_small_and_the_same_everywhere() -> None:
    assert SKETCH.itemsize <= 512
    found = sketch(tune(0))
    assert found.shape == SKETCH.shape and found.dtype == SKETCH.base
    start = np.arange(200) * 60
    fixed = Score(make_notes(start, start + 50, 60 + np.arange(200) ** 2 % 31))
    assert zlib.crc32(sketch(fixed).tobytes()) == 859721465


@settings(max_examples=60, deadline=None, derandomize=True)
@given(scores(max_tracks=3, drums=False, latest=40), st.integers(2, 7), st.data())
def test_nothing_but_the_notes_counts(score: Score, factor: int, data: st.DataObject) -> None:
    pitch = score.notes["pitch"].astype(int)
    shift = data.draw(st.integers(-int(pitch.min(initial=0)), 127 - int(pitch.max(initial=127))))
    same = sketch(score)
    for other in (
        change(score, pitch=pitch + shift),
        change(score, velocity=1, program=5),
        change(score, track=9),
        scale(score, factor),
        scale(score, factor, ticks_per_quarter=True),
        score.replace(tempos=np.array([(0, 1_000_000), (77, 250_000)], TEMPO)),
    ):
        assert np.array_equal(sketch(other), same)


@settings(deadline=None)
@given(st.lists(scores(max_tracks=3), max_size=5), st.lists(st.integers(0, 99), max_size=3))
def test_several_pieces_have_the_sketches_of_each(pieces: list[Score], seeds: list[int]) -> None:
    pieces = [*pieces[::2], *map(tune, seeds), Score(make_notes([], [], 60)), *pieces[1::2]]
    found = sketches(pieces)
    assert found.shape == (len(pieces), *SKETCH.shape)
    assert all(np.array_equal(row, sketch(piece)) for row, piece in zip(found, pieces, strict=True))


def test_a_note_without_length_is_not_held() -> None:
    piece = tune(0)
    start = piece.notes["start"][50:51]
    grace = make_notes(start, start, 100)
    with_grace = sketch(piece.replace(notes=sort_notes(np.concatenate([piece.notes, grace]))))
    # but for the windows that it stands in, the melody stays what it was
    assert np.isin(with_grace[TEXTURE:], sketch(piece)[TEXTURE:]).sum() >= 40


def test_every_tune_in_twelve_keys_and_three_tempos() -> None:
    tunes = [tune(seed, steps=64) for seed in range(25)]
    versions = [change(piece, pitch=piece.notes["pitch"] + key) for piece in tunes for key in range(12)]
    versions += [piece.replace(tempos=np.array([(0, tempo)], TEMPO)) for piece in tunes for tempo in TEMPOS]
    versions += [scale(piece, factor) for piece in tunes for factor in (2, 3)]
    firsts = np.arange(25) * 12
    expected = np.concatenate([firsts.repeat(12), firsts.repeat(3), firsts.repeat(2)])
    assert np.array_equal(grouped(versions), expected)


@pytest.mark.parametrize("version", [perform, repeat, excerpt, arrange, ornament])
def test_another_version(version: Change) -> None:
    tunes = [tune(seed) for seed in range(40)]
    random = np.random.default_rng(1)
    groups = grouped(tunes + [version(random, piece) for piece in tunes])
    assert np.array_equal(groups, np.tile(np.arange(40), 2))


def test_a_piece_among_others_in_a_long_one() -> None:
    tunes = [tune(seed) for seed in range(30)]
    parts, end = [], 0
    for piece in tunes[:8]:
        parts.append(change(piece, start=piece.notes["start"] + end, end=piece.notes["end"] + end).notes)
        end += piece.end + 480
    groups = grouped([*tunes, Score(sort_notes(np.concatenate(parts)))])
    assert groups.tolist() == [0] * 8 + list(range(8, 30)) + [0]


def test_drums() -> None:
    random = np.random.default_rng(2)
    grooves = [groove(random) for _ in range(20)]
    late = [
        change(score, start=np.maximum(0, score.notes["start"] + random.integers(-12, 13, len(score))))
        for score in grooves
    ]
    other_drums = [change(score, pitch=score.notes["pitch"] + 9) for score in grooves]
    groups = grouped(grooves + [scale(score, 3) for score in late] + other_drums)
    assert np.array_equal(groups, np.concatenate([np.tile(np.arange(20), 2), np.arange(40, 60)]))


def test_drums_count_only_where_there_is_little_else() -> None:
    random = np.random.default_rng(3)
    drums, piece = groove(random), tune(0)
    both = piece.replace(notes=sort_notes(np.concatenate([piece.notes, drums.notes])))
    assert np.array_equal(sketch(both), sketch(piece))
    few = piece.replace(notes=sort_notes(np.concatenate([piece.notes[:5], drums.notes])))
    assert grouped([drums, few, tune(1)]).tolist() == [0, 0, 2]


def test_short_pieces_are_grouped_where_they_are_equal() -> None:
    def phrase(*pitches: int) -> Score:
        start = np.arange(len(pitches)) * 480
        return Score(make_notes(start, start + 400, np.array(pitches)))

    pieces = [
        phrase(60, 62, 64, 65, 67),
        phrase(60, 62, 64, 67, 65),
        phrase(65, 67, 69, 70, 72),
        phrase(60, 62, 64, 65, 67, 69),
        phrase(60),
        phrase(71),
        phrase(),
        phrase(),
    ]
    assert grouped(pieces).tolist() == [0, 1, 0, 3, 4, 4, 6, 7]
    assert group(np.zeros(0, SKETCH)).tolist() == []


def test_tunes_that_have_nothing_to_do_with_each_other_are_alone() -> None:
    lengths = np.random.default_rng(4).integers(24, 400, 500)
    assert np.array_equal(grouped([tune(seed, int(steps)) for seed, steps in enumerate(lengths)]), np.arange(500))


def test_the_order_of_the_pieces_does_not_matter() -> None:
    random = np.random.default_rng(5)
    tunes = [tune(seed, 96) for seed in range(60)]
    pieces = tunes + [version(random, piece) for piece in tunes for version in (perform, excerpt, repeat)]
    sketches = np.stack([sketch(piece) for piece in pieces])
    groups = group(sketches)
    assert (np.unique(groups, return_counts=True)[1] > 1).any()
    order = random.permutation(len(pieces))
    shuffled = group(sketches[order])
    least = {int(name): order[shuffled == name].min() for name in np.unique(shuffled)}
    assert all(groups[i] == least[int(name)] for i, name in zip(order, shuffled, strict=True))


def made_up(random: np.random.Generator, count: int, common: float) -> np.ndarray:
    """Sketches that have each hash in `common` with each other, and otherwise their own."""
    base = random.integers(0, 2**27, 128)
    own = random.integers(0, 2**27, (count, 128))
    hashes = np.where(random.random((count, 128)) < common, base, own) << 1 | (np.arange(128) >= 80)
    return np.concatenate([np.sort(part, 1) for part in np.split(hashes, [80], 1)], 1).astype("<u4")


@pytest.mark.parametrize(("common", "groups"), [(0.97, 1), (0.5, 1), (0.02, 3_000), (1.0, 1)])
def test_many_that_share_hashes(common: float, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    alike = near_duplicates._alike

    def count(a: np.ndarray, b: np.ndarray, family: int) -> np.ndarray:
        compared.append(len(a))
        return alike(a, b, family)

    monkeypatch.setattr(near_duplicates, "_alike", count)
    assert len(np.unique(group(made_up(np.random.default_rng(6), 3_000, common)))) == groups
    assert sum(compared) < 20 * 3_000


def test_a_memory_map_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    sketches = np.concatenate([made_up(random, 3, 0.7) for _ in range(1_500)])
    sketches[17] = 2**32 - 1
    sketches.tofile(tmp_path / "sketches")
    content = np.dtype([("sketch", SKETCH)])
    groups = group(sketches)
    assert len(np.unique(groups)) == 1_501
    for mode in ("r", "c", "r+"):
        mapped = np.memmap(tmp_path / "sketches", content, mode, shape=len(sketches))["sketch"]
        if mode == "c":
            mapped[17] = sketches[0]
            assert group(mapped)[17] == 0 and np.array_equal(mapped[17], sketches[0])
        else:
            assert np.array_equal(group(mapped), groups)
    assert (tmp_path / "sketches").read_bytes() == sketches.tobytes()


def test_performances_of_one_piece(data_folder: Path) -> None:
    folder = data_folder / "maestro_v2"
    titles = (
        'Transcendental Etude No. 5 "Feux Follets"',
        "L'isle joyeuse",
        "Etude Op. 10 No. 8 in F Major",
        "Etude Op. 25 No. 11 in A Minor",
        "Prelude and Fugue in G Major, WTC I, BWV 860",
        "Sonata in E-flat Major, Hob. XVI:52, First Movement",
    )
    with (folder / "maestro-v2.0.0.csv").open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["canonical_title"] in titles]
    rows = [row for row in rows if (folder / row["midi_filename"]).exists()]
    names = np.array([row["canonical_title"] for row in rows])
    groups = grouped([read_midi(folder / row["midi_filename"]) for row in rows])
    assert np.array_equal(groups[:, None] == groups, names[:, None] == names)
