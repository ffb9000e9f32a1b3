"""The context features of `remi` that name pitches, read from whole sequences and kept token by token.

Of each program it is kept from which pitch to which it reaches at the latest position where it began notes: its extent,
`lowest << SHIFT | highest`, each a pitch plus one; 0 is none. It is told when a program comes into force or the music
moves on, so that what begins at the present position does not count yet.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.score import DRUMS
from musiclstm.tokenizers.base import carry_forward, delayed
from musiclstm.tokenizers.grammar import ZERO, row_starts
from musiclstm.tokenizers.vocabulary import Vocabulary

PITCHES = 128
FEATURES = ("last", "last_low", "last_high", "bass")  # each 0 for none, or a pitch plus one
# Of extents: the bits of the highest pitch, where those of the lowest begin, and what makes one of a pitch alone.
HIGHEST, SHIFT, ALONE = np.full(1, 255), np.full(1, 8), np.full(1, 257)
PITCH_BITS = np.full(1, 7)
PROGRAMS = DRUMS + 1  # drums have no pitches: their extent, and of no program, stays none


class PitchReading(NamedTuple):
    """What has been read of the pitches of B sequences."""

    last: np.ndarray
    """The last Pitch, plus one; (B,)."""
    bass: np.ndarray
    """The lowest of the latest step at which one began, so far, plus one; (B,)."""
    chord: np.ndarray
    """The step and program of the last Pitch, `step * (PROGRAMS + 1) + program + 1`, -1 before the first; (B,)."""
    told: np.ndarray
    """The extent that the features tell, (B,)."""
    extents: np.ndarray
    """By program, the first being none: (B, PROGRAMS + 1)."""

    @classmethod
    def start(cls, batch: int) -> PitchReading:
        zero = np.zeros(batch, np.int64)
        return cls(zero, zero, zero - 1, zero, np.zeros((batch, PROGRAMS + 1), np.int64))


def read_pitches(
    vocabulary: Vocabulary, ids: np.ndarray, step: np.ndarray, program: np.ndarray, reading: PitchReading
) -> tuple[list[np.ndarray], PitchReading]:
    """`FEATURES` after each of `ids`, with the step and the program (0 none, or plus one) there; all int64, (B, T)."""
    pitched = vocabulary.has("Pitch", ids)
    pitch = ids - vocabulary.first("Pitch") + 1
    last = carry_forward(pitch, pitched, reading.last)
    # A chord is what one program begins at one step. It ascends, and stands in one place.
    chord = carry_forward(step * (PROGRAMS + 1) + program, pitched, reading.chord)
    before = delayed(chord, reading.chord)
    begins = chord != before
    lowest = carry_forward(pitch, begins, _own(reading.extents, reading.chord % (PROGRAMS + 1)) >> SHIFT)
    later = chord // (PROGRAMS + 1) != before // (PROGRAMS + 1)
    bass = _lowest_since(np.where(pitched, pitch, PITCHES + 1), later, reading.bass)
    told, extents = _read_extents((lowest << SHIFT) + pitch, pitched, program, _turns(vocabulary, ids), reading)
    features = [last, told >> SHIFT, told & HIGHEST, bass]
    return features, PitchReading(last[:, -1], bass[:, -1], chord[:, -1], told[:, -1], extents)


def _turns(vocabulary: Vocabulary, ids: np.ndarray) -> np.ndarray:
    """Where a program comes into force or the music moves on: bool, (B, T)."""
    return vocabulary.has("Bar", ids) | vocabulary.has("Position", ids) | vocabulary.has("Program", ids)


def _read_extents(
    extent: np.ndarray, pitched: np.ndarray, program: np.ndarray, turns: np.ndarray, reading: PitchReading
) -> tuple[np.ndarray, np.ndarray]:
    """The extents told after each token (B, T) and those at the end, by program.

    extent: where `pitched`, that of the program in force, so far. Programs are not gone through one by one, as there
    may be many: the notes are sorted by sequence and program, and that before a token is searched for.
    """
    size = pitched.shape[1]
    whose = (np.arange(len(program))[:, None] * (PROGRAMS + 1) + program).reshape(-1)
    notes, asked = np.flatnonzero(pitched), np.flatnonzero(turns)
    notes = notes[np.argsort(whose[notes], kind="stable")]
    extents = reading.extents.copy()
    told = np.zeros(pitched.size, np.int64)
    told[asked] = extents.take(whose[asked])
    if len(notes):
        keys = whose[notes] * size + notes % size  # ascending
        found = np.searchsorted(keys, whose[asked] * size + asked % size) - 1
        note = notes[np.maximum(found, 0)]
        known = (found >= 0) & (whose[note] == whose[asked])
        told[asked[known]] = extent.take(note[known])
        latest = notes[np.append(np.diff(whose[notes]) != 0, True)]
        extents.put(whose[latest], extent.take(latest))
    return carry_forward(told.reshape(pitched.shape), turns, reading.told), extents


def _lowest_since(values: np.ndarray, begins: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """The lowest of `values` (B, T), none above PITCHES + 1, since the last place where `begins`; before the first,
    since `initial`, too."""
    # Lowered more with every beginning, a value is below all that stand before it.
    lowered = np.cumsum(begins, axis=1) * (PITCHES + 2)
    values = values - lowered
    values[:, 0] = np.where(begins[:, 0], values[:, 0], np.minimum(values[:, 0], initial))
    return np.minimum.accumulate(values, axis=1) + lowered


def _own(table: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Of each row of `table` (B, N) the value in its `column` (B,)."""
    return table.take(row_starts(*table.shape) + column)


class PitchState(NamedTuple):
    """What a grammar's state keeps of the pitches; as `PitchReading` names them."""

    last: np.ndarray
    bass: np.ndarray
    told: np.ndarray
    extents: np.ndarray
    """By program: (B, PROGRAMS)."""

    @classmethod
    def start(cls, batch: int) -> PitchState:
        zero = np.zeros(batch, np.int64)
        return cls(zero, zero, zero, np.zeros((batch, PROGRAMS), np.int64))

    def strike(self, pitch: np.ndarray, program: np.ndarray, struck: np.ndarray) -> PitchState:
        """When notes begin at `pitch` (plus one; 0 where none does) in `program`. `struck` is program * 128 + pitch of
        the last note at this position before, -1 for none. Each (B,)."""
        strikes = pitch > ZERO
        place = row_starts(len(pitch), PROGRAMS) + program
        extent = self.extents.take(place)
        within = (extent & ~HIGHEST) + pitch
        after = np.where(struck >> PITCH_BITS == program, within, pitch * ALONE)
        extents = self.extents.copy()
        extents.put(place, np.where(strikes, after, extent))
        bass = np.where(struck < ZERO, pitch, np.minimum(self.bass, pitch))
        return PitchState(np.where(strikes, pitch, self.last), np.where(strikes, bass, self.bass), self.told, extents)

    def turn(self, turns: np.ndarray, program: np.ndarray) -> PitchState:
        """When `program` has come into force or the music moved on, in the rows where `turns` is not 0. Each (B,)."""
        # Of no program, -1, the place is that of the drums in the row above.
        told = self.extents.take(row_starts(len(turns), PROGRAMS) + program)
        return PitchState(self.last, self.bass, np.where(turns, told, self.told), self.extents)

    def write(self, features: np.ndarray, first: int) -> None:
        """Writes `FEATURES` to the columns of (B, F) from the first on."""
        features[:, first] = self.last
        features[:, first + 1] = self.told >> SHIFT
        features[:, first + 2] = self.told & HIGHEST
        features[:, first + 3] = self.bass
