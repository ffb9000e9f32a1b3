"""The model: tokens and what follows from them in, logits for the next token out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musiclstm.errors import UserError
from musiclstm.model.attention import AttentionStack
from musiclstm.model.cells import CELLS
from musiclstm.model.intervals import Intervals, add_by_pitch
from musiclstm.model.stack import Stack, State, check_choice, check_size

ATTENTION = "attention"


class MusicLSTM(nn.Module):
    """Embeddings, a `Stack` of recurrent layers or an `AttentionStack`, and the logits of the next token.

    vocab_size: tokens, V.
    context_sizes: for each of the F context features, how many values it takes. Each has an embedding that is added
        to the token's.
    tie_output: the logits come from the token embedding itself, through a projection to its size.
    cell, skip, dropout, learned_state, layer_norm: see `Stack`.
    gated_output: what the stack gives, h, is multiplied by 1 + tanh(W h + b) before the logits are made of it, so that
        a unit can be left out, or count twice, by what the others say. It begins with a factor of 1.
    pitches, pitch_tokens, references: how many pitches there are, the first token of each type that names them,
        and which context features name them, see `Intervals`: with references the model goes by intervals, too.
    cell="attention": a Transformer to compare with, of `heads` and `memory`, see `AttentionStack`. It has skips of its
        own, for which skip="residual" has to be given, and norms of its own; its memory begins with nothing.

    The buffer `token_counts` (V,) says how often training saw each token: whoever trains adds to it, and a random
    prompt is drawn from it.

    Bad arguments raise UserError.
    """

    token_counts: Tensor

    def __init__(
        self,
        vocab_size: int,
        context_sizes: Sequence[int] = (),
        *,
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 2,
        cell: str = "lstm",
        skip: str = "graves",
        dropout: float = 0.0,
        tie_output: bool = False,
        learned_state: bool = False,
        layer_norm: bool = False,
        gated_output: bool = False,
        heads: int = 4,
        memory: int = 1024,
        pitches: int = 128,
        pitch_tokens: Sequence[int] = (),
        references: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        check_choice("cell", cell, (*CELLS, ATTENTION))
        check_size("vocab_size", vocab_size)
        check_size("embedding_size", embedding_size)
        for size in context_sizes:
            check_size("context_sizes", size)
        self.arguments: dict[str, Any] = {
            "vocab_size": vocab_size,
            "context_sizes": list(context_sizes),
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "cell": cell,
            "skip": skip,
            "dropout": dropout,
            "tie_output": tie_output,
            "learned_state": learned_state,
            "layer_norm": layer_norm,
        }
        # Those of other models stay as they were before there was a gate, and attention.
        if gated_output:
            self.arguments["gated_output"] = True
        if cell == ATTENTION:
            self.arguments |= {"heads": heads, "memory": memory}
        if references:
            self.arguments |= {
                "pitches": pitches,
                "pitch_tokens": list(pitch_tokens),
                "references": [list(pair) for pair in references],
            }
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.context_embeddings = nn.ModuleList(nn.Embedding(size, embedding_size) for size in context_sizes)
        self.stack: Stack | AttentionStack
        if cell == ATTENTION:
            _check_attention(skip, learned_state, layer_norm)
            self.stack = AttentionStack(embedding_size, hidden_size, num_layers, heads, memory, dropout)
        else:
            self.stack = Stack(embedding_size, hidden_size, num_layers, cell, skip, dropout, learned_state, layer_norm)
        width = self.stack.output_size
        self.gate = nn.Linear(width, width) if gated_output else None
        # A tied model holds no second name for the embedding: nothing that copies, averages or saves weights has to
        # know that they are tied.
        self.head = nn.Linear(width, embedding_size if tie_output else vocab_size, bias=not tie_output)
        self.tied_bias = nn.Parameter(torch.zeros(vocab_size)) if tie_output else None
        self.intervals: Intervals | None = None
        if references:
            _check_references(vocab_size, pitches, pitch_tokens, references, len(context_sizes))
            self.intervals = Intervals(embedding_size, width, len(pitch_tokens), pitches, references)
        self.register_buffer("token_counts", torch.zeros(vocab_size, dtype=torch.int64))
        self._initialize()

    def forward(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        state: State | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """A window of tokens (B, T) -> logits (B, T, V) of what follows each, and the state after the window.

        tokens, context (B, T, F): int32 or int64.
        state: what an earlier window gave; None is the initial state.
        reset: bool (B, S): rows that begin a new piece before a segment of T/S tokens, see `Stack.forward`.
        """
        x, starts = self._embed(tokens, context)  # (B, T, E)
        h, state = self.stack(x, state, reset)  # (B, T, L*H or H)
        return self._logits(h, starts), state  # (B, T, V)

    def step(self, tokens: Tensor, context: Tensor | None, state: State) -> tuple[Tensor, State]:
        """One token for each row (B,), its context (B, F) -> logits (B, V) and the next state."""
        x, starts = self._embed(tokens, context)  # (B, E)
        h, state = self.stack.step(x, state)  # (B, L*H or H)
        return self._logits(h, starts), state  # (B, V)

    def initial_state(self, batch: int) -> State:
        """The state before the first token, for `batch` rows."""
        return self.stack.initial_state(batch)

    @torch.no_grad()
    def scale_logits(self, factor: float) -> None:
        """Changes the weights such that all logits are `factor` times what they were."""
        scaled = [self.head.weight, self.head.bias, self.tied_bias]
        if self.intervals is not None:
            scaled.append(self.intervals.head.weight)
        for part in scaled:
            if part is not None:
                part.mul_(factor)

    @property
    def num_parameters(self) -> int:
        """How many numbers training adjusts."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _embed(self, tokens: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the stack sees (..., E), and `Intervals.starts`, where the model goes by intervals."""
        given, expected = 0 if context is None else context.shape[-1], len(self.context_embeddings)
        if given != expected:
            raise ValueError(f"the model was built for {expected} context features and received {given}")
        x: Tensor = self.embedding(tokens)  # (..., E)
        for feature, table in enumerate(self.context_embeddings):
            assert context is not None
            x = x + table(context[..., feature])
        if self.intervals is None:
            return x, None
        assert context is not None
        starts = self.intervals.starts(context)
        return self.intervals.embed(x, starts), starts

    def _logits(self, h: Tensor, starts: Tensor | None) -> Tensor:
        if self.gate is not None:
            h = h * (1 + torch.tanh(self.gate(h)))
        logits: Tensor = self.head(h)  # (..., V), or (..., E) where tied
        if self.tied_bias is not None:
            logits = F.linear(logits, self.embedding.weight, self.tied_bias)
        if self.intervals is not None:
            assert starts is not None
            logits = add_by_pitch(logits, self.intervals(h, starts), self.arguments["pitch_tokens"])
        return logits

    def _initialize(self) -> None:
        # What is embedded has variance 1; logits begin near zero, so that the loss begins at log V, tied or not. The
        # context begins with no say: a value that training never meets (the 60th bar, where all pieces are shorter)
        # then means nothing, and not something drawn at random.
        nn.init.normal_(self.embedding.weight)
        for weight in self.context_embeddings.parameters():
            nn.init.zeros_(weight)
        nn.init.normal_(self.head.weight, std=1 / math.sqrt(self.head.in_features * self.embedding.embedding_dim))
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)


def _check_references(
    vocab_size: int, pitches: int, pitch_tokens: Sequence[int], references: Sequence[tuple[int, int]], features: int
) -> None:
    ends = [*pitch_tokens[1:], vocab_size]
    fits = [0 <= first <= end - pitches for first, end in zip(pitch_tokens, ends, strict=False)]
    if pitches < 1 or not fits or not all(fits):
        raise UserError(
            f"pitch_tokens={list(pitch_tokens)} with pitches={pitches} do not fit among {vocab_size} tokens: give the "
            "first of each type of them, ascending"
        )
    for feature, zero in references:
        if not 0 <= feature < features or zero < 0:
            raise UserError(f"references has ({feature}, {zero}): give one of {features} context features, from 0")


def _check_attention(skip: str, learned_state: bool, layer_norm: bool) -> None:
    if skip != "residual" or learned_state is not False or layer_norm is not False:
        raise UserError(
            f"cell=attention is not possible with skip={skip} learned_state={learned_state} layer_norm={layer_norm}: "
            "its layers are residual, have norms of their own, and its memory begins empty: give skip=residual "
            "learned_state=false layer_norm=false, as model=transformer has them"
        )
