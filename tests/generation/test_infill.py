from __future__ import annotations

import numpy as np
import pytest
import torch

from musiclstm.errors import UserError
from musiclstm.generation.infill import InfillJob
from musiclstm.generation.likelihood import token_log_likelihoods
from musiclstm.score import METER, Score, make_notes
from tests.generation.models import NATIVE, make_generator
from tests.generation.test_state import song


def notes_of(score: Score) -> list[tuple[int, ...]]:
    return [tuple(note) for note in score.notes[["start", "end", "track", "program", "pitch", "velocity"]].tolist()]


@pytest.mark.parametrize(("name", "temperature"), [*((name, 1.0) for name in NATIVE), ("voices", 0.5)])
def test_likelihoods_are_those_of_the_whole_sequence(
    name: str, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_generator(name)
    sequences = [made.tokenizer.encode(song(bars)) for bars in (2, 1, 3)] + [
        made.tokenizer.encode(made.generate_scores(1, prompt=song(4), prompt_bars=3, max_bars=1)[0].score)
    ]
    monkeypatch.setattr("musiclstm.model.reading.WINDOW", 11)
    found = token_log_likelihoods(made.model, made.tokenizer, sequences, temperature)
    for ids, likely in zip(sequences, found, strict=True):
        features, _ = made.tokenizer.context(ids[None].astype(np.int64))
        with torch.inference_mode():
            logits, _ = made.model(torch.from_numpy(ids[None].astype(np.int64)), torch.from_numpy(features))
        expected = torch.log_softmax(logits[0, :-1].double() / temperature, -1)[np.arange(len(ids) - 1), ids[1:]]
        assert likely.shape == (len(ids) - 1,)
        assert np.allclose(likely, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", NATIVE)
def test_what_stands_around_is_kept(name: str) -> None:
    made = make_generator(name)
    whole = song(6)
    pieces = made.generate_scores(2, prompt=whole, infill="3-4", seed=3, particles=4)
    line, end = 2 * 4 * 480, 4 * 4 * 480
    for piece in pieces:
        assert piece.new == (line, end)
        old = whole.notes[(whole.notes["start"] < line) | (whole.notes["start"] >= end)]
        new = piece.score.notes
        outside = new[(new["start"] < line) | (new["start"] >= end)]
        assert notes_of(piece.score.replace(notes=outside)) == notes_of(whole.replace(notes=old))
        inside = new[(new["start"] >= line) & (new["start"] < end)]
        assert len(inside) > 0
        for note in inside[inside["end"] > end]:  # it may sound on, but not into what was kept
            kept = old[(old["track"] == note["track"]) & (old["pitch"] == note["pitch"]) & (old["start"] >= end)]
            assert note["end"] <= kept["start"].min(initial=note["end"])
    assert notes_of(pieces[0].score) != notes_of(pieces[1].score)
    again = made.generate_scores(1, prompt=whole, infill="3-4", seed=3, particles=4)
    assert notes_of(again[0].score) == notes_of(pieces[0].score)


def test_a_note_that_sounds_into_the_hole_is_kept() -> None:
    made = make_generator("voices")
    start, end = np.array([0, 1440, 3840, 5760]), np.array([1440, 2400, 5760, 7680])
    whole = Score(make_notes(start, end, [60, 62, 64, 65], 80))
    for piece in made.generate_scores(4, prompt=whole, infill="2", particles=2):
        assert (1440, 2400, 0, 0, 62, 80) in notes_of(piece.score)
        notes = piece.score.notes[piece.score.notes["track"] == 0]
        assert (notes["start"][1:] >= notes["end"][:-1]).all()  # one at a time, as the voice had it


def test_more_particles_find_better_ways() -> None:
    """The right side is likelier after what was chosen than after what comes by itself."""
    made = make_generator("voices", seed=3)
    with torch.no_grad():
        made.model.head.weight *= 40  # so that what comes depends on what came
    job = made.prepare(6, prompt=song(6), infill="3-4", seed=1, particles=24)
    assert isinstance(job, InfillJob)
    chosen = job.right_side([piece.score for piece in job.run()], 4 * 4 * 480)
    plain, _, _ = job.middles(song(6), 2 * 4 * 480, 4 * 4 * 480, seed=5)
    assert chosen.mean() > job.right_side(plain, 4 * 4 * 480).mean() + 1


def test_at_temperature_0_all_fills_are_one() -> None:
    made = make_generator("voices")
    pieces = made.generate_scores(2, prompt=song(5), infill="3", particles=2, temperature=0)
    assert notes_of(pieces[0].score) == notes_of(pieces[1].score)


@pytest.mark.parametrize(
    ("infill", "message"),
    [
        ("3-9", "infill=3-9: the prompt has 6 bars, .* give bars from 2 to 5"),
        ("1-2", "from 2 to 5"),
        ("5-4", "from 2 to 5"),
        ("x", "infill=x is no range of bars: write it as 5-8"),
    ],
)
def test_bars_that_are_not_there_are_named(infill: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_generator().generate(prompt=song(6), infill=infill)


def test_an_infill_needs_a_prompt() -> None:
    with pytest.raises(UserError, match="infill=3 needs the music around it: name a file with prompt=FILE"):
        make_generator().generate(infill="3")
    with pytest.raises(UserError, match="prompt_bars=2 says where to go on from"):
        make_generator().generate(prompt=song(), infill="3", prompt_bars=2)


def test_the_bar_after_a_pickup_can_be_filled() -> None:
    whole = song(4).replace(first_bar=480, meters=np.array([(0, 4, 4)], METER))
    (piece,) = make_generator("voices").generate_scores(1, prompt=whole, infill="1", particles=2)
    assert piece.new == (480, 480 + 1920)
