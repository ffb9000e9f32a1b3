"""How far the music has come in a sequence of MidiTok's tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from musiclstm.tokenizers.base import Reading, carry_forward, delayed
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.vocabulary import BOS

TEMPO_READ = 120.0  # quarter notes a minute; what MidiTok itself takes where no tempo is told


@dataclass
class MidiTokReading(Reading):
    """Also, each (B,) and in quarter notes unless it says otherwise, what a `MidiTokClock` needs to go on."""

    begun: np.ndarray  # bars
    bar: np.ndarray  # where the present one began
    length: np.ndarray  # of a bar
    beat: np.ndarray  # length of one
    position: np.ndarray  # in the bar, in beats
    shifted: np.ndarray  # the sum of all shifts
    mark: np.ndarray  # what that was when the bar began


class ClockState(NamedTuple):
    """The arrays of a `MidiTokReading`, for the state of a grammar."""

    seconds: np.ndarray
    bars: np.ndarray
    begun: np.ndarray
    bar: np.ndarray
    length: np.ndarray
    beat: np.ndarray
    position: np.ndarray
    shifted: np.ndarray
    mark: np.ndarray


class MidiTokClock:
    """Bars and seconds from Bar, TimeSig, Position, Beat, Rest and TimeShift tokens, as far as a vocabulary has them.

    An estimate: bars are of 4/4 where no Bar is told, rests are not counted beside positions, the tempo is 120
    throughout, and where tracks are written one after the other the clock runs on through all of them.
    """

    def __init__(self, pieces: list[list[str]], positions_per_beat: int, bars_begun: int = 0) -> None:
        """`pieces` are the tokens that each id stands for; `bars_begun` counts bars begun without a Bar."""
        self.bars_begun = bars_begun
        self.bars, self.length, self.beat, self.position, self.shift = np.zeros((5, len(pieces)))
        self.position -= 1  # none told
        kinds = {token.partition("_")[0] for piece in pieces for token in piece}
        self.has_bars, has_positions = "Bar" in kinds, "Position" in kinds
        for i, piece in enumerate(pieces):
            for token in piece:
                kind, _, value = token.partition("_")
                if kind == "Bar":
                    self.bars[i] += 1
                    self.position[i] = 0
                elif kind == "TimeSig":
                    numerator, denominator = map(int, value.split("/"))
                    self.length[i], self.beat[i] = 4 * numerator / denominator, 4 / denominator
                elif kind == "Position":
                    self.position[i] = int(value) / positions_per_beat
                elif kind == "Beat":
                    self.shift[i] += 1
                elif kind == "TimeShift" or (kind == "Rest" and "." in value and not has_positions):
                    beats, parts, resolution = map(int, value.split("."))
                    self.shift[i] += beats + parts / resolution

    def start(self, batch: int) -> MidiTokReading:
        zero = np.zeros(batch)
        whole = np.zeros(batch, np.int64)
        return MidiTokReading(zero, whole, zero + self.bars_begun, zero, zero + 4, zero + 1, zero, zero, zero)

    def read(self, ids: np.ndarray, reading: MidiTokReading) -> MidiTokReading:
        """The reading after all of `ids` (B, T)."""
        begun, shift = self.bars[ids], self.shift[ids]
        count = reading.begun[:, None] + np.cumsum(begun, axis=1)
        length = carry_forward(self.length[ids], self.length[ids] > 0, reading.length)
        beat = carry_forward(self.beat[ids], self.beat[ids] > 0, reading.beat)
        # A bar ends under the meter that it had, which a new one may follow within the same id.
        before = delayed(length, reading.length)
        ended = np.maximum(count - 1, 0) - np.maximum(count - begun - 1, 0)
        bar = reading.bar[:, None] + np.cumsum(ended * before, axis=1)
        position = carry_forward(self.position[ids], self.position[ids] >= 0, reading.position)
        shifted = reading.shifted[:, None] + np.cumsum(shift * beat, axis=1)
        mark = carry_forward(shifted - shift * beat, begun > 0, reading.mark)
        time = (bar + position * beat + shifted - mark)[:, -1]
        bars = np.maximum(count[:, -1] - 1, 0) if self.has_bars else time // 4
        last = (array[:, -1] for array in (count, bar, length, beat, position, shifted, mark))
        return MidiTokReading(time * 60 / TEMPO_READ, bars.astype(np.int64), *last)

    def begin(self, batch: int) -> ClockState:
        """The state of `batch` sequences after BOS."""
        return self.advance(ClockState(**vars(self.start(batch))), np.full(batch, BOS))

    def advance(self, state: ClockState, tokens: np.ndarray) -> ClockState:
        """What `read` does, for one more token a row: `tokens` is int64, (B,)."""
        _, _, before, bar, length, beat, position, shifted, mark = state
        begins, told, unit, place = (table.take(tokens) for table in (self.bars, self.length, self.beat, self.position))
        begun = before + begins
        # As in `read`, a bar ends under the meter that it had.
        bar = bar + (np.maximum(begun - 1, 0) - np.maximum(before - 1, 0)) * length
        mark = np.where(begins > 0, shifted, mark)
        length, beat = np.where(told > 0, told, length), np.where(unit > 0, unit, beat)
        position = np.where(place >= 0, place, position)
        shifted = shifted + self.shift.take(tokens) * beat
        time = bar + position * beat + shifted - mark
        bars = np.maximum(begun - 1, 0) if self.has_bars else time // 4
        seconds = time * 60 / TEMPO_READ
        return ClockState(seconds, bars.astype(np.int64), begun, bar, length, beat, position, shifted, mark)

    def clock(self, state: ClockState, steps_per_quarter: int) -> Clock:
        """The clock of a grammar. Where no Bar is told, bars of 4/4 are counted from the beginning."""
        quarters = state.seconds * TEMPO_READ / 60
        if self.has_bars:
            begun, length = state.bar, state.length
        else:
            begun, length = state.bars * 4.0, np.full(len(quarters), 4.0)
        step, line, length = (np.round(part * steps_per_quarter).astype(np.int64) for part in (quarters, begun, length))
        return Clock(step, state.bars, step - line, length, state.seconds)
