"""How far an engine's logits are from those of the model that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from musiclstm.generation.engines.base import Engine
from musiclstm.model.music_lstm import MusicLSTM

SEED, ROWS, STEPS = 0, 4, 64
CLOSE = 1e-3  # the difference of logits that a float32 engine may show, relative to the largest
DIVERGENCE = 0.005  # nats a token that an engine in 8 bits may lose, on average


@dataclass(frozen=True)
class Agreement:
    """Over all steps of the sequences that were compared.

    difference: the largest between two logits, as a share of the largest logit, or of 1 where that is more.
    divergence: the mean of KL(model || engine) in nats: what a token drawn from the model loses by being predicted by
        the engine.
    same: the share of steps at which both find the same token likeliest.
    """

    difference: float
    divergence: float
    same: float

    def __str__(self) -> str:
        return (
            f"logits differ by up to {self.difference:.2g} of the largest, {self.divergence:.2g} nats a token, "
            f"{self.same:.1%} likeliest tokens the same"
        )


@torch.no_grad()
def compare(engine: Engine, model: MusicLSTM) -> Agreement:
    """Writes some sequences with the engine, and reads them with the model: always the same.

    The context features are drawn at random, since only a tokenizer knows them.
    """
    random = np.random.default_rng(SEED)
    vocabulary, sizes = model.arguments["vocab_size"], model.arguments["context_sizes"]
    tokens = random.integers(vocabulary, size=(ROWS, STEPS))  # of which all but the first are drawn anew
    features = np.stack([random.integers(size, size=tokens.shape) for size in sizes] or [tokens[:0]], axis=-1)
    if not sizes:
        features = np.zeros((*tokens.shape, 0), np.int64)
    state = engine.initial_state(ROWS)
    found = np.empty((ROWS, STEPS, vocabulary), np.float32)
    for step in range(STEPS):
        logits, state = engine.step(tokens[:, step], features[:, step], state)
        found[:, step] = logits
        if step + 1 < STEPS:
            tokens[:, step + 1] = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    device = model.embedding.weight.device
    expected = model(torch.from_numpy(tokens).to(device), torch.from_numpy(features).to(device))[0].float().cpu()
    return _measure(expected, torch.from_numpy(found))


def _measure(expected: torch.Tensor, found: torch.Tensor) -> Agreement:
    difference = (expected - found).abs().max() / expected.abs().max().clamp(min=1)
    wanted, given = expected.log_softmax(-1), found.log_softmax(-1)
    divergence = (wanted.exp() * (wanted - given)).sum(-1).mean()
    same = (wanted.argmax(-1) == given.argmax(-1)).float().mean()
    return Agreement(float(difference), float(divergence), float(same))
