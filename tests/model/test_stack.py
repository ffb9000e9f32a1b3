"""The stack: windows, steps, carried state, resets, skips, dropout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from musiclstm.errors import UserError
from musiclstm.model.cells import CELLS
from musiclstm.model.stack import SKIPS, Stack, detach_state, select_state
from tests.model.stacks import (
    B,
    T,
    X,
    assert_close,
    away_from_the_beginning,
    check_gradients,
    check_resets,
    check_steps_and_windows,
    make_input,
)

H = 6


def make_stack(
    num_layers: int = 2, cell: str = "lstm", skip: str = "graves", dropout: float = 0.0, layer_norm: bool = False
) -> Stack:
    """A stack with a learned state, and all its parameters away from what they begin as."""
    torch.manual_seed(0)
    stack = Stack(X, H, num_layers, cell, skip, dropout, learned_state=True, layer_norm=layer_norm)
    away_from_the_beginning(stack)
    return stack


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_steps_and_windows_give_what_the_whole_sequence_gives(
    cell: str, skip: str, num_layers: int, layer_norm: bool
) -> None:
    check_steps_and_windows(make_stack(num_layers, cell, skip, layer_norm=layer_norm))


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_a_reset_row_begins_anew_and_leaves_the_others_alone(cell: str, skip: str) -> None:
    last, alone = check_resets(make_stack(2, cell, skip))
    for row, row_state in enumerate(alone):
        assert_close(select_state(last, [row]), row_state)


def test_a_window_is_split_only_where_a_row_is_reset() -> None:
    stack = make_stack(1)
    lengths: list[int] = []
    stack.cells[0].register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    reset = torch.zeros(B, 4, dtype=torch.bool)
    stack(make_input(), None, reset)
    reset[1, 0] = True  # before the first step: nothing to split
    stack(make_input(), None, reset)
    assert lengths == [T, T]
    reset[2, 3] = True
    stack(make_input(), None, reset)
    assert lengths[2:] == [9, 3]


def test_segments_that_do_not_divide_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="12 steps does not divide into 5 segments"):
        make_stack()(make_input(), None, torch.zeros(B, 5, dtype=torch.bool))


@torch.no_grad()
def test_skips_are_wired_as_documented() -> None:
    x = make_input()

    def layers(skip: str) -> tuple[Stack, list[Callable[[Tensor], Tensor]]]:
        stack = make_stack(3, skip=skip)

        def layer(index: int) -> Callable[[Tensor], Tensor]:
            return lambda below: stack.cells[index](below, stack.initial_state(B)[index])[0]

        return stack, [layer(index) for index in range(3)]

    stack, (first, second, third) = layers("graves")
    h1 = first(x)
    h2 = second(torch.cat((x, h1), 2))
    h3 = third(torch.cat((x, h2), 2))
    torch.testing.assert_close(stack(x)[0], torch.cat((h1, h2, h3), 2))

    stack, (first, second, third) = layers("residual")
    h1 = first(x)
    h2 = h1 + second(h1)
    torch.testing.assert_close(stack(x)[0], h2 + third(h2))

    stack, (first, second, third) = layers("none")
    torch.testing.assert_close(stack(x)[0], third(second(first(x))))


@torch.no_grad()
def test_a_norm_is_between_a_layer_and_those_that_see_it_and_not_in_its_state() -> None:
    x, stack = make_input(), make_stack(2, skip="residual", layer_norm=True)

    def normed(index: int, h: Tensor) -> Tensor:
        norm = stack.norms[index]
        assert isinstance(norm, nn.LayerNorm)
        around = (h - h.mean(2, keepdim=True)) / torch.sqrt(h.var(2, keepdim=True, correction=0) + norm.eps)
        return around * norm.weight + norm.bias

    initial = stack.initial_state(B)
    h1, state1 = stack.cells[0](x, initial[0])
    below = normed(0, h1)
    h2, state2 = stack.cells[1](below, initial[1])
    outputs, state = stack(x)
    torch.testing.assert_close(outputs, below + normed(1, h2))
    assert_close(state, (state1, state2))


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_receives_a_gradient(cell: str, skip: str, layer_norm: bool) -> None:
    torch.manual_seed(0)
    # As it begins, with zeros where it begins with zeros.
    stack = Stack(X, H, 3, cell, skip, learned_state=True, layer_norm=layer_norm)
    stack(make_input())[0].square().sum().backward()
    check_gradients(stack)


def test_a_learned_state_has_a_gradient_in_windows_that_carry_theirs() -> None:
    stack = make_stack()
    state = detach_state(stack(make_input())[1])
    stack(make_input(), state, torch.zeros(B, 2, dtype=torch.bool))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in stack.learned)


def test_dropout_masks_are_constant_over_time_and_differ_between_rows() -> None:
    torch.manual_seed(0)
    features, rows, dropout = 400, 8, 0.3
    stack = Stack(features, 200, 2, dropout=dropout)
    seen: list[Tensor] = []
    stack.cells[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.ones(rows, T, features)
    outputs, _ = stack(x)
    masks = seen[0]
    assert torch.equal(masks, masks[:, :1].expand_as(masks))
    assert {round(value, 4) for value in masks.unique().tolist()} == {0.0, round(1 / (1 - dropout), 4)}
    dropped = outputs == 0
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    for pattern in (masks[:, 0] == 0, dropped[:, 0]):
        assert pattern.float().mean().item() == pytest.approx(dropout, abs=0.04)
        assert len({tuple(row.tolist()) for row in pattern}) == rows


@torch.no_grad()
def test_dropout_is_inactive_in_eval_mode_and_in_steps() -> None:
    dropping, plain, x = make_stack(dropout=0.5), make_stack(), make_input()
    assert not torch.equal(dropping(x)[0], plain(x)[0])
    torch.testing.assert_close(
        dropping.step(x[:, 0], dropping.initial_state(B)), plain.step(x[:, 0], plain.initial_state(B))
    )
    torch.testing.assert_close(dropping.eval()(x), plain(x))


def test_states_are_made_cut_off_and_selected_by_row() -> None:
    stack = Stack(X, H, 3)
    zeros = stack.zero_state(2, dtype=torch.float64)
    assert [[part.shape for part in layer] for layer in zeros] == [[(2, H), (2, H)]] * 3
    assert all(part.dtype == torch.float64 and not part.any() for layer in zeros for part in layer)
    assert_close(stack.initial_state(2), stack.zero_state(2))

    _, state = stack(make_input())
    assert all(not part.requires_grad for layer in detach_state(state) for part in layer)
    branched = select_state(state, torch.tensor([2, 2, 0]))
    assert torch.equal(branched[1][0], state[1][0][[2, 2, 0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "num_layers=0 is not possible: give a whole number of at least 1"),
        ({"num_layers": 1.5}, "num_layers=1.5"),
        ({"hidden_size": 0}, "hidden_size=0"),
        ({"hidden_size": True}, "hidden_size=True"),
        ({"input_size": -1}, "input_size=-1"),
        ({"dropout": 1.0}, "dropout=1.0 is not possible"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"dropout": float("nan")}, "dropout=nan"),
        ({"dropout": "half"}, "dropout='half'"),
        ({"cell": "mogrifier"}, "cell='mogrifier' is unknown: choose one of lstm, peephole, gru, rnn"),
        ({"skip": "dense"}, "skip='dense' is unknown: choose one of graves, residual, none"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Stack(**({"input_size": X, "hidden_size": H, "num_layers": 1} | arguments))  # type: ignore[arg-type]
