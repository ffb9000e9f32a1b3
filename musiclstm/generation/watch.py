"""Signs that a model has lost its way: loops, silence, a density that is stuck, a distribution that has collapsed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from musiclstm.tokenizers.vocabulary import Vocabulary

SPAN = 4  # bars that are looked at together
TIMES = 3  # what is played so often without a change is a loop
SILENT_BARS = 2
TOO_DENSE = 4.0  # times the notes a bar of the piece so far, or as many times fewer
COLLAPSED, DISSOLVED = 0.01, 0.97  # of the logarithm of the number of tokens: entropy below and above is no music
SHORTEST = 24  # tokens: fewer than this show no loop
USUAL = 256  # bars of the past that say what is usual


@dataclass
class Bars:
    """What a sequence has been so far: for each bar where it ends (tokens), its notes and its mean entropy."""

    ends: list[int] = field(default_factory=list)
    notes: list[int] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ends)

    def cut(self, length: int) -> None:
        """Forgets the bars from the `length`-th on."""
        del self.ends[length:], self.notes[length:], self.entropy[length:]

    def copy(self) -> Bars:
        return Bars(self.ends[:], self.notes[:], self.entropy[:])


class Watch:
    """Judges a sequence at each bar line by its last bars. In a batch some row is at one nearly always."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        begins = [kind for kind in vocabulary.types if kind in ("Pitch", "NoteOn", "Drum", "PitchDrum")]
        self._begins = np.zeros(len(vocabulary), bool)
        for kind in begins:
            self._begins[list(vocabulary.range(kind))] = True
        self._largest = math.log(len(vocabulary))

    def add(self, bars: Bars, tokens: np.ndarray, entropy: float, completed: int = 1) -> None:
        """Writes down the bars that `tokens` are, of which all but the first are empty where there are several.

        entropy: of the distributions that they were drawn from, in nats, on average.
        """
        end = (bars.ends[-1] if bars.ends else 0) + len(tokens)
        notes = int(np.count_nonzero(self._begins.take(tokens)))
        for number in range(completed):
            bars.ends.append(end)
            bars.notes.append(notes if number == 0 else 0)
            bars.entropy.append(entropy)

    def judge(self, bars: Bars, tokens: np.ndarray) -> str | None:
        """What is wrong with the last bars of `tokens`, all of a sequence, in some words; None where nothing is."""
        notes = bars.notes
        if len(notes) >= SILENT_BARS and not any(notes[-SILENT_BARS:]) and any(notes):
            return f"nothing begins in {SILENT_BARS} bars"
        if len(notes) <= SPAN:
            return None
        if shortest_period(tokens[bars.ends[-SPAN - 1] :]) is not None:
            return f"the same over and over for {SPAN} bars"
        entropy = sum(bars.entropy[-SPAN:]) / SPAN / self._largest
        if entropy < COLLAPSED:
            return f"no choice left in {SPAN} bars"
        if entropy > DISSOLVED:
            return f"nothing but chance in {SPAN} bars"
        before = notes[-USUAL - SPAN : -SPAN]
        if len(before) >= 2 * SPAN:
            usual, now = sum(before) / len(before), sum(notes[-SPAN:]) / SPAN
            if now > TOO_DENSE * max(usual, 1) or now * TOO_DENSE < usual:
                return f"{now:.0f} notes a bar after {usual:.0f}"
        return None


def shortest_period(tokens: np.ndarray) -> int | None:
    """The shortest period with which `tokens` repeat `TIMES` times or more; None where they do not."""
    if len(tokens) < SHORTEST:
        return None
    said, width, longest = tokens.tobytes(), tokens.itemsize, len(tokens) // TIMES
    beginning = said[: len(said) - longest * width]  # comes again after each period
    place = said.find(beginning, 1)
    while place >= 0:
        if place % width == 0 and said.startswith(said[place:]):
            return place // width
        place = said.find(beginning, place + 1)
    return None
