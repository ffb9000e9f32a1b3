"""Which token may follow in a sequence of frames."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.base import Features
from musiclstm.tokenizers.frames_repeats import PITCHES, FrameRepeats, RepeatState
from musiclstm.tokenizers.grammar import ONE, ZERO, Clock, Grammar, columns, row_starts, thresholds
from musiclstm.tokenizers.metre import BarState, Metre, MetreGrammar, bars_so_far
from musiclstm.tokenizers.vocabulary import EOS, Vocabulary


class FramesState(NamedTuple):
    bar: BarState
    before: np.ndarray
    """The pitches of the last frame that was closed, (B, 128) bool."""
    present: np.ndarray
    """Those said so far of the next one, (B, 128) bool."""
    above: np.ndarray
    """The lowest pitch that may be said next, up to 128, where that is none; (B,)."""
    low: np.ndarray
    """The lowest pitch of the next frame plus 1, 0 where none has been said; (B,)."""
    low_before: np.ndarray
    """The lowest pitch of the last frame that was closed plus 1, 0 where nothing sounds in it; (B,)."""
    high_before: np.ndarray
    """Likewise the highest."""
    repeats: RepeatState


class FramesGrammar(Grammar[FramesState]):
    """Pitches ascend within a frame; a meter changes only at a bar line, and not back to itself; the piece ends
    only after a frame in which something sounds."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        metre: Metre,
        repeats: FrameRepeats,
        features: Features,
        seconds_per_step: float,
    ) -> None:
        self.repeats, self.told = repeats, features.told
        size, pitch, frame = len(vocabulary), vocabulary.range("Pitch"), vocabulary.range("Frame")
        self.pitch = slice(pitch.start, pitch.stop)
        self.metre = MetreGrammar(metre, range(pitch.start, frame.stop), size, seconds_per_step)
        pitches = np.arange(PITCHES)
        self.table = columns(size, {frame: 1}, {pitch: pitches}, {pitch: pitches + 1})
        self.thresholds = thresholds(PITCHES)

    def start(self, batch: int) -> FramesState:
        nothing, zero = np.zeros((batch, PITCHES), bool), np.zeros(batch, np.int64)
        return FramesState(
            self.metre.start(batch), nothing, nothing, zero, zero, zero, zero, self.repeats.start(batch)
        )  # fmt: skip

    def allowed(self, state: FramesState) -> np.ndarray:
        mask = self.metre.allowed(state.bar)
        mask[:, self.pitch] &= self.thresholds.take(state.above, 0)
        mask[:, EOS] &= state.high_before > ZERO
        return mask

    def advance(self, state: FramesState, tokens: np.ndarray) -> FramesState:
        before, present, repeats = state.before, state.present, state.repeats
        low, low_before, high_before = state.low, state.low_before, state.high_before
        closes, pitch, above = self.table.take(tokens, 1)
        said, closed = np.count_nonzero(above), np.count_nonzero(closes)
        if said:
            lowest = row_starts(len(tokens), PITCHES + 1) + state.above
            repeats = self.repeats.advance(repeats, lowest, pitch, above)
        if closed:
            repeats = self.repeats.close(repeats, closes, present, state.bar.clock.step)
        if closed == len(tokens):
            before, present = present, np.zeros_like(present)
            low, low_before, high_before = np.zeros_like(low), low, state.above
        elif closed:
            frame = closes > 0
            before = np.where(frame[:, None], present, before)
            present = present > frame[:, None]
            low_before, high_before = np.where(frame, low, low_before), np.where(frame, state.above, high_before)
            low = low * (ONE - closes)
        if said:
            place = row_starts(len(tokens), PITCHES) + pitch
            present = present.copy()
            present.put(place if said == len(tokens) else place[above > 0], True)
            low = np.where(low, low, above)
        bar = self.metre.advance(state.bar, tokens, closes)
        return FramesState(bar, before, present, above, low, low_before, high_before, repeats)

    def features(self, state: FramesState) -> np.ndarray:
        clock = state.bar.clock
        features = np.empty((len(state.above), 10), np.int64)
        features[:, 0] = clock.position
        features[:, 1] = state.bar.meter
        coming = self.thresholds.take(state.above, 0) & state.before
        first = coming.argmax(1)
        found = coming.take(row_starts(len(coming), PITCHES) + first)
        features[:, 2] = (first + ONE) * found
        features[:, 3] = bars_so_far(clock.bar)
        lowest = row_starts(len(state.above), PITCHES + 1) + state.above
        features[:, 4], features[:, 5] = self.repeats.features(state.repeats, lowest)
        features[:, 6], features[:, 7] = state.above, state.low
        features[:, 8], features[:, 9] = state.low_before, state.high_before
        return self.told(features)

    def clock(self, state: FramesState) -> Clock:
        return state.bar.clock
