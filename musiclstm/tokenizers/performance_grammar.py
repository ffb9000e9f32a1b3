"""Which token may follow in a performance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.grammar import ONE, ZERO, Clock, Grammar, columns, row_starts, thresholds
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD, Vocabulary

STEPS_PER_SECOND = 100
BAR = 2 * STEPS_PER_SECOND  # a 4/4 bar at 120, the meter and tempo under which the music comes back
MOST_SOUNDING = 15
GAPS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192])  # steps; evenly spaced to the ear
AGES = np.array([4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024])  # steps that a note has sounded
PITCHES = 128
SILENT = 1 << 40  # a step that no piece comes to
NEVER = np.full(1, SILENT)
OTHER, ENDS, SHORT, LONGEST, LOUDNESS, ENDED = range(6)  # what the last token was: NoteOff, TimeShift, Velocity


class PerformanceState(NamedTuple):
    clock: Clock
    last: np.ndarray
    """The last token, (B,)."""
    since: np.ndarray
    """The step at which each pitch that sounds began, `SILENT` for the others; (B, 128)."""
    polyphony: np.ndarray
    """How many, (B,)."""
    velocity: np.ndarray
    """The bin of the Velocity in force, from 1, 0 before the first; (B,)."""
    struck: np.ndarray
    """The pitch last begun at the present time, -1 for none; (B,)."""
    begun: np.ndarray
    """The step at which a note last began, (B,)."""
    latest: np.ndarray
    """Of the last NoteOn the pitch plus one, 0 before the first; (B,)."""
    former: np.ndarray
    """Likewise of the NoteOn before it."""
    lowest: np.ndarray
    """The lowest pitch that sounds, plus one, 0 for none; (B,)."""
    highest: np.ndarray
    """Likewise the highest."""

    @property
    def sounding(self) -> np.ndarray:
        """Which pitches sound, (B, 128) bool."""
        return self.since < NEVER


class PerformanceGrammar(Grammar[PerformanceState]):
    """A note begins only where its pitch is silent and ends only where it sounds; at one time ends stand before
    beginnings, each in ascending pitch; a Velocity differs from that in force and a note follows it; after a
    TimeShift shorter than the longest no other; the piece ends with the end of its last note."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        size = len(vocabulary)
        on, off, shift, velocity = (vocabulary.range(kind) for kind in ("NoteOn", "NoteOff", "TimeShift", "Velocity"))
        self.on, self.off, self.velocity = (slice(span.start, span.stop) for span in (on, off, velocity))
        self.short, self.longest = range(shift.start, shift.stop - 1), shift.stop - 1
        longest = range(self.longest, shift.stop)
        pitch, levels = np.arange(PITCHES), np.arange(len(velocity)) + 1
        struck = np.arange(len(shift)) + 1

        # What may follow by what the last token was and the velocity in force, whatever the pitches.
        allowed = np.zeros((ENDED + 1, len(levels) + 1, size), bool)
        allowed[:ENDED, 1:, self.on] = True
        allowed[:ENDED, :, self.off] = True
        allowed[[OTHER, ENDS, LONGEST], :, shift.start : shift.stop] = True
        allowed[[OTHER, ENDS, SHORT, LONGEST], :, self.velocity] = True
        allowed[:, levels, velocity.start + levels - 1] = False
        allowed[ENDS, :, EOS] = True
        allowed[ENDED, :, PAD] = True
        self.rows, self.levels = allowed.reshape(-1, size), np.full(1, len(levels) + 1)

        kinds = {range(PAD, PAD + 1): ENDED, range(EOS, EOS + 1): ENDED, off: ENDS, self.short: SHORT}
        ending = {range(size): PITCHES, off: pitch + 1, shift: 0}  # the lowest pitch that may end next
        self.follows = columns(size, {**kinds, longest: LONGEST, velocity: LOUDNESS}, ending)
        self.table = columns(
            size,
            {on: 1},
            {off: 1},
            {on: pitch, off: pitch},
            {shift: struck},
            # Of `velocity` and `struck`: 0 where the token says a new one, and what it says.
            {range(size): 1, velocity: 0},
            {velocity: levels},
            {range(size): 1, on: 0, shift: 0},
            {on: pitch, shift: -1},
        )
        self.thresholds = thresholds(PITCHES)
        self.sounding_seen = np.minimum(np.arange(PITCHES + 1), MOST_SOUNDING)
        self.gaps = np.searchsorted(GAPS, np.arange(GAPS[-1] + 1), "right")
        self.ages = np.searchsorted(AGES, np.arange(AGES[-1] + 1), "right") + 1
        self.bar, self.longest_gap, self.pitches = np.full(1, BAR), GAPS[-1:], np.full(1, PITCHES)

    def start(self, batch: int) -> PerformanceState:
        zero = np.zeros(batch, np.int64)
        clock = Clock(zero, zero, zero, zero + BAR, zero * 0.0)
        nothing = np.full((batch, PITCHES), SILENT)
        return PerformanceState(
            clock, zero + BOS, nothing, zero, zero, zero - 1, zero - GAPS[-1], zero, zero, zero, zero
        )  # fmt: skip

    def allowed(self, state: PerformanceState) -> np.ndarray:
        kind, ending = self.follows.take(state.last, 1)
        mask = self.rows.take(kind * self.levels + state.velocity, 0)
        sounding = state.sounding
        free = self.thresholds.take(state.struck + ONE, 0) > sounding
        mask[:, self.on] &= free
        mask[:, self.off] &= self.thresholds.take(ending, 0) & sounding
        mask[:, EOS] &= state.polyphony == ZERO
        if np.count_nonzero(free[:, -1]) < len(free):  # else there is a note that a Velocity may be for
            mask[:, self.velocity] &= free.any(1, keepdims=True)
        return mask

    def advance(self, state: PerformanceState, tokens: np.ndarray) -> PerformanceState:
        clock = state.clock
        on, off, pitch, lasting, velocity_kept, velocity, struck_kept, struck = self.table.take(tokens, 1)
        since, polyphony, begun = state.since, state.polyphony, state.begun
        latest, former, lowest, highest = state.latest, state.former, state.lowest, state.highest
        change = on - off
        if np.count_nonzero(change):
            place = row_starts(len(tokens), PITCHES) + pitch
            here = since.take(place)
            since = since.copy()
            since.put(place, here + on * (clock.step - here) + off * (NEVER - here))
            polyphony = polyphony + change
            if np.count_nonzero(on):
                begun = begun + on * (clock.step - begun)
                former = former + on * (latest - former)
                latest = latest + on * (pitch + ONE - latest)
            sounding, sounds = since < NEVER, polyphony > ZERO
            lowest = (sounding.argmax(1) + ONE) * sounds
            highest = (self.pitches - sounding[:, ::-1].argmax(1)) * sounds
        if np.count_nonzero(lasting):
            step, position = clock.step + lasting, clock.position + lasting
            full = position // self.bar
            clock = Clock(step, clock.bar + full, position - full * self.bar, clock.length, step / STEPS_PER_SECOND)
        velocity += state.velocity * velocity_kept
        struck += state.struck * struck_kept
        return PerformanceState(
            clock, tokens, since, polyphony, velocity, struck, begun, latest, former, lowest, highest
        )  # fmt: skip

    def features(self, state: PerformanceState) -> np.ndarray:
        step, start = state.clock.step, row_starts(len(state.last), PITCHES)
        oldest, sounds = state.since.argmin(1), state.polyphony > ZERO
        features = np.zeros((len(state.last), 12), np.int64)
        features[:, 0] = self.sounding_seen.take(state.polyphony)
        features[:, 1] = state.velocity
        features[:, 2] = self.gaps.take(np.minimum(step - state.begun, self.longest_gap))
        features[:, 3] = state.latest
        features[:, 4] = state.former
        features[:, 5] = state.lowest
        features[:, 6] = state.highest
        features[:, 9] = (oldest + ONE) * sounds
        features[:, 11] = self._age(step, state.since.take(start + oldest)) * sounds
        bound = self.follows.take(state.last, 1)[1]
        if np.count_nonzero(bound < self.pitches):
            may_end = self.thresholds.take(bound, 0) & state.sounding
            first = may_end.argmax(1)
            some = may_end.take(start + first)
            may_end &= self.thresholds.take(first + ONE, 0)
            second = may_end.argmax(1)
            features[:, 7] = (first + ONE) * some
            features[:, 8] = (second + ONE) * may_end.take(start + second)
            features[:, 10] = self._age(step, state.since.take(start + first)) * some
        return features

    def _age(self, step: np.ndarray, since: np.ndarray) -> np.ndarray:
        return self.ages.take(step - since, mode="clip")

    def clock(self, state: PerformanceState) -> Clock:
        return state.clock

    def hold_back(self, state: PerformanceState, step: int) -> PerformanceState:
        """The prompt's own time shifts end at `step`; what follows may go on waiting, however short the last was."""
        short = (state.last >= self.short.start) & (state.last < self.short.stop)
        return state._replace(last=np.where(short, self.longest, state.last))

    def waiting(self, state: PerformanceState, step: int) -> np.ndarray:
        whole, rest = divmod(step - int(state.clock.step[0]), self.longest - self.short.start + 1)
        last = [self.short.start + rest - 1] if rest else []
        return np.array([self.longest] * whole + last, np.int64)
