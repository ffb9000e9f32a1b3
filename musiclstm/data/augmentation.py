"""Changes to notes that leave the music good: fresh in every epoch, exact, before anything is tokenised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, Score


@dataclass(frozen=True)
class Augmentation:
    """Transposition, time stretch and velocity change, each drawn uniformly for a whole piece.

    transpose: semitones, at most, up and down; drums stay, and no pitch leaves `lowest` to `highest`.
    stretch: the share by which the tempo is at most made faster or slower, below 1.
    velocity: the velocity steps added or taken away at most; the result is kept within 1 to 127.
    """

    transpose: int = 0
    stretch: float = 0.0
    velocity: int = 0
    lowest: int = 0
    highest: int = 127

    def __post_init__(self) -> None:
        if not 0 <= self.transpose <= 127:
            raise UserError(f"data.transpose is {self.transpose}: give a number of semitones from 0 to 127")
        if not 0 <= self.stretch < 1:
            raise UserError(f"data.stretch is {self.stretch}: give a share from 0 to below 1, such as 0.05")
        if not 0 <= self.velocity <= 127:
            raise UserError(f"data.velocity is {self.velocity}: give a number of steps from 0 to 127")

    def __call__(self, score: Score, random: np.random.Generator) -> Score:
        """A changed copy of `score`. It draws the same number of values from `random` whatever the score."""
        shift, stretch, gain = random.random(3)
        notes = score.notes.copy()
        pitched = notes["program"] != DRUMS
        if self.transpose and pitched.any():
            pitch = notes["pitch"][pitched].astype(np.int64)
            down = min(self.transpose, max(0, int(pitch.min()) - self.lowest))
            up = min(self.transpose, max(0, self.highest - int(pitch.max())))
            notes["pitch"][pitched] = pitch - down + int(shift * (down + up + 1))
        if self.velocity:
            change = int(gain * (2 * self.velocity + 1)) - self.velocity
            notes["velocity"] = np.clip(notes["velocity"].astype(np.int64) + change, 1, 127)
        tempos = score.tempos
        if self.stretch:
            tempos = tempos.copy()
            factor = (1 + self.stretch) ** (2 * stretch - 1)
            tempos["microseconds"] = np.maximum(1, np.round(tempos["microseconds"] * factor))
        return score.replace(notes=notes, tempos=tempos)


def pitch_range(scores: Iterable[Score]) -> tuple[int, int]:
    """The lowest and the highest pitch of the notes that are not drums; (0, 127) where there is none."""
    lowest, highest = 127, 0
    for score in scores:
        pitch = score.notes["pitch"][score.notes["program"] != DRUMS]
        if len(pitch):
            lowest, highest = min(lowest, int(pitch.min())), max(highest, int(pitch.max()))
    return (lowest, highest) if lowest <= highest else (0, 127)
