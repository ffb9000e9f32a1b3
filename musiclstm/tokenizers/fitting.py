"""What a tokenizer takes from the music that it is for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musiclstm.score import DRUMS, Score

SLOWEST, FASTEST = 4, 1000  # quarter notes a minute: slower a MIDI file cannot say, and faster nobody can


def usual_tempo(scores: Sequence[Score]) -> float:
    """The median of the tempos at which pieces begin, in quarter notes a minute; 120 without pieces."""
    tempos = [60e6 / score.tempos["microseconds"][0] for score in scores]
    return round(float(np.clip(np.median(tempos), SLOWEST, FASTEST)), 1) if tempos else 120.0


def commonest_program(scores: Sequence[Score]) -> int:
    """The program that has most notes; `DRUMS` only where there is nothing else, and 0 without notes."""
    counts = np.zeros(DRUMS + 1, np.int64)
    for score in scores:
        counts += np.bincount(score.notes["program"], minlength=DRUMS + 1)
    return DRUMS if counts[DRUMS] and not counts[:DRUMS].any() else int(np.argmax(counts[:DRUMS]))
