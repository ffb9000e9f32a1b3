"""Recurrent layers on top of each other, with skip connections, dropout, and a state that is carried and reset.

The state of a stack is a tuple that holds one `CellState` per layer, bottom first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musiclstm.errors import UserError
from musiclstm.model.cells import CELLS, Cell, CellState, make_cell

State = tuple[CellState, ...]
SKIPS = ("graves", "residual", "none")


class Stack(nn.Module):
    """`num_layers` cells of one kind.

    skip="graves"    layer l sees [x; h_{l-1}] and the output is [h_1; ...; h_L] (Graves 2013)
    skip="residual"  every layer but the first adds what it sees, h_{l-1}, to what it gives
    skip="none"      layer l sees h_{l-1} and the output is h_L

    dropout: the share of features left out of each layer's input and of the output, in training mode. A mask is
        drawn per row and window and holds for all its time steps (Gal & Ghahramani 2016), so that what a step
        misses no later step can make up for, and what is carried in the state is not disturbed.
    learned_state: learn what the state is where a piece begins, instead of zeros.
    layer_norm: what a layer gives is brought to a mean of 0 and a variance of 1 over its features (Ba et al. 2016),
        each then scaled and shifted as is learned. What the layer itself goes on from, its state, is as it was.

    Bad arguments raise UserError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        cell: str = "lstm",
        skip: str = "graves",
        dropout: float = 0.0,
        learned_state: bool = False,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        check_size("input_size", input_size)
        check_size("hidden_size", hidden_size)
        check_size("num_layers", num_layers)
        check_choice("cell", cell, CELLS)
        check_choice("skip", skip, SKIPS)
        check_dropout(dropout)
        self.skip = skip
        self.dropout = dropout
        self.output_size = hidden_size * (num_layers if skip == "graves" else 1)
        above = hidden_size + (input_size if skip == "graves" else 0)
        self.cells = nn.ModuleList(
            make_cell(cell, input_size if layer == 0 else above, hidden_size) for layer in range(num_layers)
        )
        self.learned = nn.ParameterList(
            nn.Parameter(torch.zeros(layer.num_states, hidden_size)) for layer in self._layers() if learned_state
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in self.cells if layer_norm)

    def forward(self, x: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """A window x (B, T, I) and the state before it -> outputs (B, T, output_size) and the state after it.

        state: None is the initial state.
        reset: bool (B, S), S a divisor of T: where reset[b, s] is true, row b is back in the initial state before
            the s-th of the S segments of T/S steps. On the CPU it costs a GPU no synchronisation.
        """
        initial = self.initial_state(x.shape[0])
        pieces = _split(x.shape[1], reset)
        if reset is not None:
            reset = reset.to(x.device)
        outputs: list[Tensor] = []
        new_state = []
        for layer, cell in enumerate(self._layers()):
            below = self._input_of(layer, x, outputs)  # (B, T, I or H or I+H)
            before = initial[layer] if state is None else state[layer]
            h, after = _run(cell, self._drop(below), before, initial[layer], pieces, reset)
            outputs.append(self._output_of(layer, below, h))  # (B, T, H)
            new_state.append(after)
        return self._drop(self._join(outputs)), tuple(new_state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x (B, I) and the state before it -> output (B, output_size) and the state after it; never any dropout."""
        outputs: list[Tensor] = []
        new_state = []
        for layer, cell in enumerate(self._layers()):
            below = self._input_of(layer, x, outputs)
            h, after = cell.step(below, state[layer])
            outputs.append(self._output_of(layer, below, h))
            new_state.append(after)
        return self._join(outputs), tuple(new_state)

    def zero_state(
        self, batch: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Zeros for `batch` rows; on the device and of the dtype of the weights unless told otherwise."""
        weight = next(self.parameters())
        device, dtype = device or weight.device, dtype or weight.dtype
        return tuple(
            tuple(torch.zeros(batch, cell.hidden_size, device=device, dtype=dtype) for _ in range(cell.num_states))
            for cell in self._layers()
        )

    def initial_state(self, batch: int) -> State:
        """The state in which a piece begins, for `batch` rows: zeros, or what was learned."""
        if not self.learned:
            return self.zero_state(batch)
        return tuple(tuple(part.expand(batch, -1) for part in learned) for learned in self.learned)

    def _layers(self) -> Sequence[Cell]:
        return cast("Sequence[Cell]", self.cells)

    def _input_of(self, layer: int, x: Tensor, outputs: list[Tensor]) -> Tensor:
        if layer == 0:
            return x
        return torch.cat((x, outputs[-1]), dim=-1) if self.skip == "graves" else outputs[-1]

    def _output_of(self, layer: int, below: Tensor, h: Tensor) -> Tensor:
        if self.norms:
            h = self.norms[layer](h)
        return below + h if self.skip == "residual" and layer > 0 else h

    def _join(self, outputs: list[Tensor]) -> Tensor:
        return torch.cat(outputs, dim=-1) if self.skip == "graves" else outputs[-1]

    def _drop(self, x: Tensor) -> Tensor:
        if not self.training or self.dropout == 0:
            return x
        mask = F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.dropout)  # (B, 1, features)
        return x * mask


def detach_state(state: State) -> State:
    """The same state, cut off from the graph that made it: what a window carries over to the next."""
    return tuple(tuple(part.detach() for part in cell_state) for cell_state in state)


def select_state(state: State, index: Tensor | slice | Sequence[int]) -> State:
    """The rows of the batch that `index` names, in its order; naming a row twice branches it."""
    if isinstance(index, slice):
        return tuple(tuple(part[index] for part in cell_state) for cell_state in state)
    # `part[rows]` would wake torch's threads for some thousand numbers, and wait for them while others have the cores
    rows = torch.as_tensor(index, dtype=torch.int64, device=state[0][0].device)
    return tuple(tuple(part.index_select(0, rows) for part in cell_state) for cell_state in state)


def put_state(state: State, rows: Sequence[int], part: State) -> State:
    """`state` with the rows of `part` in place of `rows`; neither is changed.

    Of two memories (see `AttentionStack`) the one that is shorter begins with nothing.
    """

    index = torch.as_tensor(rows, dtype=torch.int64, device=state[0][0].device)

    def replaced(old: Tensor, new: Tensor) -> Tensor:
        if old.ndim == 3 and (longer := new.shape[1] - old.shape[1]):
            old, new = (F.pad(part, (0, 0, max(by, 0), 0)) for part, by in ((old, longer), (new, -longer)))
        return old.index_copy(0, index, new)

    return tuple(tuple(map(replaced, old, new)) for old, new in zip(state, part, strict=True))


def check_size(name: str, value: int) -> None:
    """Raise UserError unless the argument `name` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name}={value!r} is not possible: give a whole number of at least 1")


def check_dropout(value: float) -> None:
    """Raise UserError unless `dropout` is a share that leaves something."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise UserError(f"dropout={value!r} is not possible: give a number from 0 up to, but not, 1")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise UserError unless the argument `name` is one of `choices`."""
    if value not in choices:
        raise UserError(f"{name}={value!r} is unknown: choose one of {', '.join(choices)}")


def segment_length(length: int, reset: Tensor) -> int:
    """How many of the `length` steps of a window each of the S segments of `reset` (B, S) has."""
    segments = reset.shape[1]
    if segments == 0 or length % segments:
        raise ValueError(f"a window of {length} steps does not divide into {segments} segments for `reset`")
    return length // segments


def _split(length: int, reset: Tensor | None) -> list[tuple[int, int, int]]:
    """The pieces (segment, start, stop) of a window that run without a reset between their steps.

    The first piece begins with segment 0 whether or not a row is reset there.
    """
    if reset is None:
        return [(0, 0, length)]
    size = segment_length(length, reset)
    first = [0, *(s for s, any_row in enumerate(reset.any(dim=0).tolist()) if any_row and s > 0)]
    starts = [s * size for s in first]
    return list(zip(first, starts, [*starts[1:], length], strict=True))


def _run(
    cell: Cell,
    x: Tensor,
    state: CellState,
    initial: CellState,
    pieces: list[tuple[int, int, int]],
    reset: Tensor | None,
) -> tuple[Tensor, CellState]:
    """One layer over a window x (B, T, I), piece by piece, the rows that begin anew put back before each."""
    outputs = []
    for segment, start, stop in pieces:
        if reset is not None:
            # Also where no row of the first segment is reset: so a learned state has a gradient in every window,
            # which training in several processes relies on.
            anew = reset[:, segment, None]  # (B, 1)
            state = tuple(torch.where(anew, new, old) for new, old in zip(initial, state, strict=True))
        h, state = cell(x[:, start:stop], state)
        outputs.append(h)
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), state
