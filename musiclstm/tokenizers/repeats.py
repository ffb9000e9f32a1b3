"""Where a piece repeats itself: what came next when the last two quarters of all voices were the same before.

A recurrent state cannot hold a section word for word, and music repeats sections. As in the match models of lossless
compression (Mahoney 2005, "Adaptive Weighing of Context Models for Lossless Data Compression"), the model is told
what followed those quarters where they stood last, and decides what to make of it. Only the piece itself is searched,
and of it the last 128 quarters: so memory stays constant, and nothing is copied from the training pieces.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from musiclstm.tokenizers.grammar import ONE, ZERO, row_starts, select_rows

CONTEXT = 2  # quarters that must be the same in all voices
MEMORY = 128  # quarters back
LENGTHS = (2, 3, 4, 6, 8, 16)  # quarters in agreement; more than the last look the same to the model
GROWTH = 64  # columns
NONE = -1

AGREEMENTS = len(LENGTHS) + 2
"""Values of the feature that says for how long the piece has repeated itself: not at all, no more within this step
(an earlier voice has turned away), and then by `LENGTHS`."""
FOLLOWING = 131
"""Values of the feature that says what came next: 0 nothing known, 1 a rest, 2 a hold, from 3 on a pitch."""


def sounding(code: np.ndarray) -> np.ndarray:
    """What a voice sounds in a step, of its code: 1 nothing, else a pitch plus 2."""
    return code >> 1


def coded(sounds: Any, begins: Any) -> Any:
    """The code of a voice in a step: what it sounds, as `sounding` gives it, and whether that begins (0 or 1)."""
    return 2 * sounds + begins


_CODES = np.arange(coded(129, 1) + 1)
_FOLLOWING = np.where(_CODES < 4, _CODES >> 1, np.where(_CODES & 1, (_CODES >> 1) + 1, 2))  # by the code


class Line(NamedTuple):
    """What is known of one piece after some voices, for `Repeats.read` to go on from."""

    codes: np.ndarray
    """Of the last steps and the voices of the present one, flat: int64, (n,)."""
    place: int
    length: int
    """Of the present step, as in `RepeatState`; `place` counts from the first of `codes`."""


class RepeatState(NamedTuple):
    """Of B pieces, voice by voice. A step has its column in `codes` and `keys` at its number modulo the memory; there
    are as many columns as have been needed."""

    codes: np.ndarray
    """Of the steps that are complete: int16, (B, W, V)."""
    keys: np.ndarray
    """The hash of what led to each step, 0 where there is none: int64, (B, W)."""
    recent: np.ndarray
    """The hashes of the last steps, as many as must be the same: int64, (B, C)."""
    now: np.ndarray
    """The codes of the voices that have spoken in the present step: int64, (B, V)."""
    there: np.ndarray
    """The codes of the step that the present one may repeat, 0 where there is none: int64, (B, V)."""
    place: np.ndarray
    """That step, or NONE; (B,)."""
    length: np.ndarray
    """For how many steps the two have agreed, up to the longest of `LENGTHS`; (B,)."""
    agreement: np.ndarray
    """What the feature of that name is as long as the present step agrees too; (B,)."""
    agrees: np.ndarray
    """1 where there is such a step and the voices that have spoken agree with it, else 0; (B,)."""


class Repeats:
    """The two features of what a piece repeats: of a whole sequence in `read`, and a voice at a time for generation."""

    def __init__(self, num_voices: int, steps_per_quarter: int) -> None:
        self.num_voices = num_voices
        self.context, self.memory = CONTEXT * steps_per_quarter, MEMORY * steps_per_quarter
        lengths = np.array(LENGTHS) * steps_per_quarter
        self.longest = int(lengths[-1])
        self.buckets = np.searchsorted(lengths, np.arange(self.longest + 1), "right") + 1
        # Odd numbers without a pattern, by which voices and steps are hashed: of two contexts that are not the same one
        # pair in about 2**60 has the same hash.
        drawn = np.random.default_rng(8).integers(1 << 62, size=num_voices + self.context, dtype=np.int64) * 2 + 1
        self.of_voices, self.of_steps = drawn[:num_voices], drawn[num_voices:]

    def read(self, codes: np.ndarray, line: Line | None) -> tuple[np.ndarray, np.ndarray, Line]:
        """The two features of each of the voices that come after those of `codes` (n,), and what to go on from.

        Features (following, agreement): int64, (n + 1,), the first that of the first voice of `codes` itself. In
        pieces of any length they are the same as in one.
        """
        line = line or Line(np.zeros(0, np.int64), NONE, 0)
        known, voices = len(line.codes), self.num_voices
        flat = np.concatenate([line.codes, codes])
        steps = len(flat) // voices
        whole = np.pad(flat, (0, (steps + 1) * voices - len(flat))).reshape(-1, voices)  # the present step too
        place, length = self._places(whole[:-1], line, known // voices)
        at = np.arange(known, len(flat) + 1)
        step, voice = at // voices, at % voices
        found = place[step]
        there, here = whole[np.maximum(found, 0)], whole[step]
        said = np.arange(voices) < voice[:, None]
        agrees = (found >= 0) & ~(said & (sounding(there) != sounding(here))).any(1)
        ahead = np.where(agrees, _FOLLOWING[np.take_along_axis(there, voice[:, None], 1)[:, 0]], 0)
        agreement = np.where(agrees, self.buckets[length[step]], found >= 0)
        gone = max(0, steps - self.memory - self.context)
        last = int(place[steps])
        line = Line(flat[gone * voices :], last - gone if last >= 0 else NONE, int(length[steps]))
        return ahead, agreement, line

    def _places(self, grid: np.ndarray, line: Line, known: int) -> tuple[np.ndarray, np.ndarray]:
        """For each step of `grid` (S, V) and the one after, from `known` on: the step that its context led to before,
        or NONE; and for how many steps the two have agreed. Step `known` is that of which `line` tells."""
        steps = len(grid)
        place, length = np.full(steps + 1, NONE), np.zeros(steps + 1, np.int64)
        if steps >= self.context:
            hashes = np.lib.stride_tricks.sliding_window_view((grid * self.of_voices).sum(1), self.context)
            keys = (hashes * self.of_steps).sum(1)  # (S - C + 1,)
            order = np.argsort(keys, kind="stable")
            same = keys[order[1:]] == keys[order[:-1]]
            later, earlier = order[1:][same], order[:-1][same]
            near = later - earlier <= self.memory
            place[self.context + later[near]] = self.context + earlier[near]
        place[known], length[known] = line.place, line.length
        new = np.arange(known + 1, steps + 1)
        goes_on = (place[new] >= 0) & (place[new - 1] >= 0) & (place[new] == place[new - 1] + 1)
        # Where the run of agreement began that each is in; 0 stands for the one that was going on.
        begun = np.maximum.accumulate(np.where(goes_on, 0, new))
        at_first = np.where(begun == 0, line.length - known, self.context - begun)
        length[new] = np.where(place[new] >= 0, np.minimum(new + at_first, self.longest), 0)
        return place, length

    def start(self, batch: int) -> RepeatState:
        zero, voices = np.zeros(batch, np.int64), np.zeros((batch, self.num_voices), np.int64)
        codes, keys = np.zeros((batch, 0, self.num_voices), np.int16), np.zeros((batch, 0), np.int64)
        recent = np.zeros((batch, self.context), np.int64)
        return RepeatState(codes, keys, recent, voices, voices, zero + NONE, zero, zero, zero)

    def features(self, state: RepeatState, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two features of the voice to speak, (B,) each; `own` is its place in a (B, V) array, counted flat."""
        ahead = _FOLLOWING.take(state.there.take(own)) * state.agrees
        # With a step to repeat that this one has turned away from, agreement is 1.
        return ahead, np.minimum(state.agreement, state.agreement * state.agrees + ONE)

    def advance(
        self,
        state: RepeatState,
        own: np.ndarray,
        code: np.ndarray,
        spoken: np.ndarray,
        closes: np.ndarray,
        step: np.ndarray,
    ) -> RepeatState:
        """After the voice at `own` has had `code` (B,) in step `step` (B,).

        Only in the rows in which `spoken` is 1; where `closes` is 1 it was the last voice of the step.
        """
        now = state.now.copy()
        now.put(own, code if spoken.all() else np.where(spoken, code, now.take(own)))
        agrees = state.agrees
        if np.count_nonzero(agrees):
            same = (state.there.take(own) ^ code) < 2  # the same sounds; that one begins and one is held does not count
            agrees = agrees * (same | (spoken == 0))
        state = state._replace(now=now, agrees=agrees)
        closing = np.count_nonzero(closes)
        if closing == 0:
            return state
        if closing == len(closes):
            return self._close(state, step)
        rows = np.flatnonzero(closes)
        return _put(self._widened(state, step), rows, self._close(select_rows(state, rows), step[rows]))

    def _widened(self, state: RepeatState, step: np.ndarray) -> RepeatState:
        """With columns for all steps up to the one after `step`."""
        missing = min(self.memory, -(-(int(step.max()) + 2) // GROWTH) * GROWTH) - state.keys.shape[1]
        if missing <= 0:
            return state
        codes = np.pad(state.codes, ((0, 0), (0, missing), (0, 0)))
        return state._replace(codes=codes, keys=np.pad(state.keys, ((0, 0), (0, missing))))

    def _close(self, state: RepeatState, step: np.ndarray) -> RepeatState:
        """Puts the step away that is complete in every row, and looks for what the next one may repeat."""
        state = self._widened(state, step)
        codes, keys = state.codes.copy(), state.keys.copy()
        batch, width = keys.shape
        coming, starts = step + ONE, row_starts(batch, width)
        codes.reshape(-1, self.num_voices)[starts + step % self.memory] = state.now
        hashed = (state.now * self.of_voices).sum(1)
        recent = np.concatenate((state.recent[:, 1:], hashed[:, None]), 1)
        key = (recent * self.of_steps).sum(1)
        early = coming < self.context
        if np.count_nonzero(early):  # too little before it: what no other step has
            key = np.where(early, -coming, key)
        found, columns = np.nonzero(keys == key[:, None])
        keys.put(starts + coming % self.memory, key)
        if not len(found):
            nothing = state.length * 0
            return RepeatState(
                codes, keys, recent, state.now, state.there * 0, nothing + NONE, nothing, nothing, nothing
            )
        nearest = np.full(batch, self.memory + 1)
        np.minimum.at(nearest, found, (coming[found] - columns - 1) % self.memory + 1)
        known = nearest <= self.memory
        place = np.where(known, coming - nearest, NONE)
        goes_on = (state.place >= 0) & (place == state.place + 1)
        length = np.where(goes_on, np.minimum(state.length + 1, self.longest), self.context) * known
        there = codes.reshape(-1, self.num_voices)[starts + np.maximum(place, ZERO) % self.memory] * known[:, None]
        agreement = self.buckets.take(length) * known
        return RepeatState(codes, keys, recent, state.now, there, place, length, agreement, known.astype(np.int64))


def _put(state: RepeatState, rows: np.ndarray, part: RepeatState) -> RepeatState:
    """`state` with the rows of `part` in place of `rows`; arrays of `part` may be narrower."""

    def replaced(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old = old.copy()
        if old.ndim == 1:
            old[rows] = new
        else:
            old[rows, : new.shape[1]] = new
        return old

    return RepeatState(*map(replaced, state, part))
