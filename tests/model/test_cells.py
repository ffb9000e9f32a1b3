"""Each cell against its equations, written out here gate by gate in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from musiclstm.model.cells import CELLS, Cell, FusedCell, PeepholeCell, make_cell

B, T, X, H = 3, 7, 5, 4


def s(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def randomised(kind: str, dtype: torch.dtype) -> Cell:
    cell = make_cell(kind, X, H).to(dtype)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.uniform_(-1, 1)
    return cell


def fused_parameters(cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    assert isinstance(cell, FusedCell)
    return tuple(parameter.detach().numpy() for parameter in cell.layer.all_weights[0])  # type: ignore[return-value]


def lstm(cell: Cell, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    w, u, b, b2 = fused_parameters(cell)
    W_xi, W_xf, W_xc, W_xo = w[:H], w[H : 2 * H], w[2 * H : 3 * H], w[3 * H :]
    W_hi, W_hf, W_hc, W_ho = u[:H], u[H : 2 * H], u[2 * H : 3 * H], u[3 * H :]
    b = b + b2
    b_i, b_f, b_c, b_o = b[:H], b[H : 2 * H], b[2 * H : 3 * H], b[3 * H :]
    i = s(x @ W_xi.T + h @ W_hi.T + b_i)
    f = s(x @ W_xf.T + h @ W_hf.T + b_f)
    c = f * c + i * np.tanh(x @ W_xc.T + h @ W_hc.T + b_c)
    o = s(x @ W_xo.T + h @ W_ho.T + b_o)
    return o * np.tanh(c), c


def peephole(cell: Cell, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    assert isinstance(cell, PeepholeCell)
    w, u, b = (parameter.detach().numpy() for parameter in (cell.weight_ih, cell.weight_hh, cell.bias))
    w_ci, w_cf, w_co = (np.diag(p.detach().numpy()) for p in (cell.weight_ci, cell.weight_cf, cell.weight_co))
    W_xi, W_xf, W_xc, W_xo = w[:H], w[H : 2 * H], w[2 * H : 3 * H], w[3 * H :]
    W_hi, W_hf, W_hc, W_ho = u[:H], u[H : 2 * H], u[2 * H : 3 * H], u[3 * H :]
    b_i, b_f, b_c, b_o = b[:H], b[H : 2 * H], b[2 * H : 3 * H], b[3 * H :]
    i = s(x @ W_xi.T + h @ W_hi.T + c @ w_ci + b_i)
    f = s(x @ W_xf.T + h @ W_hf.T + c @ w_cf + b_f)
    c = f * c + i * np.tanh(x @ W_xc.T + h @ W_hc.T + b_c)
    o = s(x @ W_xo.T + h @ W_ho.T + c @ w_co + b_o)
    return o * np.tanh(c), c


def gru(cell: Cell, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    w, u, b, b2 = fused_parameters(cell)
    r = s(x @ w[:H].T + b[:H] + h @ u[:H].T + b2[:H])
    z = s(x @ w[H : 2 * H].T + b[H : 2 * H] + h @ u[H : 2 * H].T + b2[H : 2 * H])
    n = np.tanh(x @ w[2 * H :].T + b[2 * H :] + r * (h @ u[2 * H :].T + b2[2 * H :]))
    return ((1 - z) * n + z * h,)


def rnn(cell: Cell, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    w, u, b, b2 = fused_parameters(cell)
    return (np.tanh(x @ w.T + h @ u.T + b + b2),)


EQUATIONS: dict[str, Callable[..., tuple[np.ndarray, ...]]] = {
    "lstm": lstm,
    "peephole": peephole,
    "gru": gru,
    "rnn": rnn,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CELLS)
def test_a_window_and_its_steps_follow_the_equations(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    cell = randomised(kind, dtype)
    x = torch.randn(B, T, X, dtype=dtype)
    before = tuple(torch.randn(B, H, dtype=dtype) for _ in range(cell.num_states))

    expected, state = [], tuple(part.numpy() for part in before)
    for t in range(T):
        state = EQUATIONS[kind](cell, x[:, t].numpy(), *state)
        expected.append(state[0])

    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    with torch.no_grad():
        outputs, after = cell(x, before)
        stepped, step_state = [], before
        for t in range(T):
            output, step_state = cell.step(x[:, t], step_state)
            stepped.append(output)
    assert outputs.shape == (B, T, H)
    np.testing.assert_allclose(outputs.numpy(), np.stack(expected, 1), atol=tolerance)
    np.testing.assert_allclose(torch.stack(stepped, 1).numpy(), np.stack(expected, 1), atol=tolerance)
    assert len(after) == len(step_state) == len(state)
    for whole, step, reference in zip(after, step_state, state, strict=True):
        np.testing.assert_allclose(whole.numpy(), reference, atol=tolerance)
        np.testing.assert_allclose(step.numpy(), reference, atol=tolerance)


@pytest.mark.parametrize("kind", CELLS)
def test_recurrent_weights_begin_orthogonal(kind: str) -> None:
    torch.manual_seed(0)
    cell = make_cell(kind, X, H)
    weight = cell.weight_hh if isinstance(cell, PeepholeCell) else torch.from_numpy(fused_parameters(cell)[1])
    for gate in weight.detach().chunk(len(weight) // H):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H))


def test_the_forget_gate_begins_open_and_no_other() -> None:
    expected = np.repeat([0.0, 1.0, 0.0, 0.0], H)
    _, _, b, b2 = fused_parameters(make_cell("lstm", X, H))
    np.testing.assert_array_equal(b + b2, expected)
    cell = make_cell("peephole", X, H)
    assert isinstance(cell, PeepholeCell)
    np.testing.assert_array_equal(cell.bias.detach().numpy(), expected)
