"""What a model says of whole pieces: the probability of every token, and of the type of token that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.reading import read_windows
from musiclstm.score import Score
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.vocabulary import PAD, SPECIALS

ROWS = 16  # pieces side by side


@dataclass(frozen=True)
class ReadPiece:
    """One piece as a model read it, from BOS to EOS, of which T tokens are scored: all but BOS.

    nats: minus the natural log of the probability of each token given all before it: float64, (T,).
    type_nats: of that, what it took to know which type of token comes (`Pitch`, `Velocity` ...); the rest was for its
        value among those of the type: float64, (T,).
    tokens: int32, (T,). seconds: where in the piece each stands: float64, (T,).
    notes, duration, bars: of the piece itself, before the tokenizer rounds it: seconds, and full bars.
    """

    name: str
    nats: np.ndarray
    type_nats: np.ndarray
    tokens: np.ndarray
    seconds: np.ndarray
    notes: int
    duration: float
    bars: int


def read_pieces(
    model: MusicLSTM,
    tokenizer: Tokenizer,
    pieces: Sequence[tuple[str, Score]],
    on_read: Callable[[int], None] | None = None,
) -> Iterator[ReadPiece]:
    """Each of the named pieces, all of which the tokenizer admits, read whole from the initial state to its end.

    They come in the order of their length. on_read: called with the number of pieces that have been read.
    """
    model.eval()
    told = sorted(
        ((name, score, *tokenizer.events(score)) for name, score in pieces), key=lambda piece: (len(piece[2]), piece[0])
    )
    for first in range(0, len(told), ROWS):
        part = told[first : first + ROWS]
        found = _log_likelihoods(model, tokenizer, [ids for _, _, ids, _ in part])
        for (name, score, ids, steps), (nats, type_nats) in zip(part, found, strict=True):
            starts = score.bar_starts()
            yield ReadPiece(
                name,
                nats,
                type_nats,
                ids[1:],
                seconds_of(tokenizer, score, steps[1:]),
                len(score),
                score.duration,
                len(starts) - (score.first_bar > 0),
            )
        if on_read is not None:
            on_read(len(part))


def seconds_of(tokenizer: Tokenizer, score: Score, steps: np.ndarray) -> np.ndarray:
    """Where steps of a tokenizer stand in a score, in seconds: float64, same shape."""
    ticks = np.arange(0, score.end + 2 * score.ticks_per_quarter, max(1, score.ticks_per_quarter // 4))
    known = np.array([tokenizer.to_step(score, int(tick)) for tick in ticks])
    known, first = np.unique(known, return_index=True)
    return np.interp(steps, known, score.seconds(ticks[first]))


def _log_likelihoods(
    model: MusicLSTM, tokenizer: Tokenizer, sequences: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each sequence the nats of its tokens but BOS, and of their types; float64, (T - 1,) each."""
    padded = np.full((len(sequences), max(len(ids) for ids in sequences)), PAD, np.int64)
    for row, ids in zip(padded, sequences, strict=True):
        row[: len(ids)] = ids
    types = torch.from_numpy(token_types(tokenizer)).to(model.embedding.weight.device)
    nats: list[np.ndarray] = []
    type_nats: list[np.ndarray] = []
    for window in read_windows(model, tokenizer, padded):
        target = window.targets[..., None]
        likely = window.logits.log_softmax(-1)  # (B, W, V)
        by_type = likely.exp() @ torch.nn.functional.one_hot(types).double()  # (B, W, types)
        nats.append(-likely.gather(2, target)[..., 0].cpu().numpy())
        type_nats.append(-by_type.gather(2, types[target])[..., 0].clamp_min(1e-300).log().cpu().numpy())
    found, of_types = np.concatenate(nats, 1), np.concatenate(type_nats, 1)
    return [(found[row, : len(ids) - 1], of_types[row, : len(ids) - 1]) for row, ids in enumerate(sequences)]


def token_types(tokenizer: Tokenizer) -> np.ndarray:
    """The index of each token's type in `type_names`: int64, (V,)."""
    vocabulary = tokenizer.vocabulary
    types = np.arange(len(vocabulary))  # the special tokens, each a type of its own
    for number, kind in enumerate(vocabulary.types):
        types[list(vocabulary.range(kind))] = len(SPECIALS) + number
    return types


def type_names(tokenizer: Tokenizer) -> list[str]:
    """The types of token, the special ones first."""
    return [*SPECIALS, *tokenizer.vocabulary.types]
