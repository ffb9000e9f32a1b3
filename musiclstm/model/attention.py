"""Layers of attention on top of each other: the causal Transformer that recurrent layers are compared with.

It stands where a `Stack` of cells would, between the same embeddings and the same head, and carries a state as they do.
The state is what each layer remembers of the last positions, and it grows with them:

    ((seen,), (keys, values), ..., (keys, values))    a pair for each layer, bottom first

seen: how many positions of its piece each row has had: int64, (B,).
keys, values: (B, N, H), the latest last. N is the same for all rows and at most `memory`; of a row that has seen fewer
    the first N - seen are another piece's, or nothing, and never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musiclstm.errors import UserError
from musiclstm.model.cells import CellState
from musiclstm.model.stack import State, check_dropout, check_size, segment_length

LONGEST_WAVE = 10_000  # 2 pi times as many positions is the longest period of a rotation


class AttentionStack(nn.Module):
    """`num_layers` blocks of causal self-attention and a feed-forward layer, a last norm, and a memory.

    A position sees itself and the `memory` positions before it, in its own piece only. What one says to another depends
    on both and on how far apart they are, not on where they stand: queries and keys are rotated by angles that grow
    with the position, so that of their products only the difference is left (Su et al. 2021, RoFormer). Keys and values
    are kept from window to window without a gradient (Dai et al. 2019, Transformer-XL), and as they were computed, so
    that a step costs no more than reading them. However long a piece, windows and steps give what the whole sequence
    gives.

    hidden_size: H, the features of every layer; `heads` must divide it into even parts. A feed-forward layer has 4 H.
    dropout: the share of features left out of the input and of what each half of a block adds, in training mode.

    Bad arguments raise UserError.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, heads: int, memory: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers, "heads": heads}
        for name, size in {**sizes, "memory": memory}.items():
            check_size(name, size)
        if hidden_size % (2 * heads):
            raise UserError(
                f"hidden_size={hidden_size} does not divide into {heads} heads of even size: "
                f"give a multiple of {2 * heads}, or other heads"
            )
        check_dropout(dropout)
        self.heads, self.memory, self.dropout = heads, memory, dropout
        self.output_size = hidden_size
        self.project = nn.Linear(input_size, hidden_size)
        self.blocks = nn.ModuleList(Block(hidden_size, heads, memory) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size)
        self._initialize()

    def forward(self, x: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """A window x (B, T, I) and the state before it -> outputs (B, T, H) and the state after it.

        state, reset: as `Stack.forward` takes them: None is the initial state, and rows begin a piece where `reset`,
            bool (B, S), says so.
        """
        return self._run(x, state, reset, self.dropout if self.training else 0.0)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x (B, I) and the state before it -> output (B, H) and the state after it; never any dropout."""
        h, state = self._run(x[:, None], state, None, dropout=0.0)
        return h[:, 0], state

    def initial_state(self, batch: int) -> State:
        """The state in which a piece begins, for `batch` rows: an empty memory."""
        weight = self.project.weight
        seen = torch.zeros(batch, dtype=torch.int64, device=weight.device)
        empty = weight.new_zeros(batch, 0, self.output_size)
        return ((seen,), *((empty, empty) for _ in self.blocks))

    def _run(self, x: Tensor, state: State | None, reset: Tensor | None, dropout: float) -> tuple[Tensor, State]:
        (seen,), *memories = self.initial_state(len(x)) if state is None else state
        length, kept = x.shape[1], memories[0][0].shape[1]
        begins = _begins(length, seen, reset)  # (B, T)
        place = torch.arange(-kept, length, device=x.device)  # (N+T,), of each key, counted from the window's first
        query = place[kept:, None]  # (T, 1)
        near = (place <= query) & (place >= query - self.memory)  # (T, N+T)
        visible = near & (place >= begins[..., None])  # (B, T, N+T)
        rotation = _rotation(place[kept:] - begins, self.output_size // self.heads)
        h = F.dropout(self.project(x), dropout)  # (B, T, H)
        after: list[CellState] = []
        for block, memory in zip(cast("Sequence[Block]", self.blocks), memories, strict=True):
            h, memory = block(h, memory, visible[:, None], rotation, dropout)
            after.append(memory)
        return self.norm(h), ((length - begins[:, -1],), *after)

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            # So that the sum of all that blocks add does not grow with their number (Radford et al. 2019).
            for block in cast("Sequence[Block]", self.blocks):
                for last in (block.output, block.contract):
                    last.weight.mul_(1 / math.sqrt(2 * len(self.blocks)))


class Block(nn.Module):
    """h + attention(norm(h)), and to that again + feed_forward(norm(h)): norms before (Radford et al. 2019), GELU."""

    def __init__(self, size: int, heads: int, memory: int) -> None:
        super().__init__()
        self.heads, self.memory = heads, memory
        self.attention_norm = nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.expand = nn.Linear(size, 4 * size)
        self.contract = nn.Linear(4 * size, size)

    def forward(
        self, h: Tensor, memory: CellState, visible: Tensor, rotation: tuple[Tensor, Tensor], dropout: float
    ) -> tuple[Tensor, CellState]:
        """h (B, T, H) and the keys and values (B, N, H) before it -> outputs (B, T, H), keys and values after it.

        visible: bool (B, 1, T, N+T), which keys each position sees. rotation: of `_rotation`, for the T positions.
        """
        q, k, v = self.query_key_value(self.attention_norm(h)).chunk(3, dim=-1)  # (B, T, H) each
        q, k = (_rotate(part.unflatten(-1, (self.heads, -1)), *rotation).flatten(-2) for part in (q, k))
        keys, values = (torch.cat((old.to(new.dtype), new), 1) for old, new in zip(memory, (k, v), strict=True))
        # (B, heads, T or N+T, H/heads) each
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, keys, values))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        attended = attended.transpose(1, 2).flatten(-2)  # (B, T, H)
        h = h + F.dropout(self.output(attended), dropout)
        h = h + F.dropout(self.contract(F.gelu(self.expand(self.feed_forward_norm(h)))), dropout)
        return h, (keys[:, -self.memory :], values[:, -self.memory :])


def _begins(length: int, seen: Tensor, reset: Tensor | None) -> Tensor:
    """Where the piece of each of `length` positions began, counted from the first of the window: int64 (B, T).

    Negative where it began before the window.
    """
    before = -seen[:, None]  # (B, 1)
    if reset is None:
        return before.expand(-1, length)
    size = segment_length(length, reset)
    starts = torch.arange(0, length, size, device=seen.device)  # (S,)
    latest = torch.where(reset.to(seen.device), starts, before).cummax(dim=1).values  # (B, S)
    return latest.repeat_interleave(size, dim=1)


def _rotation(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles of a head of `size` features at positions (B, T): (B, T, 1, size/2) each."""
    exponents = torch.arange(0, size, 2, device=positions.device) / size
    angles = positions[..., None, None] * LONGEST_WAVE**-exponents
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns each pair of features of x (B, T, heads, size), one of the first half and one of the second."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, a * sine + b * cosine), dim=-1).to(x.dtype)
