"""The voices of a staff: chords that follow each other, and as few such lines as the notes allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_LEAP = 12  # semitones by which a line would rather leap than begin after a rest


class Chord(NamedTuple):
    """Notes that begin and end together, in units: their indices, lowest first."""

    start: int
    end: int
    notes: tuple[int, ...]
    pitch: float  # in the middle

    def cut(self, start: int, end: int) -> Chord:
        """What of the chord sounds from `start` to `end`."""
        return self._replace(start=max(self.start, start), end=min(self.end, end))


def chords_of(notes: np.ndarray, index: np.ndarray) -> list[Chord]:
    """The chords that `notes[index]` make, in order of time, the higher first."""
    together: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for i, start, end in zip(index.tolist(), notes["start"][index].tolist(), notes["end"][index].tolist(), strict=True):
        together[start, end].append(i)
    chords = []
    for (start, end), members in together.items():
        members.sort(key=lambda i: int(notes["pitch"][i]))
        chords.append(Chord(start, end, tuple(members), float(notes["pitch"][members].mean())))
    return sorted(chords, key=lambda chord: (chord.start, -chord.pitch))


def voices_of(chords: Iterable[Chord]) -> list[list[Chord]]:
    """`chords` (by start, the higher first) in voices that each have one at a time: the highest voice, the lowest,
    then those between."""
    voices: list[list[Chord]] = []
    for chord in chords:
        free = [voice for voice in voices if voice[-1].end <= chord.start]
        if free:
            near = min(free, key=lambda v: abs(v[-1].pitch - chord.pitch) + _LEAP * (v[-1].end < chord.start))
            near.append(chord)
        else:
            voices.append([chord])
    voices.sort(key=lambda voice: -sum(chord.pitch for chord in voice) / len(voice))
    return voices[:1] + voices[:0:-1][:1] + voices[1:-1] if len(voices) > 2 else voices


def readable(notes: np.ndarray, index: np.ndarray, units: int) -> np.ndarray:
    """The ends of `notes[index]`, moved so that what was played can be read from one staff: (len(index),) int64.

    Notes struck together end together where one is not twice as long as the other. They last to the next onset
    where they end near it, and no more than two chords sound at once.
    """
    start = notes["start"][index].astype(np.int64)
    end = notes["end"][index].astype(np.int64)
    onsets = np.unique(start)
    held = 0  # until when a chord sounds on below what comes
    for onset, after in zip(onsets.tolist(), [*onsets[1:].tolist(), None], strict=True):
        struck = np.flatnonzero(start == onset)
        long = end[struck] - onset >= 2 * (end[struck].min() - onset)
        groups = [struck[~long], struck[long]] if long.any() and held <= onset else [struck]
        for number, members in enumerate(groups):
            length = int(np.sort(end[members])[len(members) // 2]) - onset  # of the middle one
            may_hold = held <= onset and number + 1 == len(groups)
            length = length if after is None else _readable_length(length, after - onset, units, may_hold)
            end[members] = onset + length
            if after is not None and onset + length > after:
                held = onset + length
    return end


def _readable_length(length: int, gap: int, units: int, may_hold: bool) -> int:
    """How long a chord of `length` is written where the next one begins after `gap`."""
    over = length - gap
    if over > 0:
        return length if may_hold and over >= units and 2 * over >= length else gap
    legato = -over <= units // 2 or 2 * length >= gap
    return gap if legato and gap <= 2 * units else length
