"""Small models of every kind whose weights are far from zero, so that every part of them has a say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from musiclstm.generation.engines import Engine
from musiclstm.model.cells import CELLS
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import SKIPS, State

VOCABULARY, CONTEXT = 40, (4, 7)
KINDS = [
    {"cell": cell, "skip": skip, "tie_output": tied, "learned_state": learned}
    for cell, skip, tied, learned in itertools.product(CELLS, SKIPS, (False, True), (False, True))
]
INTERVALS = {"pitches": 12, "pitch_tokens": (3, 20), "references": ((1, 1), (0, 0))}
KINDS += [{**kind, "layer_norm": True} for kind in KINDS if not kind["learned_state"]]
KINDS += [{**kind, "gated_output": True} for kind in KINDS if kind["cell"] == "lstm" and not kind["learned_state"]]
KINDS += [{**kind, **INTERVALS} for kind in KINDS if kind["cell"] == "lstm" and not kind["learned_state"]]


def make_model(context: tuple[int, ...] = CONTEXT, vocab_size: int = VOCABULARY, **arguments: Any) -> MusicLSTM:
    torch.manual_seed(0)
    arguments = {"embedding_size": 12, "hidden_size": 20, "num_layers": 3, **arguments}
    model = MusicLSTM(vocab_size, context, **arguments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.15)
    return model.eval()


def draw(steps: int, batch: int, model: MusicLSTM) -> tuple[np.ndarray, np.ndarray]:
    """Tokens (steps, batch) and features (steps, batch, F)."""
    random = np.random.default_rng(0)
    sizes = model.arguments["context_sizes"]
    tokens = random.integers(model.arguments["vocab_size"], size=(steps, batch))
    return tokens, random.integers(np.array(sizes, np.int64), size=(steps, batch, len(sizes)))


def run(
    engine: Engine, tokens: np.ndarray, features: np.ndarray, state: State | None = None
) -> tuple[np.ndarray, State]:
    """Logits (steps, batch, V) of all steps, and the last state."""
    state = engine.initial_state(tokens.shape[1]) if state is None else state
    found = []
    for token, feature in zip(tokens, features, strict=True):
        logits, state = engine.step(token, feature, state)
        found.append(logits)
    return np.stack(found), state


def divergence(expected: np.ndarray, found: np.ndarray) -> float:
    """The mean KL(expected || found) of logits (..., V), in nats."""
    wanted, given = (torch.from_numpy(logits).log_softmax(-1) for logits in (expected, found))
    return float((wanted.exp() * (wanted - given)).sum(-1).mean())


def eager(step: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """Stands in for the capture of a CUDA graph: steps again and writes into the same memory."""
    given = step()

    def flat(value: Any) -> list[torch.Tensor]:
        return [value] if isinstance(value, torch.Tensor) else [part for parts in value for part in flat(parts)]

    def replay() -> None:
        for old, new in zip(flat(given), flat(step()), strict=True):
            old.copy_(new)

    return replay, given
