from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from musiclstm.evaluation.likelihood import POSITIONS, likelihood
from musiclstm.evaluation.reading import ReadPiece, read_pieces, seconds_of, token_types, type_names
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import TEMPO, Score, make_notes
from musiclstm.tokenizers import from_dict
from musiclstm.tokenizers.base import Tokenizer


def tokenizer(name: str = "voices") -> Tokenizer:
    arguments = {"voices": {"num_voices": 1}, "remi": {}, "performance": {}, "frames": {}}[name]
    return from_dict({"name": name, "arguments": arguments})


def model(of: Tokenizer) -> MusicLSTM:
    torch.manual_seed(1)
    made = MusicLSTM(len(of.vocabulary), list(of.context_sizes.values()), embedding_size=8, hidden_size=8, num_layers=2)
    torch.nn.init.normal_(made.head.weight)
    return made


def melody(length: int, tempo: int = 500_000) -> Score:
    """Quarters of 480 ticks."""
    starts = np.arange(length) * 480
    notes = make_notes(starts, starts + 480, 60 + np.arange(length) % 12)
    return Score(notes, tempos=np.array([(0, tempo)], TEMPO))


@pytest.mark.parametrize("name", ["voices", "remi", "performance", "frames"])
def test_every_token_is_scored_once_from_all_before_it(name: str) -> None:
    of = tokenizer(name)
    lstm = model(of)
    score = melody(40)
    (piece,) = read_pieces(lstm, of, [("a", score)])
    ids = of.encode(score)
    assert piece.tokens.tolist() == ids[1:].tolist()
    state = lstm.initial_state(1)
    features, _ = of.context(ids[None])
    for t in range(len(ids) - 1):
        logits, state = lstm.step(torch.from_numpy(ids[t : t + 1]), torch.from_numpy(features[:, t]), state)
        likely = logits.detach().double().log_softmax(-1)[0]
        same = torch.from_numpy(token_types(of) == token_types(of)[ids[t + 1]])
        assert piece.nats[t] == pytest.approx(-float(likely[int(ids[t + 1])]), abs=1e-4)
        assert piece.type_nats[t] == pytest.approx(-float(likely[same].logsumexp(0)), abs=1e-4)


def test_a_piece_is_read_alike_whatever_is_beside_it() -> None:
    of = tokenizer()
    lstm = model(of)
    named = [(str(n), melody(n)) for n in (3, 700, 20, 5)]  # one is longer than a window
    together = {piece.name: piece for piece in read_pieces(lstm, of, named)}
    heard: list[int] = []
    for each in named:
        (alone,) = read_pieces(lstm, of, [each], heard.append)
        assert np.allclose(alone.nats, together[each[0]].nats, atol=1e-5)
    assert heard == [1, 1, 1, 1]


def made(name: str, nats: list[float], seconds: list[float], of: Tokenizer, notes: int, tokens: list[int]) -> ReadPiece:
    return ReadPiece(
        name, np.array(nats), np.array(nats) / 4, np.array(tokens), np.array(seconds), notes, seconds[-1], bars=notes
    )


def test_means_are_over_symbols_and_over_pieces() -> None:
    of = tokenizer()
    pitch, end = of.vocabulary.first("Pitch"), 2
    pieces = [
        made("a", [1.0, 2.0, 3.0, 2.0], [0, 10, 40, 100], of, notes=3, tokens=[pitch, pitch, pitch, end]),
        made("b", [4.0, 4.0], [0, 50], of, notes=1, tokens=[pitch, end]),
    ]
    found = likelihood(pieces, of)
    assert found.nats == 16
    assert (found.per_token.all, found.per_token.of_pieces, found.per_token.count) == (16 / 6, 3.0, 6)
    assert (found.per_note.all, found.per_note.of_pieces) == (4.0, (8 / 3 + 8) / 2)
    assert (found.per_second.all, found.per_second.of_pieces) == (16 / 150, (8 / 100 + 8 / 50) / 2)
    assert found.per_unit is not None and found.per_unit.count == 4  # pitches, and not the end
    skip_first = found.per_unit_skip_first  # what stands at 0 s is left out, of the nats and of the pitches
    assert skip_first is not None and (skip_first.all, skip_first.of_pieces, skip_first.count) == (11 / 2, 7 / 2, 2)
    assert [(p.start, p.end, p.nats_per_token, p.tokens, p.pieces) for p in found.positions] == [
        (0, 30, 7 / 3, 3, 2),
        (30, 60, 3.5, 2, 2),
        (60, 120, 2.0, 1, 1),
    ]
    shares = {share.type: share for share in found.types}
    assert set(shares) == {"Pitch", "EOS"}
    assert (shares["Pitch"].tokens, shares["Pitch"].group, shares["EOS"].group) == (4, "pitch", "end")
    assert shares["Pitch"].type_nats_per_note == 10 / 4 / 4
    assert shares["Pitch"].value_nats_per_note == 10 * 3 / 4 / 4
    assert math.isclose(sum(s.type_nats_per_note + s.value_nats_per_note for s in found.types), found.per_note.all)
    assert found.to_dict()["pieces"] == 2
    assert len(POSITIONS) == 5


@pytest.mark.parametrize("name", ["voices", "remi", "performance", "frames"])
def test_tokens_stand_where_their_music_is(name: str) -> None:
    of = tokenizer(name)
    score = melody(20, tempo=1_000_000)
    steps = np.array([of.to_step(score, tick) for tick in (0, 480, 960, 4800)])
    assert seconds_of(of, score, steps) == pytest.approx([0, 1, 2, 10], abs=0.02)
    assert type_names(of)[:3] == ["PAD", "BOS", "EOS"]
