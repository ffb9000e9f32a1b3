"""What cells do to the sums in their gates, element by element; the gates are in the order of `folding`.

The calls are such that a row comes out the same bit for bit whatever is beside it: a sigmoid on a slice of columns,
whose rows torch goes through one by one, and no call that torch's kernels may round in two ways.
"""

from __future__ import annotations

import torch
from torch import Tensor

from musiclstm.model.cells import CellState


def advance(kind: str, size: int, gates: Tensor, state: CellState, peepholes: Tensor | None) -> CellState:
    """The next state of a cell, (h,) or (h, c), from `gates` (B, G), which are used up, and the last.

    size: H. peepholes: (3, H), of i, f and o, or None.
    """
    if kind == "rnn":
        return (torch.tanh(gates),)
    if kind == "gru":
        return _gru(gates, state[0], size)
    return _lstm(gates, state[1], size) if peepholes is None else _peephole(gates, state[1], peepholes)


def _lstm(gates: Tensor, c: Tensor, size: int) -> CellState:
    i, f, o = torch.sigmoid_(gates.narrow(1, 0, 3 * size)).chunk(3, 1)
    g = torch.tanh_(gates.narrow(1, 3 * size, size))
    c = (f * c).add_(i * g)
    return o * torch.tanh(c), c


def _peephole(gates: Tensor, c: Tensor, peepholes: Tensor) -> CellState:
    i, f, o, g = gates.chunk(4, 1)
    i = torch.sigmoid_(i.add_(peepholes[0] * c))
    f = torch.sigmoid_(f.add_(peepholes[1] * c))
    c = (f * c).add_(i * torch.tanh_(g))
    o = torch.sigmoid_(o.add_(peepholes[2] * c))
    return o * torch.tanh(c), c


def _gru(gates: Tensor, h: Tensor, size: int) -> CellState:
    r, z = torch.sigmoid_(gates.narrow(1, 0, 2 * size)).chunk(2, 1)
    from_h, n = gates.narrow(1, 2 * size, 2 * size).chunk(2, 1)
    n = torch.tanh_(n.add_(r * from_h))
    return ((h - n).mul_(z).add_(n),)
