"""The model's own step on a CUDA device, captured as a graph: one launch for all that a step does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from musiclstm.generation.engines.base import ModelEngine
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import State

WRITERS, ROWS = 4, 1024  # at most so many threads write, each at least so many rows: with fewer, one was as quick
WARM_UP = 3  # steps before a capture, in which libraries choose their kernels and allocate what they keep


class GraphEngine(ModelEngine):
    """Replays graphs of `MusicLSTM.step`, one for each power of two that a batch is filled up to.

    Several threads may step at once: one after the other they have the GPU, while the others draw their tokens.
    """

    name = "cuda"
    rows = 4096
    in_turns = False

    def __init__(self, model: MusicLSTM) -> None:
        super().__init__(model)
        self._graphs: dict[int, StepGraph] = {}
        self._one_at_a_time = threading.Lock()

    def writers(self, batch: int) -> int:
        return max(1, min(torch.get_num_threads(), WRITERS, batch // ROWS))

    @torch.no_grad()
    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        size = 1 << (len(tokens) - 1).bit_length()
        with self._one_at_a_time:
            if size not in self._graphs:
                self._graphs[size] = StepGraph(self.model, size)
            return self._graphs[size].step(tokens, features, state)


class StepGraph:
    """A step of `batch` rows in memory that stays where it is, as a graph needs it."""

    def __init__(self, model: MusicLSTM, batch: int) -> None:
        device = model.embedding.weight.device
        self._host = torch.zeros(batch, 1 + len(model.context_embeddings), dtype=torch.int64)
        if device.type == "cuda":
            self._host = self._host.pin_memory()
        self._index = self._host.to(device, copy=True)
        self._state = tuple(tuple(part.detach().clone() for part in parts) for parts in model.initial_state(batch))

        def step() -> tuple[Tensor, State]:
            return model.step(self._index[:, 0], self._index[:, 1:], self._state)

        self._replay, (self._logits, self._next) = capture(step)

    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """As an engine's, for up to `batch` rows."""
        rows = len(tokens)
        host = self._host.numpy()
        host[:rows, 0], host[:rows, 1:] = tokens, features
        self._index.copy_(self._host)
        for mine, given in zip(self._state, state, strict=True):
            for own, part in zip(mine, given, strict=True):
                own[:rows].copy_(part)
        self._replay()
        after = tuple(tuple(part[:rows].clone() for part in parts) for parts in self._next)
        return self._logits[:rows].to("cpu", torch.float32, copy=True).numpy(), after


def capture(step: Callable[[], tuple[Tensor, State]]) -> tuple[Callable[[], None], tuple[Tensor, State]]:
    """What runs `step` again on the present CUDA device, and the tensors that then hold what it gives."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # What other threads do on the device meanwhile, picking rows of a state say, is theirs and does not end this.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        given = step()
    return graph.replay, given
