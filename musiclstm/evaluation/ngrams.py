"""The n-gram baselines of the benchmarks: what a symbol is, and in which contexts it is counted.

They transpose what they are fitted to into 12 keys, five semitones down to six up, so that a key is as well known as
any other; pieces are scored as they are. Contexts nest, from the coarsest to the finest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musiclstm.data.published import REST, STEPS_PER_QUARTER, VOICES, Frames
from musiclstm.evaluation.witten_bell import Level, WittenBell

KEYS_UP = range(-5, 7)  # semitones
PITCHES = 128
END = PITCHES  # closes a frame
NONE = PITCHES + 1  # where there is no pitch to give as context: no symbol
OUTER_FIRST = (0, 3, 1, 2)  # soprano, bass, alto, tenor: the inner voices fill what the outer ones leave


class VoicesNGram:
    """Of pieces in four voices on a grid of 16ths: each note given those known of its step, and the step before.

    The chain rule goes through a step from the outer voices to the inner. The contexts of a note are, each with all
    before it: its voice; the pitch that the voice had before; the place in the quarter note; the note of its step known
    last; all that are known of its step; the whole step before. The symbols are 128 pitches and the rest.
    """

    def __init__(self) -> None:
        self._model = WittenBell(vocabulary=PITCHES + 1)

    def fit(self, pieces: Sequence[np.ndarray]) -> VoicesNGram:
        """Counts pieces (T, 4), with REST where a voice is silent, in 12 keys."""
        moved = [np.where(piece == REST, REST, piece + up) for piece in pieces for up in KEYS_UP]
        self._model.fit(*_together([_voices(piece) for piece in moved]))
        return self

    def log_probs(self, piece: np.ndarray) -> np.ndarray:
        """Of each note of a piece (T, 4) the natural log of its probability: float64, (T, 4), soprano first."""
        found = self._model.log_probs(*_voices(piece)).reshape(len(piece), VOICES)
        return found[:, np.argsort(OUTER_FIRST)]


class FramesNGram:
    """Of pieces in frames: a frame is spelled as its pitches, ascending, and an end-of-frame symbol.

    The contexts of a symbol are, each with all before it: the pitch of its frame known last; the next pitch above that
    in the frame before; all pitches known of its frame; the whole frame before. The symbols are 128 pitches and the
    end. Those that cannot come, as they do not ascend, keep the little probability that the counts leave them.
    """

    def __init__(self) -> None:
        self._model = WittenBell(vocabulary=PITCHES + 1)

    def fit(self, pieces: Sequence[Frames]) -> FramesNGram:
        """Counts pieces in 12 keys."""
        moved = [[tuple(pitch + up for pitch in frame) for frame in piece] for piece in pieces for up in KEYS_UP]
        self._model.fit(*_together([_frames(piece) for piece in moved if piece]))
        return self

    def log_probs(self, piece: Frames) -> np.ndarray:
        """Of each of the T frames of a piece the natural log of its probability: float64, (T,)."""
        if not piece:
            return np.zeros(0)
        starts = np.cumsum([0, *(len(frame) + 1 for frame in piece[:-1])])
        return np.add.reduceat(self._model.log_probs(*_frames(piece)), starts)


def _voices(piece: np.ndarray) -> tuple[np.ndarray, list[Level]]:
    """The symbols of a piece, in the order of the chain rule, (4 T,), and the columns of their contexts."""
    notes = np.where(piece == REST, PITCHES, piece)[:, OUTER_FIRST]  # (T, 4)
    before = np.concatenate([np.full((1, VOICES), NONE), notes])[: len(notes)]
    voices = np.broadcast_to(np.arange(VOICES), notes.shape)
    places = np.broadcast_to(np.arange(len(notes))[:, None] % STEPS_PER_QUARTER, notes.shape)
    known = [np.where(voices > voice, notes[:, [voice]], NONE) for voice in range(VOICES - 1)]
    latest = np.concatenate([np.full((len(notes), 1), NONE), notes[:, :-1]], axis=1)
    whole_step = [np.broadcast_to(before[:, [voice]], notes.shape) for voice in range(VOICES)]
    levels: list[Level] = [[voices], [before], [places], [latest], known, whole_step]
    return notes.ravel(), [[column.ravel() for column in level] for level in levels]


def _frames(piece: Frames) -> tuple[np.ndarray, list[Level]]:
    """The symbols of a piece of one frame or more, (N,), and the columns of their contexts."""
    symbols = np.array([symbol for frame in piece for symbol in (*frame, END)], np.int64)
    sizes = np.array([len(frame) + 1 for frame in piece])
    frames = np.repeat(np.arange(len(piece)), sizes)
    starts = np.cumsum(sizes) - sizes
    latest = np.concatenate([[NONE], symbols[:-1]])
    latest[starts] = NONE
    # within the piece the symbols ascend by frame and pitch, and the end of a frame stands above its pitches
    above = np.searchsorted(frames * 256 + symbols, (frames - 1) * 256 + np.where(latest == NONE, -1, latest), "right")
    following = np.where(frames == 0, END, symbols[above])
    # sets of pitches as 128 bits; sums that wrap around still differ by what was added
    bits = np.zeros((len(symbols), 2), np.uint64)
    bits[np.arange(len(symbols)), symbols % PITCHES // 64] = np.uint64(1) << (symbols % 64).astype(np.uint64)
    bits[symbols == END] = 0
    known = np.cumsum(bits, axis=0, dtype=np.uint64) - bits
    known -= known[starts][frames]
    whole = known[starts + sizes - 1]  # at the end of a frame all of it is known
    before = np.concatenate([np.zeros((1, 2), np.uint64), whole[:-1]])[frames]  # a piece begins after silence
    return symbols, [[latest], [following], [*known.T], [*before.T]]


def _together(pieces: Sequence[tuple[np.ndarray, list[Level]]]) -> tuple[np.ndarray, list[Level]]:
    """The symbols of all pieces, and their contexts."""
    symbols, levels = zip(*pieces, strict=True)
    joined: list[Level] = [
        [np.concatenate(column) for column in zip(*level, strict=True)] for level in zip(*levels, strict=True)
    ]
    return np.concatenate(symbols), joined
