"""Train a recurrent model on your own MIDI in minutes, on a laptop, and let it play."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musiclstm.data.store import NoteStore
    from musiclstm.generation import load
    from musiclstm.midi import read_score, write_midi
    from musiclstm.model.music_lstm import MusicLSTM
    from musiclstm.score import Score
    from musiclstm.tokenizers.base import Tokenizer

__version__ = "0.1.0"

_HOMES = {
    "MusicLSTM": "model.music_lstm",
    "NoteStore": "data.store",
    "Score": "score",
    "Tokenizer": "tokenizers.base",
    "load": "generation",
    "read_score": "midi",
    "write_midi": "midi",
}

__all__ = ["MusicLSTM", "NoteStore", "Score", "Tokenizer", "__version__", "load", "read_score", "write_midi"]


def __getattr__(name: str) -> Any:
    # a name's module is imported when the name is first used, so that `import musiclstm` is quick
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
