"""A model's weights laid out for steps: matrices that take the states, and tables of what the tokens add to them.

A layer's gates are a sum of two parts. What the input x adds depends on the token and on its context features, each
of which has one of a few values: for every value the product with the weights is made once, here, and kept as a row
of a table. What the layer's own state and the layer below add is one product with one matrix, whose columns are those
of [below; h].

The rows are in an order in which those that go through a sigmoid stand together:

    lstm, peephole  i, f, o, c
    gru             r, z, what h adds to n, what x and below add to n
    rnn             as they are
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from musiclstm.model.cells import Cell, FusedCell, PeepholeCell
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import Stack


@dataclass(frozen=True)
class FoldedLayer:
    """matrix (G, H) in the first layer, (G, 2H) in those above, for [below; h]. peepholes: (3, H), of i, f and o.

    bias: (G,), or None where it is in the tables.
    """

    matrix: Tensor
    bias: Tensor | None
    peepholes: Tensor | None


@dataclass(frozen=True)
class Folded:
    """A model for steps; everything float32 on the CPU.

    cell, skip, hidden_size: as the model has them.
    projection: (P, E), what an embedding adds to the gates of the layers that see x, one below the other.
    bias: (P,), added along with it.
    gate: the matrix and bias by which a gated output is multiplied, see `MusicLSTM`; None where it is not gated.
    head: pairs of a matrix and a bias or None, one applied after the other.
    intervals: the matrix of the head of `Intervals`, where the model goes by them.
    norms: what each layer's h goes through before others see it, one each or none.
    bound: no value of h is ever further from zero.
    """

    cell: str
    skip: str
    hidden_size: int
    layers: list[FoldedLayer]
    projection: Tensor
    bias: Tensor
    gate: tuple[Tensor, Tensor] | None
    head: list[tuple[Tensor, Tensor | None]]
    intervals: Tensor | None
    norms: nn.ModuleList
    bound: float


@torch.no_grad()
def fold(model: MusicLSTM) -> Folded:
    """The weights of a model on the CPU, re-ordered. Copies: a model that is trained further changes nothing here."""
    stack = model.stack
    assert isinstance(stack, Stack)  # of attention nothing can be folded
    kind, skip = model.arguments["cell"], stack.skip
    embedding = model.embedding.embedding_dim
    layers, projections, biases = [], [], []
    for number, cell in enumerate(stack.cells):
        assert isinstance(cell, Cell)
        weight_x, weight_h, bias_x, bias_h, peepholes = _weights(cell)
        seen = embedding if number == 0 or skip == "graves" else 0  # columns of x
        x, below, h = weight_x[:, :seen], weight_x[:, seen:], weight_h
        if kind == "gru":
            x, below, h, bias = _split_candidate(x, below, h, bias_x, bias_h)
        else:
            x, below, h, bias = (_reorder(part, kind) for part in (x, below, h, bias_x + bias_h))
        layers.append(FoldedLayer(torch.cat((below, h), 1), None if seen else bias, peepholes))
        if seen:
            projections.append(x)
            biases.append(bias)
    return Folded(
        kind,
        skip,
        stack.cells[0].hidden_size,  # type: ignore[arg-type]
        layers,
        torch.cat(projections),
        torch.cat(biases),
        None if model.gate is None else (model.gate.weight.detach().clone(), model.gate.bias.detach().clone()),
        _head(model),
        None if model.intervals is None else model.intervals.head.weight.detach().clone(),
        deepcopy(stack.norms),
        # A new h is below 1, or (gru) between one below 1 and the old: only a learned beginning can be beyond.
        max([1.0, *(float(learned[0].abs().max()) for learned in stack.learned)]),
    )


def _weights(cell: Cell) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Of a cell: its weights for the input and for h, the biases of both, and peepholes (3, H)."""
    if isinstance(cell, PeepholeCell):
        peepholes = torch.stack((cell.weight_ci, cell.weight_cf, cell.weight_co))
        return cell.weight_ih, cell.weight_hh, cell.bias, torch.zeros_like(cell.bias), peepholes
    assert isinstance(cell, FusedCell)
    weight_x, weight_h, bias_x, bias_h = cell.layer.all_weights[0]
    return weight_x, weight_h, bias_x, bias_h, None


def _reorder(rows: Tensor, kind: str) -> Tensor:
    """torch's order of the gates, i f c o, to i f o c."""
    if kind == "rnn":
        return rows
    i, f, c, o = rows.chunk(4)
    return torch.cat((i, f, o, c))


def _split_candidate(
    x: Tensor, below: Tensor, h: Tensor, bias_x: Tensor, bias_h: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows r z n of a gru to r z n_h n_x: n = tanh(n_x + r * n_h), so the two must not be added before."""
    size = len(h) // 3
    gap_x, gap_h = torch.zeros(size, x.shape[1]), torch.zeros(size, h.shape[1])
    gap_below = torch.zeros(size, below.shape[1])
    gates, both = slice(0, 2 * size), slice(2 * size, None)
    return (
        torch.cat((x[gates], gap_x, x[both])),
        torch.cat((below[gates], gap_below, below[both])),
        torch.cat((h, gap_h)),
        torch.cat((bias_x[gates] + bias_h[gates], bias_h[both], bias_x[both])),
    )


def _head(model: MusicLSTM) -> list[tuple[Tensor, Tensor | None]]:
    """The head's products. The two of a tied head are made one where that is less to multiply."""
    weight = model.head.weight.detach().clone()
    if model.tied_bias is None:
        return [(weight, model.head.bias.detach().clone())]
    embedding, bias = model.embedding.weight.detach(), model.tied_bias.detach().clone()
    if len(embedding) * weight.shape[1] <= embedding.numel() + weight.numel():
        return [(embedding @ weight, bias)]
    return [(weight, None), (embedding.clone(), bias)]
