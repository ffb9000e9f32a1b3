"""One recurrent layer of each kind, behind one interface: a whole window at once, or one step at a time.

The state of a layer is a tuple of tensors (B, H): `(h,)`, or `(h, c)` where the cell has a memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CellState = tuple[Tensor, ...]

# kind: torch's layer for a window, its kernel for one step, gates, tensors in the state
_FUSED: dict[str, tuple[Callable[..., nn.RNNBase], Callable[..., Tensor | tuple[Tensor, Tensor]], int, int]] = {
    "lstm": (nn.LSTM, torch.lstm_cell, 4, 2),
    "gru": (nn.GRU, torch.gru_cell, 3, 1),
    "rnn": (nn.RNN, torch.rnn_tanh_cell, 1, 1),
}
CELLS = ("lstm", "peephole", "gru", "rnn")


class Cell(nn.Module):
    """A recurrent layer: `input_size` features in, `hidden_size` out, a state of `num_states` tensors."""

    def __init__(self, input_size: int, hidden_size: int, num_states: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_states = num_states

    def forward(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """x (B, T, I) and the state before it -> outputs (B, T, H) and the state after it."""
        raise NotImplementedError

    def step(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """x (B, I) and the state before it -> output (B, H) and the state after it."""
        raise NotImplementedError


class FusedCell(Cell):
    """The cells that torch has kernels for. Windows and steps share one set of parameters.

    lstm  i = s(W_xi x + W_hi h + b_i)     f = s(W_xf x + W_hf h + b_f)     o = s(W_xo x + W_ho h + b_o)
          c' = f c + i tanh(W_xc x + W_hc h + b_c)     h' = o tanh(c')
    gru   as torch.nn.GRU documents it
    rnn   h' = tanh(W x + U h + b)
    """

    def __init__(self, kind: str, input_size: int, hidden_size: int) -> None:
        make_layer, _, num_gates, num_states = _FUSED[kind]
        super().__init__(input_size, hidden_size, num_states)
        self.kind = kind
        self.layer = make_layer(input_size, hidden_size, batch_first=True)
        weight_ih, weight_hh, bias_ih, bias_hh = self.layer.all_weights[0]
        _initialize(weight_ih, weight_hh, num_gates)
        nn.init.zeros_(bias_ih)
        nn.init.zeros_(bias_hh)
        if kind == "lstm":
            _open_forget_gate(bias_ih)  # torch adds its two biases, so only one of them

    def forward(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        hx = tuple(part.unsqueeze(0).contiguous() for part in state)  # (1, B, H)
        outputs, last = self.layer(x, hx if self.num_states == 2 else hx[0])
        return outputs, tuple(part.squeeze(0) for part in (last if self.num_states == 2 else (last,)))

    def step(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        # Not the layer with T = 1: on the CPU that re-orders its weights at every call, four times the work.
        kernel = _FUSED[self.kind][1]
        new = kernel(x, state if self.num_states == 2 else state[0], *self.layer.all_weights[0])
        new_state = new if isinstance(new, tuple) else (new,)
        return new_state[0], new_state


class PeepholeCell(Cell):
    """The LSTM whose gates see the memory cell (Graves 2013); w_c* are diagonal, so vectors.

    i = s(W_xi x + W_hi h + w_ci c + b_i)     f = s(W_xf x + W_hf h + w_cf c + b_f)
    c' = f c + i tanh(W_xc x + W_hc h + b_c)
    o = s(W_xo x + W_ho h + w_co c' + b_o)     h' = o tanh(c')
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, num_states=2)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))  # rows: i, f, c, o, as torch's
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        # From zero the cell begins as a plain LSTM and learns how far the gates should look at the memory.
        self.weight_ci = nn.Parameter(torch.zeros(hidden_size))
        self.weight_cf = nn.Parameter(torch.zeros(hidden_size))
        self.weight_co = nn.Parameter(torch.zeros(hidden_size))
        _initialize(self.weight_ih, self.weight_hh, num_gates=4)
        _open_forget_gate(self.bias)

    def forward(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        # What x adds to the gates waits for nobody: one product for the whole window, out of the loop.
        from_input = F.linear(x.transpose(0, 1), self.weight_ih, self.bias)  # (T, B, 4H)
        recurrent = self.weight_hh.t()
        h, c = state
        outputs = []
        for gates in from_input.unbind(0):
            h, c = self._advance(gates, recurrent, h, c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, c)

    def step(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        h, c = self._advance(F.linear(x, self.weight_ih, self.bias), self.weight_hh.t(), *state)
        return h, (h, c)

    def _advance(self, from_input: Tensor, recurrent: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        gates = torch.addmm(from_input, h, recurrent)  # (B, 4H)
        i, f, g, o = gates.chunk(4, dim=1)  # (B, H) each
        i = torch.sigmoid(torch.addcmul(i, self.weight_ci, c))
        f = torch.sigmoid(torch.addcmul(f, self.weight_cf, c))
        c = torch.addcmul(f * c, i, torch.tanh(g))
        o = torch.sigmoid(torch.addcmul(o, self.weight_co, c))
        return o * torch.tanh(c), c


def make_cell(kind: str, input_size: int, hidden_size: int) -> Cell:
    """A layer of the kind named in `CELLS`."""
    return PeepholeCell(input_size, hidden_size) if kind == "peephole" else FusedCell(kind, input_size, hidden_size)


def _initialize(weight_ih: Tensor, weight_hh: Tensor, num_gates: int) -> None:
    """Xavier for what comes in, orthogonal for what comes back, each gate for itself.

    An orthogonal matrix changes no vector's length, so at the start neither the state nor its gradient explodes or
    dies by being multiplied with it at every step; Xavier keeps the variance of what passes through. Both hold for
    a gate's own block of rows, not for the stacked matrix, whose shape would scale them wrongly.
    """
    for block in weight_ih.chunk(num_gates):
        nn.init.xavier_uniform_(block)
    for block in weight_hh.chunk(num_gates):
        nn.init.orthogonal_(block)


def _open_forget_gate(bias: Tensor) -> None:
    """Bias 1 for f (the second of i, f, c, o): the memory is kept until the cell learns to forget."""
    with torch.no_grad():
        bias.chunk(4)[1].fill_(1.0)
