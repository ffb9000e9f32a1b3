"""Steps on the CPU with weights laid out for them, traced: Python is in the way of one call, not of fifty.

On a single row each of those calls works on some thousand numbers, and what Python adds is as much as all products.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.dlpack import to_dlpack

from musiclstm.generation.engines.base import ModelEngine
from musiclstm.generation.engines.folding import Folded, fold
from musiclstm.generation.engines.inputs import Inputs
from musiclstm.generation.engines.int8_kernels import ALIGNED, kernels
from musiclstm.generation.engines.pointwise import advance
from musiclstm.generation.engines.products import FloatProduct, Int8BatchProduct, Int8Product, Product
from musiclstm.generation.engines.references import references_of
from musiclstm.generation.engines.workers import parts_of, workers
from musiclstm.model.cells import CellState
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State, select_state

Program = Callable[[Tensor, Tensor, State], tuple[Tensor, State]]
NO_PLACE = np.zeros((0, 0), np.int64)
MIN_BATCH = 24  # rows from which the kernel for many is the quicker
TRACING = threading.RLock()  # what torch is told for a trace holds for the whole process


class FoldedEngine(ModelEngine):
    """An engine whose products are of the kind `product`. Several threads may step at once."""

    product: type[Product]

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, model: MusicLSTM) -> None:
        super().__init__(model)
        self._references = references_of(model)
        self._step = FoldedStep(model, self.product)
        self._program = self._traced(self._step)

    def _traced(self, step: FoldedStep) -> Program:
        features = np.zeros((2, len(self.model.context_embeddings)), np.int64)
        example = (*self._given(np.zeros(2, np.int64), features), self.initial_state(2))
        return _trace(step, example)

    def _given(self, tokens: np.ndarray, features: np.ndarray) -> tuple[Tensor, Tensor]:
        """What a program takes, see `FoldedStep.forward`."""
        parts, place = [tokens[:, None], features], NO_PLACE
        if self._references is not None:
            between, place = self._references.look_up(features)
            parts.append(between)
        return torch.from_numpy(np.concatenate(parts, 1)), torch.from_numpy(place)

    def program(self, batch: int) -> Program:
        """What steps `batch` rows."""
        return self._program

    @torch.inference_mode()
    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        given = self._given(tokens, features)
        # torch waits for Python's lock where a program lets go of the last reference to a tensor but Python's own: up
        # to 5 ms, ten times a step, while another thread runs Python. So others refer to them until it has ended.
        held = [to_dlpack(tensor) for tensor in (*given, *chain.from_iterable(state))]
        logits, state = self.program(len(tokens))(*given, state)
        del held
        return logits.numpy(), state


class TorchEngine(FoldedEngine):
    """In float32: what the reference computes, but for rounding."""

    name = "torch"
    product = FloatProduct


class Int8Engine(FoldedEngine):
    """With weights and h in 8 bits. A row's result is the same bit for bit whatever is beside it, and how much.

    The scale of h needs no samples: no h is beyond the bound that its cell has by nature, and trained models go up
    to it, so that a tighter scale would only cut them off.
    """

    name = "int8"
    product = Int8Product
    rows = 256
    small_step = 4 * ModelEngine.small_step

    def __init__(self, model: MusicLSTM) -> None:
        super().__init__(model)
        aligned = all(model.arguments[name] % ALIGNED == 0 for name in ("hidden_size", "embedding_size"))
        self._many: Program | None = None if aligned and kernels()[1] else self._program

    def program(self, batch: int) -> Program:
        """The one for many rows is made when it is first asked for."""
        if batch < MIN_BATCH:
            return self._program
        if self._many is None:
            with TRACING:
                self._many = self._many or self._made_for_many()
        return self._many

    @torch.inference_mode(False)
    @torch.no_grad()
    def _made_for_many(self) -> Program:
        """The program with the kernel for many rows; the other where they do not agree bit for bit."""
        many = self._traced(FoldedStep(self.model, Int8BatchProduct, self._step))
        random = np.random.default_rng(0)
        sizes = np.array(self.model.arguments["context_sizes"], np.int64)
        tokens = random.integers(self.model.arguments["vocab_size"], size=MIN_BATCH)
        features = random.integers(sizes, size=(MIN_BATCH, len(sizes)))
        given, states = self._given(tokens, features), [self.initial_state(MIN_BATCH)] * 2
        for _ in range(3):
            found = [program(*given, state) for program, state in zip((self._program, many), states, strict=True)]
            if not torch.equal(found[0][0], found[1][0]):
                return self._program
            states = [state for _, state in found]
        return many

    def writers(self, batch: int) -> int:
        return 1 if self.size * batch < self.small_step else min(torch.get_num_threads(), batch)

    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        batch, parts = len(tokens), self.writers(len(tokens))
        if parts == 1:
            return super().step(tokens, features, state)
        advance = super().step
        stepped = workers(parts).map(
            lambda rows: advance(tokens[rows], features[rows], select_state(state, rows)), parts_of(batch, parts)
        )
        logits, states = zip(*stepped, strict=True)
        joined = tuple(tuple(map(torch.cat, zip(*layer, strict=True))) for layer in zip(*states, strict=True))
        return np.concatenate(logits), joined


class FoldedStep(nn.Module):
    """Tensors in, tensors out: what is traced. A model that is trained further changes nothing here.

    other: a step of the same model, of which the weights as they were then, and the tables, are shared.
    """

    def __init__(self, model: MusicLSTM, product: type[Product], other: FoldedStep | None = None) -> None:
        super().__init__()
        folded = fold(model) if other is None else other.folded
        self.folded: Folded = folded
        self.inputs: Inputs = Inputs(model, folded, product) if other is None else other.inputs
        self.intervals = model.intervals  # of which no weight is used
        self.pitch_tokens = model.arguments.get("pitch_tokens", ())
        layers = len(folded.layers)
        self.cell, self.skip, self.hidden_size = folded.cell, folded.skip, folded.hidden_size
        self.peepholes = [layer.peepholes for layer in folded.layers]
        self.norms = folded.norms
        # Where skips are residual, what a layer sees of those below is the sum of their h.
        summed = layers if self.skip == "residual" else 1
        self.below, self.products = nn.ModuleList(), nn.ModuleList()
        for layer, weights in enumerate(folded.layers):
            matrix, bias, bound = weights.matrix, weights.bias, folded.bound * min(max(layer, 1), summed)
            if layer and self.norms:
                # What went through a norm has no bound worth the name, h has: each has a product of its own.
                self.below.append(product(matrix[:, : self.hidden_size], bias, None))
                matrix, bias, bound = matrix[:, self.hidden_size :], None, folded.bound
            self.products.append(product(matrix, bias, bound))
        largest = None if self.norms else folded.bound * summed
        self.gate = None if folded.gate is None else product(*folded.gate, largest)
        if largest is not None and self.gate is not None:
            largest *= 2  # which the gate may make of it
        bounds = [largest, None]
        self.head = nn.ModuleList(
            product(matrix, bias, bound) for (matrix, bias), bound in zip(folded.head, bounds, strict=False)
        )
        self.by_interval = None if folded.intervals is None else product(folded.intervals, None, bounds[0])

    def forward(self, index: Tensor, place: Tensor, state: State) -> tuple[Tensor, State]:
        """Tokens and features, int64 (B, 1 + F), and the state -> logits (B, V) and the next state.

        Of a model that goes by intervals these stand behind the features, and `place` says where their logits go (see
        `References`).
        """
        rows = self.inputs(index)
        outputs: list[Tensor] = []
        after: list[CellState] = []
        for layer, product in enumerate(self.products):
            seen, added = state[layer][0], rows[layer] if layer < len(rows) else None
            if outputs and self.norms:
                added = self.below[layer - 1](outputs[-1], added)
            elif outputs:
                seen = torch.cat((outputs[-1], seen), 1)
            gates = product(seen, added)
            after.append(advance(self.cell, self.hidden_size, gates, state[layer], self.peepholes[layer]))
            h = self.norms[layer](after[-1][0]) if self.norms else after[-1][0]
            outputs.append(outputs[-1] + h if self.skip == "residual" and outputs else h)
        joined = torch.cat(outputs, 1) if self.skip == "graves" else outputs[-1]
        if self.gate is not None:
            joined = joined * torch.tanh(self.gate(joined)).add_(1)
        logits = joined
        for product in self.head:
            logits = product(logits)
        if self.intervals is not None and self.by_interval is not None:
            added = self.intervals.placed(self.by_interval(joined), place)
            for first, more in zip(self.pitch_tokens, added.unbind(1), strict=True):
                logits.narrow(1, first, self.intervals.pitches).add_(more)
        return logits, tuple(after)


def _trace(step: FoldedStep, example: tuple[Tensor, Tensor, State]) -> Program:
    """The step as a program for torch's own interpreter; as it is, where torch has none any longer."""
    if not hasattr(torch.jit, "trace"):
        return step
    with TRACING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # that constants are constants
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)  # torch would rather compile, for minutes
        traced = torch.jit.freeze(torch.jit.trace(step.eval(), example, check_trace=False))
        # Else it looks before each run whether shapes are those seen before, to fuse what on a CPU it does not fuse: a
        # tenth of the time. How a program is run is settled when it first is.
        before = torch.jit.set_fusion_strategy([("STATIC", 0), ("DYNAMIC", 0)])
        try:
            traced.forward(*example)
        finally:
            torch.jit.set_fusion_strategy(before)
    return traced.forward  # to call the module itself takes longer
