"""The model's own step, wherever its weights are: what every other engine is compared with."""

from __future__ import annotations

import numpy as np
import torch

from musiclstm.generation.engines.base import ModelEngine
from musiclstm.model.stack import State


class ReferenceEngine(ModelEngine):
    """`MusicLSTM.step`."""

    name = "reference"

    @torch.no_grad()
    def step(self, tokens: np.ndarray, features: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        logits, state = self.model.step(self._to_model(tokens), self._to_model(features), state)
        return logits.float().cpu().numpy(), state
