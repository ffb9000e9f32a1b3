"""Tokenizers: scores to sequences of ids and back."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from musiclstm.errors import UserError
from musiclstm.score import Score
from musiclstm.tokenizers.base import Tokenizer

__all__ = ["TOKENIZERS", "Tokenizer", "from_dict", "make_tokenizer"]

_HOMES = {
    "performance": ("performance", "Performance"),
    "remi": ("remi", "Remi"),
    "voices": ("voices", "Voices"),
    "frames": ("frames", "Frames"),
    "miditok": ("miditok_adapter", "MidiTok"),
}

TOKENIZERS = tuple(_HOMES)
"""The names of all tokenizers."""


def make_tokenizer(name: str, scores: Sequence[Score], **arguments: Any) -> Tokenizer:
    """The tokenizer of that name, in which arguments left out or None follow from `scores`.

    Raises UserError where there is no such tokenizer, or it has no such argument.
    """
    kind = _tokenizer_class(name)
    known = [argument for argument in inspect.signature(kind).parameters if argument != "state"]
    for argument in arguments:
        if argument not in known:
            raise UserError(f"tokenizer.{argument} is not an argument of {name}, which has {', '.join(known)}")
    return kind.fit(scores, **arguments)


def from_dict(saved: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_dict` wrote down. Raises UserError where there is none of that name."""
    return _tokenizer_class(saved["name"])(**saved["arguments"])


def _tokenizer_class(name: str) -> type[Tokenizer]:
    if name not in _HOMES:
        raise UserError(f"tokenizer={name} is not known: take auto or one of {', '.join(TOKENIZERS)}")
    module, kind = _HOMES[name]
    found: type[Tokenizer] = getattr(import_module(f"{__name__}.{module}"), kind)
    return found
