"""The tokenizer that `auto` chooses, and making tokenizers by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from musiclstm.score import DRUMS, Score, make_notes
from musiclstm.tokenizers import TOKENIZERS, from_dict, make_tokenizer
from musiclstm.tokenizers.auto import choose_tokenizer
from tests.music import chorales

RANDOM = np.random.default_rng(0)


def grooves(jitter: int, notes: int = 200) -> list[Score]:
    """Four bars of drums on 16ths, each up to `jitter` ticks of 480 off."""
    start = np.arange(notes) * 120 + 480
    off = RANDOM.integers(-jitter, jitter + 1, (8, notes))
    return [Score(make_notes(start + by, start + by + 30, 36 + by % 5, 90, DRUMS)) for by in off]


def rubato(program: int = 0, notes: int = 300) -> list[Score]:
    """Chords that fall anywhere."""
    starts = RANDOM.integers(0, notes * 300, (8, notes))
    return [Score(make_notes(at, at + 700, 40 + at % 40, 60 + at % 40, program)) for at in starts]


def chords(programs: list[int]) -> list[Score]:
    """Two notes at once on eighths in each program, a track to each."""
    made = []
    for piece in range(8):
        start = np.repeat(np.arange(64) * 240, 2 * len(programs))
        track = np.tile(np.repeat(np.arange(len(programs)), 2), 64)
        pitch = 50 + piece + np.arange(len(start)) % (2 * len(programs))
        made.append(Score(make_notes(start, start + 240, pitch, 80, np.array(programs)[track], track)))
    return made


def triplets(score: Score) -> Score:
    """Three eighths in the time of two."""
    notes = score.notes.copy()
    notes["start"], notes["end"] = notes["start"] * 2 // 3, notes["end"] * 2 // 3
    return score.replace(notes=notes)


def test_chorales() -> None:
    name, arguments, why = choose_tokenizer(chorales().scores)
    assert (name, arguments) == ("voices", {"num_voices": 4, "steps_per_quarter": 4})
    assert why == (
        "tokenizer=voices (4 voices, 4 steps a quarter): every piece has 4 tracks that sing one note at a time, "
        "and 100.0% of the notes begin on a 16th"
    )


def test_melodies_in_triplets() -> None:
    melodies = [triplets(score.replace(notes=score.notes[score.notes["track"] == 0])) for score in chorales().scores]
    name, arguments, why = choose_tokenizer(melodies)
    assert (name, arguments) == ("voices", {"num_voices": 1, "steps_per_quarter": 12})
    assert "1 voice, 12 steps a quarter): every piece has 1 track that sings" in why


def test_voices_only_where_that_is_short() -> None:
    slow = [score.replace(ticks_per_quarter=30) for score in chorales().scores]  # a note in every four quarters
    assert choose_tokenizer(slow)[0] == "remi"


def test_a_few_pieces_with_other_tracks_do_not_matter() -> None:
    scores = [*chorales(30).scores, chords([0])[0]]
    name, arguments, why = choose_tokenizer(scores)
    assert (name, arguments["num_voices"]) == ("voices", 4)
    assert "96.8% of the pieces have 4 tracks" in why


def test_drums() -> None:
    assert choose_tokenizer(grooves(0))[:2] == ("remi", {"steps_per_quarter": 12})
    name, arguments, why = choose_tokenizer(grooves(30))
    assert (name, arguments) == ("remi", {"steps_per_quarter": 24})
    assert "only drums" in why


def test_played_freely() -> None:
    name, arguments, why = choose_tokenizer(rubato())
    assert (name, arguments) == ("performance", {})
    assert "piano alone" in why
    assert "guitar" in choose_tokenizer(rubato(25))[2]


def test_several_instruments() -> None:
    name, arguments, why = choose_tokenizer(chords([0, 33, 56]))
    assert (name, arguments) == ("remi", {"steps_per_quarter": 12})
    assert "3 instruments in 3 tracks, with chords" in why
    together = [Score(np.concatenate([a.notes, b.notes])) for a, b in zip(rubato(), rubato(70), strict=True)]
    assert choose_tokenizer(together)[:2] == ("remi", {"steps_per_quarter": 24})
    with_drums = [Score(np.concatenate([a.notes, b.notes])) for a, b in zip(chords([0]), grooves(0), strict=True)]
    assert "1 instrument and drums (61% of the notes)" in choose_tokenizer(with_drums)[2]


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        ("maestro_v2", "performance"),
        ("groove", "remi"),
        ("pop909", "remi"),
        ("nottingham", "remi"),
        ("piano_midi_de", "remi"),
    ],
)
def test_real_collections(collection: str, name: str, data_folder: Path) -> None:
    files = sorted(path for path in (data_folder / collection).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    scores = [read_midi(path) for path in files[:: len(files) // 10]]
    chosen, arguments, why = choose_tokenizer(scores)
    assert chosen == name, why
    tokenizer = make_tokenizer(chosen, scores, **arguments)
    assert [tokenizer.admits(score) for score in scores] == [None] * len(scores)


def test_nothing_to_choose_by() -> None:
    with pytest.raises(UserError, match="no notes"):
        choose_tokenizer([Score(make_notes([], [], []))])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_by_name(name: str) -> None:
    if name == "miditok":
        pytest.importorskip("miditok", reason="the miditok extra is not installed")
    scores = chorales(3).scores
    tokenizer = make_tokenizer(name, scores)
    assert tokenizer.name == name
    again = from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert again.to_dict() == tokenizer.to_dict()
    assert again.vocabulary.tokens == tokenizer.vocabulary.tokens
    assert np.array_equal(again.encode(scores[0]), tokenizer.encode(scores[0]))


def test_unknown_names() -> None:
    with pytest.raises(UserError, match=r"tokenizer=remy is not known: take auto or one of performance, remi, voices"):
        make_tokenizer("remy", [])
    with pytest.raises(UserError, match=r"tokenizer\.voices is not an argument of frames, which has steps_per_quarter"):
        make_tokenizer("frames", [], voices=3)
