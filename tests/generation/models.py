"""Tiny models with random weights: what they write is noise, but it keeps to every rule."""

from __future__ import annotations

from typing import Any

import torch

from musiclstm.generation import MusicGenerator
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers import Tokenizer, from_dict

NATIVE = ("voices", "performance", "remi", "frames")


def make_tokenizer(name: str) -> Tokenizer:
    return from_dict({"name": name, "arguments": {}})


def make_generator(tokenizer: Tokenizer | str = "voices", seed: int = 0, **arguments: Any) -> MusicGenerator:
    if isinstance(tokenizer, str):
        tokenizer = make_tokenizer(tokenizer)
    torch.manual_seed(seed)
    sizes = list(tokenizer.context_sizes.values())
    arguments = {"embedding_size": 8, "hidden_size": 16, "num_layers": 2, **arguments}
    model = MusicLSTM(len(tokenizer.vocabulary), sizes, **arguments)
    return MusicGenerator(model, tokenizer)


def favour(generator: MusicGenerator, **logits: float) -> MusicGenerator:
    """Makes some types of token, where there are such, as likely as the logits say, whatever went before."""
    vocabulary = generator.tokenizer.vocabulary
    bias = generator.model.head.bias
    assert bias is not None
    with torch.no_grad():
        for name, logit in logits.items():
            if name in vocabulary.types:
                bias[list(vocabulary.range(name))] = logit
            elif name in vocabulary:
                bias[vocabulary[name]] = logit
    return generator
