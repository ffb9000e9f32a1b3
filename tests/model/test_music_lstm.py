"""The whole model: shapes, stepping, where the loss begins, what it is built from."""

from __future__ import annotations

import copy
import json
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from musiclstm.errors import UserError
from musiclstm.model.cells import CELLS
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import SKIPS

B, T, V = 3, 8, 20
CONTEXT_SIZES = (4, 7)


def make_model(**arguments: object) -> MusicLSTM:
    torch.manual_seed(0)
    defaults = {"embedding_size": 6, "hidden_size": 10}
    return MusicLSTM(V, CONTEXT_SIZES, **(defaults | arguments))  # type: ignore[arg-type]


def make_batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(V, (B, T), generator=generator)
    context = torch.stack([torch.randint(size, (B, T), generator=generator) for size in CONTEXT_SIZES], dim=-1)
    return tokens, context


@pytest.mark.parametrize("tie_output", [False, True])
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_steps_give_what_the_window_gives(cell: str, skip: str, tie_output: bool) -> None:
    model = make_model(cell=cell, skip=skip, tie_output=tie_output, learned_state=True).eval()
    tokens, context = make_batch()
    logits, last = model(tokens, context)
    assert logits.shape == (B, T, V)
    state = model.initial_state(B)
    for t in range(T):
        step_logits, state = model.step(tokens[:, t], context[:, t], state)
        torch.testing.assert_close(step_logits, logits[:, t], atol=1e-5, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_reset_before_the_first_token_is_the_initial_state() -> None:
    model = make_model().eval()
    tokens, context = make_batch()
    fresh, _ = model(tokens, context)
    _, state = model(tokens, context)
    begun_anew, _ = model(tokens, context, state, torch.ones(B, 1, dtype=torch.bool))
    torch.testing.assert_close(begun_anew, fresh)


@pytest.mark.parametrize("tie_output", [False, True])
def test_every_parameter_receives_a_gradient(tie_output: bool) -> None:
    model = make_model(tie_output=tie_output, learned_state=True, gated_output=True)
    tokens, context = make_batch()
    logits, _ = model(tokens, context)
    F.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
def test_a_gate_begins_open_and_weighs_what_the_stack_gives() -> None:
    plain, gated = make_model().eval(), make_model(gated_output=True).eval()
    gated.load_state_dict(plain.state_dict(), strict=False)
    tokens, context = make_batch()
    expected, _ = plain(tokens, context)
    torch.testing.assert_close(gated(tokens, context)[0], expected)
    assert gated.gate is not None
    gated.gate.bias.fill_(-20.0)  # closes it: what is left is the bias of the head
    shut, _ = gated(tokens, context)
    torch.testing.assert_close(shut, gated.head.bias.expand_as(shut))
    gated.gate.bias.fill_(20.0)
    wide, _ = gated(tokens, context)
    torch.testing.assert_close(wide - gated.head.bias, 2 * (expected - gated.head.bias))


@pytest.mark.parametrize("tie_output", [False, True])
@torch.no_grad()
def test_the_loss_begins_at_that_of_a_uniform_guess(tie_output: bool) -> None:
    torch.manual_seed(0)
    model = MusicLSTM(300, tie_output=tie_output)
    tokens = torch.randint(300, (8, 32))
    loss = F.cross_entropy(model(tokens)[0].flatten(0, 1), tokens.flatten()).item()
    assert loss == pytest.approx(math.log(300), rel=0.01)


def test_a_tied_model_scores_tokens_by_their_embedding() -> None:
    tied, untied = make_model(tie_output=True), make_model()
    h = tied.stack.output_size
    assert untied.num_parameters - tied.num_parameters == (h * V + V) - (h * 6 + V)
    with torch.no_grad():
        tied.embedding.weight[3] = tied.embedding.weight[5]
        logits, _ = tied(*make_batch())
    torch.testing.assert_close(logits[..., 3], logits[..., 5])


def test_the_arguments_build_the_same_model_again() -> None:
    model = make_model(num_layers=3, cell="gru", skip="residual", dropout=0.2, tie_output=True, learned_state=True)
    again = MusicLSTM(**json.loads(json.dumps(model.arguments)))
    assert again.arguments == model.arguments
    again.load_state_dict(model.state_dict())


def test_the_model_can_be_copied_and_pickled() -> None:
    model = make_model(cell="lstm").eval()
    expected = model(*make_batch())[0]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(*make_batch())[0], expected)


def test_token_counts_travel_with_the_weights_and_are_not_trained() -> None:
    model = make_model()
    assert model.token_counts.dtype == torch.int64
    assert model.token_counts.tolist() == [0] * V
    assert "token_counts" in model.state_dict()
    assert "token_counts" not in dict(model.named_parameters())


def test_a_model_without_context_takes_tokens_alone() -> None:
    model = MusicLSTM(V, hidden_size=4, embedding_size=4)
    tokens, context = make_batch()
    assert model(tokens)[0].shape == (B, T, V)
    assert model.step(tokens[:, 0], None, model.initial_state(B))[0].shape == (B, V)
    with pytest.raises(ValueError, match="built for 0 context features and received 2"):
        model(tokens, context)
    with pytest.raises(ValueError, match="built for 2 context features and received 0"):
        make_model()(tokens)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 0}, "vocab_size=0"),
        ({"embedding_size": 0}, "embedding_size=0"),
        ({"context_sizes": (3, 0)}, "context_sizes=0"),
        ({"hidden_size": 0}, "hidden_size=0"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"dropout": 1.0}, r"dropout=1\.0"),
        ({"cell": "tree"}, "cell='tree'"),
        ({"skip": "all"}, "skip='all'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MusicLSTM(**({"vocab_size": V} | arguments))  # type: ignore[arg-type]
