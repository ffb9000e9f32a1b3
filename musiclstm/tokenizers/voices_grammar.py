"""Which token may follow in a sequence of voices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.base import Features
from musiclstm.tokenizers.grammar import ONE, ZERO, Clock, Grammar, columns, row_starts
from musiclstm.tokenizers.metre import BarState, Metre, MetreGrammar, bars_so_far
from musiclstm.tokenizers.vocabulary import EOS, Vocabulary
from musiclstm.tokenizers.voices_repeats import RepeatState, VoiceRepeats, coded

REST = 1  # in the feature `last`, where 0 is nothing yet and pitches begin at 2
LONGEST_RUN = 32  # steps; a note held or a rest kept longer looks the same to the model
SILENT = -1


class VoicesState(NamedTuple):
    bar: BarState
    voice: np.ndarray
    """The voice that the next token is of, (B,)."""
    pitch: np.ndarray
    """What each voice sounds, `SILENT` for nothing, (B, V). Voices before `voice` have had their say in this step."""
    since: np.ndarray
    """The step at which that, or the silence, began; (B, V)."""
    polyphony: np.ndarray
    """How many voices sound, (B,)."""
    repeats: RepeatState


class VoicesGrammar(Grammar[VoicesState]):
    """Hold follows only a sounding note; a meter changes only at a bar line, and not back to itself; the
    piece ends only after a step in which something sounds."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        metre: Metre,
        repeats: VoiceRepeats,
        features: Features,
        seconds_per_step: float,
    ) -> None:
        num_voices, size = repeats.num_voices, len(vocabulary)
        self.num_voices, self.repeats, self.told = num_voices, repeats, features.told
        self.hold, pitch = vocabulary.first("Hold"), vocabulary.range("Pitch")
        music = range(vocabulary.first("Rest"), size)
        self.metre = MetreGrammar(metre, music, size, seconds_per_step)
        begins = {vocabulary.range("Rest"): 1, pitch: 1}
        values = {vocabulary.range("Rest"): SILENT, pitch: np.arange(128)}
        self.table = columns(size, {music: 1}, begins, values)
        # By the voice after the one that spoke, up to one beyond the last: is the step over, and whose turn is it?
        self.closes = np.arange(num_voices + 1) // num_voices
        self.wraps = np.arange(num_voices + 1) % num_voices
        self.last = np.arange(129) + 2  # by the pitch; the last is that of SILENT
        self.last[SILENT] = REST
        self.runs = np.full(1, LONGEST_RUN)
        self.order = np.arange(num_voices)

    def start(self, batch: int) -> VoicesState:
        zero, voices = np.zeros(batch, np.int64), np.zeros((batch, self.num_voices), np.int64)
        return VoicesState(self.metre.start(batch), zero, voices + SILENT, voices, zero, self.repeats.start(batch))

    def allowed(self, state: VoicesState) -> np.ndarray:
        mask = self.metre.allowed(state.bar)
        own = state.pitch.take(row_starts(len(mask), self.num_voices) + state.voice)
        mask[:, self.hold] &= own >= ZERO
        mask[:, EOS] &= state.polyphony > ZERO
        return mask

    def advance(self, state: VoicesState, tokens: np.ndarray) -> VoicesState:
        bar, voice, pitch, since, polyphony, repeats = state
        spoken, begins, value = self.table.take(tokens, 1)
        own = row_starts(len(tokens), self.num_voices) + voice
        if np.count_nonzero(begins):
            before = pitch.take(own)
            after = np.where(begins, value, before)
            sounded, sounds = before >= ZERO, after >= ZERO
            fresh = (begins > ZERO) & (sounded | sounds)  # a Rest after a Rest is the same one
            pitch, since = pitch.copy(), since.copy()
            pitch.put(own, after)
            since.put(own, np.where(fresh, bar.clock.step, since.take(own)))
            polyphony = polyphony + sounds - sounded
        voice = voice + spoken
        closes = self.closes.take(voice)
        if np.count_nonzero(spoken):
            code = coded(self.last.take(pitch.take(own)), begins)
            repeats = self.repeats.advance(repeats, own, code, spoken, closes, bar.clock.step)
        bar = self.metre.advance(bar, tokens, closes)
        return VoicesState(bar, self.wraps.take(voice), pitch, since, polyphony, repeats)

    def features(self, state: VoicesState) -> np.ndarray:
        clock = state.bar.clock
        own, voices = row_starts(len(state.voice), self.num_voices) + state.voice, self.num_voices
        features = np.empty((len(own), 8 + 2 * voices * (voices > 1)), np.int64)
        features[:, 0] = state.voice
        features[:, 1] = clock.position
        features[:, 2] = state.bar.meter
        # In the first step no voice has said anything before.
        features[:, 3] = self.last.take(state.pitch.take(own)) * np.minimum(clock.step, ONE)
        features[:, 4] = np.minimum(clock.step - state.since.take(own), self.runs)
        features[:, 5] = bars_so_far(clock.bar)
        features[:, 6], features[:, 7] = self.repeats.features(state.repeats, own)
        if voices > 1:
            step = clock.step[:, None]
            features[:, 8 : 8 + voices] = self.last.take(state.pitch)
            features[:, 8 + voices :] = np.minimum(step - state.since, self.runs)
            if not step.all():
                features[:, 8 : 8 + voices] *= (step > ZERO) | (self.order < state.voice[:, None])
        return self.told(features)

    def clock(self, state: VoicesState) -> Clock:
        return state.bar.clock
