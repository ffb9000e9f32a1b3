"""One piece after the other: what music without end is, where the model wants to end."""

from __future__ import annotations

import numpy as np

from musiclstm.score import Score, bar_ticks, sort_notes
from musiclstm.tokenizers.vocabulary import BOS, EOS


def pieces_of(ids: np.ndarray) -> list[np.ndarray]:
    """The sequences that `ids` (T,) hold one after the other, each from BOS on; only the first says BOS itself."""
    cuts = np.flatnonzero(ids[:-1] == EOS) + 1
    first, *others = np.split(ids, cuts)
    begin = np.array([BOS], ids.dtype)
    return [first, *(np.concatenate([begin, part]) for part in others)]


def next_line(score: Score) -> int:
    """The tick of the first bar line at or after the end of the last note."""
    meter = score.meters[-1]
    bar = bar_ticks(int(meter["numerator"]), int(meter["denominator"]), score.ticks_per_quarter)
    lines = score.bar_starts(score.end + bar + 1)
    return int(lines[lines >= score.end][0])


def follow(score: Score, after: Score) -> Score:
    """`score`, and from its next bar line on `after`, whose pickup stands at the end of a bar of its own."""
    line, scale = next_line(score), score.ticks_per_quarter / after.ticks_per_quarter

    def scaled(ticks: np.ndarray) -> np.ndarray:
        return np.rint(ticks * scale).astype(np.int64)

    begin = line
    if after.first_bar:
        meter = after.meters[0]
        bar = bar_ticks(int(meter["numerator"]), int(meter["denominator"]), score.ticks_per_quarter)
        begin += bar - int(scaled(np.array(after.first_bar)))
    notes, tempos, meters = after.notes.copy(), after.tempos.copy(), after.meters.copy()
    for name in ("start", "end"):
        notes[name] = scaled(notes[name]) + begin
    for events in (tempos, meters):
        events["tick"] = scaled(events["tick"]) + begin
        events["tick"][0] = line
    return score.replace(
        notes=sort_notes(np.concatenate([score.notes, notes])),
        tempos=np.concatenate([score.tempos[score.tempos["tick"] < line], tempos]),
        meters=np.concatenate([score.meters[score.meters["tick"] < line], meters]),
    )
