"""What a piece in voices repeats: of the voice to speak, what it did where the last steps were the same before."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from musiclstm.tokenizers.grammar import ONE
from musiclstm.tokenizers.repeats import NONE, Places, PlaceState, agreed, hash_factors, where_closed

FOLLOWING = 131
"""Values of the feature that says what came next: 0 nothing known, 1 a rest, 2 a hold, from 3 on a pitch."""


def coded(sounds: Any, begins: Any) -> Any:
    """The code of a voice in a step: what it sounds (1 nothing, else a pitch plus 2), and whether that begins (0 or 1).

    0 stands for none.
    """
    return 2 * sounds + begins


def same_sound(code: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether two codes sound the same; that one begins and the other is held does not count."""
    return (code ^ other) < 2


_CODES = np.arange(coded(129, 1) + 1)
_FOLLOWING = np.where(_CODES < 4, _CODES >> 1, np.where(_CODES & 1, (_CODES >> 1) + 1, 2))  # by the code


class Line(NamedTuple):
    """What is known of one piece after some voices, for `VoiceRepeats.read` to go on from."""

    codes: np.ndarray
    """Of the last steps and the voices of the present one, flat: int64, (n,)."""
    place: int
    length: int
    """Of the present step, as in `PlaceState`; `place` counts from the first of `codes`."""


class RepeatState(NamedTuple):
    """Of B pieces, voice by voice."""

    places: PlaceState
    codes: np.ndarray
    """Of the steps that are complete, in columns as the keys of `places`: int16, (B, W, V)."""
    now: np.ndarray
    """The codes of the voices that have spoken in the present step: int64, (B, V)."""
    there: np.ndarray
    """The codes of the step that the present one may repeat, 0 where there is none: int64, (B, V)."""
    agreement: np.ndarray
    """What the feature of that name is as long as the present step agrees too; (B,)."""
    agrees: np.ndarray
    """1 where there is such a step and the voices that have spoken agree with it, else 0; (B,)."""


class VoiceRepeats:
    """Two features for each voice of each step: `FOLLOWING`, and for how long the piece has repeated itself."""

    def __init__(self, num_voices: int, steps_per_quarter: int) -> None:
        self.num_voices, self.places = num_voices, Places(steps_per_quarter)
        self.factors = hash_factors(num_voices, seed=0)

    def read(self, said: np.ndarray, line: Line | None) -> tuple[np.ndarray, np.ndarray, Line]:
        """The two features of each of the voices that come after those of codes `said` (n,), and what to go on from.

        Features (following, agreement): int64, (n + 1,), the first that of the first of `said` itself. In
        pieces of any length they are the same as in one.
        """
        line = line or Line(np.zeros(0, np.int64), NONE, 0)
        known, voices = len(line.codes), self.num_voices
        flat = np.concatenate([line.codes, said])
        steps = len(flat) // voices
        whole = np.pad(flat, (0, (steps + 1) * voices - len(flat))).reshape(-1, voices)  # the present step too
        hashes = (whole[:-1] * self.factors).sum(1)
        place, length = self.places.read(hashes, known // voices, line.place, line.length)
        at = np.arange(known, len(flat) + 1)
        step, voice = at // voices, at % voices
        found = place[step]
        there, here = whole[np.maximum(found, 0)], whole[step]
        said = np.arange(voices) < voice[:, None]
        agrees = (found >= 0) & ~(said & ~same_sound(there, here)).any(1)
        following = np.where(agrees, _FOLLOWING[np.take_along_axis(there, voice[:, None], 1)[:, 0]], 0)
        agreement = np.where(agrees, self.places.agreement[length[step]], found >= 0)
        gone, last = self.places.kept(place)
        return following, agreement, Line(flat[gone * voices :], last, int(length[-1]))

    def start(self, batch: int) -> RepeatState:
        """Before the first step."""
        zero, voices = np.zeros(batch, np.int64), np.zeros((batch, self.num_voices), np.int64)
        codes = np.zeros((batch, 0, self.num_voices), np.int16)
        return RepeatState(self.places.start(batch), codes, voices, voices, zero, zero)

    def features(self, state: RepeatState, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two features of the voice to speak, (B,) each; `own` is its place in a (B, V) array, counted flat."""
        following = _FOLLOWING.take(state.there.take(own)) * state.agrees
        return following, agreed(state.agreement, state.agrees)

    def advance(
        self,
        state: RepeatState,
        own: np.ndarray,
        code: np.ndarray,
        spoken: np.ndarray,
        closes: np.ndarray,
        step: np.ndarray,
    ) -> RepeatState:
        """After the voice at `own` has had `code` (B,) in step number `step` (B,).

        Only in the rows in which `spoken` is 1; where `closes` is 1 it was the last voice of the step.
        """
        now = state.now.copy()
        now.put(own, code if spoken.all() else np.where(spoken, code, now.take(own)))
        agrees = state.agrees
        if np.count_nonzero(agrees):
            agrees = agrees * (same_sound(state.there.take(own), code) | (spoken == 0))
        state = state._replace(now=now, agrees=agrees)
        return where_closed(self._close, closes, state, step) if np.count_nonzero(closes) else state

    def _close(self, state: RepeatState, step: np.ndarray) -> RepeatState:
        """Puts the step away that is complete in every row, and looks for what the next one may repeat."""
        codes = self.places.put(state.codes, step, state.now)
        places = self.places.advance(state.places, (state.now * self.factors).sum(1), step)
        known = places.place >= 0
        there = self.places.get(codes, places.place) * (known * ONE)[:, None]  # int64
        return RepeatState(places, codes, state.now, there, self.places.agreement.take(places.length), known * ONE)
