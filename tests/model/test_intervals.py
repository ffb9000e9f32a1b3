"""Intervals: the definition, that all keys are alike, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from musiclstm.errors import UserError
from musiclstm.model.intervals import Intervals, add_by_pitch
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers.voices import Voices

PITCHES, REACH, SIZE, TYPES = 24, 5, 6, 2
REFERENCES = [(0, 2), (2, 0)]  # of three features the first, of which pitch 0 is value 2, and the last
TOKENS = [3, 3 + PITCHES + 1]  # the first tokens of the two types that name pitches


def make_intervals() -> Intervals:
    torch.manual_seed(0)
    intervals = Intervals(4, SIZE, TYPES, PITCHES, REFERENCES, REACH)
    with torch.no_grad():
        for weight in intervals.parameters():
            weight.normal_()
    return intervals


def context_of(*pitches: int | None) -> Tensor:
    """The context that names these two pitches."""
    first, other = pitches
    return torch.tensor([0 if first is None else first + 2, 9, PITCHES if other is None else other])


known = st.integers(0, PITCHES - 1)
perhaps = st.none() | known


@settings(max_examples=60, deadline=None)
@given(perhaps, perhaps, st.integers(0, 2**20))
def test_a_pitch_gets_what_each_interval_is_worth(first: int | None, other: int | None, seed: int) -> None:
    intervals, h = make_intervals(), torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))
    found = intervals(h, intervals.starts(context_of(first, other)))
    weights = intervals.head.weight.view(TYPES, len(REFERENCES), 2 * REACH + 1, SIZE)
    expected = torch.zeros(TYPES, PITCHES)
    for kind in range(TYPES):
        for number, reference in enumerate((first, other)):
            for pitch in range(PITCHES):
                if reference is not None and abs(pitch - reference) <= REACH:
                    expected[kind, pitch] += weights[kind, number, pitch - reference + REACH] @ h
    torch.testing.assert_close(found, expected)


@given(st.integers(REACH, PITCHES - 1 - REACH), st.integers(REACH, PITCHES - 1 - REACH))
def test_in_another_key_all_is_the_same(first: int, other: int) -> None:
    intervals, x = make_intervals(), torch.zeros(4)
    up = PITCHES - 1 - REACH - max(first, other)
    here, there = (intervals.starts(context_of(first + by, other + by)) for by in (0, up))
    h = torch.ones(SIZE)
    torch.testing.assert_close(intervals(h, there).roll(-up, -1), intervals(h, here))
    assert torch.equal(intervals.embed(x, here), intervals.embed(x, there))


@pytest.mark.parametrize("pitches", [(None, 3), (3, None), (None, None)])
def test_an_interval_from_or_to_nothing_is_told_apart(pitches: tuple[int | None, int | None]) -> None:
    intervals = make_intervals()
    between = intervals.between(intervals.starts(context_of(*pitches)))
    assert between.tolist() == [2 * REACH + 1]
    assert intervals.between(intervals.starts(context_of(4, 7))).tolist() == [REACH + 3]
    assert intervals.between(intervals.starts(context_of(23, 0))).tolist() == [0]


def test_each_type_of_token_gets_its_own() -> None:
    logits = torch.arange(12.0)
    added = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    expected = torch.arange(12.0)
    expected[2:4] += torch.tensor([10.0, 20.0])
    expected[9:11] += torch.tensor([30.0, 40.0])
    assert torch.equal(add_by_pitch(logits, added, [2, 9]), expected)


def make_model(**arguments: Any) -> MusicLSTM:
    torch.manual_seed(0)
    sizes = (PITCHES + 2, 10, PITCHES + 1)
    given: dict[str, Any] = {"embedding_size": 8, "hidden_size": 16, "pitches": PITCHES, "pitch_tokens": TOKENS}
    return MusicLSTM(60, sizes, **{"references": REFERENCES, **given, **arguments})


def draw(*shape: int) -> tuple[Tensor, Tensor]:
    """Tokens and their context."""
    context = [torch.randint(size, shape) for size in (PITCHES + 2, 10, PITCHES + 1)]
    return torch.randint(60, shape), torch.stack(context, -1)


def test_training_starts_where_it_does_without() -> None:
    tokens, context = draw(2, 5)
    model = make_model().eval()
    found, _ = model(tokens, context)
    model.intervals = None
    expected, _ = model(tokens, context)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "kind", [{}, {"tie_output": True}, {"cell": "attention", "skip": "residual", "hidden_size": 16}], ids=str
)
@torch.no_grad()
def test_steps_give_what_the_window_gives(kind: dict[str, Any]) -> None:
    model = make_model(**kind).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape), alpha=0.2)
    tokens, context = draw(3, 9)
    logits, _ = model(tokens, context)
    state = model.initial_state(3)
    for t in range(9):
        step_logits, state = model.step(tokens[:, t], context[:, t], state)
        torch.testing.assert_close(step_logits, logits[:, t], atol=1e-5, rtol=0)


def test_every_weight_learns() -> None:
    model = make_model()
    tokens, context = draw(2, 40)
    model(tokens, context)[0].logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pitch_tokens": []}, "pitch_tokens"),
        ({"pitch_tokens": [28, 3]}, "ascending"),
        ({"pitch_tokens": [3, 40]}, "among 60 tokens"),
        ({"pitches": 10**9}, "pitches=1000000000"),
        ({"references": [(3, 0)]}, r"references has \(3, 0\): give one of 3 context features"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_model(**arguments)


@pytest.mark.parametrize("voices", [1, 4, 16])
def test_voices_tell_of_every_voice(voices: int) -> None:
    tokenizer = Voices(voices)
    given = tokenizer.references()
    assert len(given["references"]) == 2 + voices * (voices > 1)
    model = MusicLSTM(len(tokenizer.vocabulary), tuple(tokenizer.context_sizes.values()), **given)
    assert model.intervals is not None and MusicLSTM(**model.arguments).num_parameters == model.num_parameters
    told_little = Voices(voices, features=["voice", "position"])
    assert told_little.references()["references"] == []
