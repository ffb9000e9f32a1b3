"""What must hold for every stack, recurrent or of attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musiclstm.model.attention import AttentionStack
from musiclstm.model.stack import Stack, State, select_state

B, T, X = 4, 12, 5


def make_input(batch: int = B, length: int = T) -> Tensor:
    return torch.randn(batch, length, X, generator=torch.Generator().manual_seed(1))


def away_from_the_beginning(stack: nn.Module) -> None:
    """Draws all its parameters anew, none of them what it begins as."""
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.uniform_(-0.7, 0.7)


def assert_close(found: Tensor | State, expected: Tensor | State) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def check_steps_and_windows(stack: Stack | AttentionStack) -> State:
    """Steps, and windows with the state carried, give what the whole sequence gives; the state after it is returned."""
    x = make_input()
    whole, last = stack(x)
    assert whole.shape == (B, T, stack.output_size)

    state, steps = stack.initial_state(B), []
    for t in range(T):
        output, state = stack.step(x[:, t], state)
        steps.append(output)
    assert_close(torch.stack(steps, 1), whole)
    assert_close(state, last)

    windows, carried = [], None
    for window in x.split((5, 1, 6), dim=1):
        output, carried = stack(window, carried)
        windows.append(output)
    assert_close(torch.cat(windows, 1), whole)
    assert carried is not None
    assert_close(carried, last)
    return carried


def check_resets(stack: Stack | AttentionStack) -> tuple[State, list[State]]:
    """Rows that are reset begin anew and leave the others alone; the state after it, and that of each row by itself."""
    x = make_input()
    _, state = stack(make_input(length=3))
    reset = torch.tensor([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    outputs, last = stack(x, state, reset)
    alone = []
    for row in range(B):
        row_state = select_state(state, [row])
        for segment, piece in enumerate(x[row : row + 1].chunk(4, dim=1)):
            if reset[row, segment]:
                row_state = stack.initial_state(1)
            expected, row_state = stack(piece, row_state)
            assert_close(outputs[row : row + 1, segment * 3 : segment * 3 + 3], expected)
        alone.append(row_state)
    return last, alone


def check_gradients(stack: Stack | AttentionStack) -> None:
    """Every parameter has a gradient that is not all zeros."""
    for name, parameter in stack.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
