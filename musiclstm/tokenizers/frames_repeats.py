"""What a piece in frames repeats: the pitch that came next where the last frames were the same before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.grammar import ONE
from musiclstm.tokenizers.repeats import NONE, Places, PlaceState, agreed, hash_factors, where_closed

PITCHES = 128
FOLLOWING = PITCHES + 2
"""Values of the feature that says what came next: 0 nothing known, a pitch plus 1, or that the frame ended."""

END = PITCHES  # of a frame, where a pitch might stand


class Line(NamedTuple):
    """What is known of one piece, for `FrameRepeats.read` to go on from."""

    frames: np.ndarray
    """The pitches of the last frames and, last, of the one begun: bool, (n + 1, 128)."""
    place: int
    length: int
    """Of the frame begun, as in `PlaceState`; `place` counts from the first of `frames`."""


class RepeatState(NamedTuple):
    """Of B pieces, token by token."""

    places: PlaceState
    frames: np.ndarray
    """The frames that are closed, a bit a pitch, in columns as the keys of `places`: uint8, (B, W, 16)."""
    there: np.ndarray
    """Of the frame that the present one may repeat, by the lowest pitch that may come next the one that does, or END
    where none does; what is not known there does not count. int64, (B, 129)."""
    agreement: np.ndarray
    """What the feature of that name is as long as the present frame agrees too; (B,)."""
    agrees: np.ndarray
    """1 where there is such a frame and the pitches said agree with it, else 0; (B,)."""


class FrameRepeats:
    """Two features for each token: `FOLLOWING`, and for how long the piece has repeated itself."""

    def __init__(self, steps_per_quarter: int) -> None:
        self.places = Places(steps_per_quarter)
        *factors, empty = hash_factors(PITCHES + 1, seed=0)
        self.factors, self.empty = np.array(factors), empty  # a frame without pitches must not be 0

    def read(self, said: np.ndarray, line: Line | None) -> tuple[np.ndarray, np.ndarray, Line]:
        """The two features of what comes after each of `said`, and what to go on from.

        said: pitches, and END where a frame ends: int64, (n,). Features (following, agreement): int64, (n + 1,), the
        first that of the first of `said` itself. In pieces of any length they are the same as in one.
        """
        line = line or Line(np.zeros((1, PITCHES), bool), NONE, 0)
        again = np.flatnonzero(line.frames[-1])  # the pitches of the frame begun, once more
        told = np.concatenate([again, said])
        ends = told == END
        frame = np.cumsum(ends) - ends + len(line.frames) - 1  # that each of `told` is in
        count = len(line.frames) + int(ends.sum())
        frames = np.zeros((count, PITCHES), bool)
        frames[: len(line.frames)] = line.frames
        frames[frame[~ends], told[~ends]] = True
        hashes = (frames[:-1] * self.factors).sum(1) + self.empty
        place, length = self.places.read(hashes, len(line.frames) - 1, line.place, line.length)
        onward = _next_pitch(frames)
        at = np.append(len(line.frames) - 1, np.where(ends, frame + 1, frame))  # the frame that comes after each
        lowest = np.append(0, np.where(ends, 0, told + 1))
        found = place[at]
        coming = onward[np.maximum(found, 0), lowest]
        turned = np.append(0, np.cumsum((coming[:-1] != told) & ~ends))
        first = np.searchsorted(at, at)  # where the frame begins that each is in
        agrees = (found >= 0) & (turned == turned[first])
        following = np.where(agrees, coming + 1, 0)
        agreement = np.where(agrees, self.places.agreement[length[at]], found >= 0)
        gone, last = self.places.kept(place)
        line = Line(frames[gone:], last, int(length[-1]))
        return following[len(again) :], agreement[len(again) :], line

    def start(self, batch: int) -> RepeatState:
        """Before the first frame."""
        zero = np.zeros(batch, np.int64)
        frames, there = np.zeros((batch, 0, PITCHES // 8), np.uint8), np.zeros((batch, PITCHES + 1), np.int64)
        return RepeatState(self.places.start(batch), frames, there, zero, zero)

    def features(self, state: RepeatState, lowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two features of the next token, (B,) each; `lowest` counts flat in a (B, 129) array."""
        following = (state.there.take(lowest) + ONE) * state.agrees
        return following, agreed(state.agreement, state.agrees)

    def advance(self, state: RepeatState, lowest: np.ndarray, pitch: np.ndarray, told: np.ndarray) -> RepeatState:
        """After `pitch` (B,), at `lowest` as in `features`; only in the rows in which `told` is above 0."""
        if not np.count_nonzero(state.agrees):
            return state
        same = (state.there.take(lowest) == pitch) | (told == 0)
        return state._replace(agrees=state.agrees * same)

    def close(self, state: RepeatState, closes: np.ndarray, present: np.ndarray, step: np.ndarray) -> RepeatState:
        """After the end of frame number `step` (B,) with the pitches `present` (B, 128), where `closes` is 1."""
        return where_closed(self._close, closes, state, present, step)

    def _close(self, state: RepeatState, present: np.ndarray, step: np.ndarray) -> RepeatState:
        frames = self.places.put(state.frames, step, np.packbits(present, axis=1))
        places = self.places.advance(state.places, (present * self.factors).sum(1) + self.empty, step)
        known, there = places.place >= 0, state.there
        if np.count_nonzero(known):
            there = _next_pitch(np.unpackbits(self.places.get(frames, places.place), axis=1))
        return RepeatState(places, frames, there, self.places.agreement.take(places.length), known * ONE)


_PITCH = np.arange(PITCHES)


def _next_pitch(frames: np.ndarray) -> np.ndarray:
    """For frames (n, 128) the lowest pitch that sounds from each pitch on, or END: int64, (n, 129)."""
    onward = np.full((len(frames), PITCHES + 1), END)
    np.minimum.accumulate(np.where(frames, _PITCH, END)[:, ::-1], axis=1, out=onward[:, PITCHES - 1 :: -1])
    return onward
