"""Where a piece stops that has not ended by itself, and how its end is cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musiclstm.generation.sampling import check_number, check_whole
from musiclstm.score import Score, as_meter
from musiclstm.tokenizers.grid import LONGEST_BAR

DEFAULT_TOKENS = 8192
DEFAULT_SECONDS = 240.0
FINE = 480  # ticks per quarter note, which programs for music expect
HELD_SECONDS = 4.0  # a note that sounds no longer than this is never taken for one that was forgotten


@dataclass(frozen=True)
class Limits:
    """How much is generated at most: tokens, bars and seconds of music. Bad values raise UserError.

    Without any of them a piece goes on until it ends by itself, and stops at `DEFAULT_TOKENS` or `DEFAULT_SECONDS`.
    """

    max_tokens: int | None = None
    max_bars: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            check_whole("max_tokens", self.max_tokens)
        if self.max_bars is not None:
            check_whole("max_bars", self.max_bars)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, "above 0", lambda seconds: seconds > 0)
        if self.max_tokens is None and self.max_bars is None and self.max_seconds is None:
            object.__setattr__(self, "max_tokens", DEFAULT_TOKENS)
            object.__setattr__(self, "max_seconds", DEFAULT_SECONDS)

    def last_tick(self, score: Score, begin: int = 0) -> int | None:
        """The tick at which what began at `begin` has come to the limit in bars or seconds; None without either.

        A pickup counts as the end of the last bar, which is then as much shorter as the pickup is long.
        """
        ticks = []
        if self.max_seconds is not None:
            limit = score.ticks(score.seconds(begin) + self.max_seconds)
            ticks.append(max(int(limit + 1e-6), begin + 1))  # a whole tick that rounding made smaller stays one
        if self.max_bars is not None:
            pickup = score.first_bar if begin == 0 else 0
            lines = score.bar_starts(score.end + pickup + 1)
            lines = lines[lines > begin]
            number = self.max_bars - (pickup == 0)
            if number < len(lines):
                ticks.append(int(lines[number]) - pickup)
        return min(ticks, default=None)


def refine(score: Score) -> Score:
    """`score` in ticks short enough to cut anywhere: the same music at `FINE` ticks a quarter note or a little less."""
    factor = max(1, FINE // score.ticks_per_quarter)
    notes, tempos, meters = score.notes.copy(), score.tempos.copy(), score.meters.copy()
    for ticks in (notes["start"], notes["end"], tempos["tick"], meters["tick"]):
        ticks *= factor
    return score.replace(
        notes=notes,
        ticks_per_quarter=score.ticks_per_quarter * factor,
        tempos=tempos,
        meters=meters,
        first_bar=score.first_bar * factor,
    )


def cut_at(score: Score, tick: int, keep: int = 0) -> Score:
    """`score` up to `tick`: what begins later is gone, and notes that sound across it end there.

    Of the notes that begin before tick `keep` none is changed.
    """
    notes = score.notes[(score.notes["start"] < tick) | (score.notes["start"] < keep)]
    notes["end"] = np.where(notes["start"] < keep, notes["end"], np.minimum(notes["end"], tick))
    tempos, meters = (
        events[(events["tick"] < tick) | (events["tick"] == 0)] for events in (score.tempos, score.meters)
    )
    first_bar = score.first_bar if score.first_bar < tick else 0  # of a pickup alone nobody hears that it is one
    return score.replace(notes=notes, tempos=tempos, meters=meters, first_bar=first_bar)


def close_hanging(score: Score, begin: int = 0) -> Score:
    """A piece that was cut off, without notes that a model forgot to end and that sound until the cut.

    Such is a note that lasts to the end, for over `HELD_SECONDS` and longer than any note that ends before: it is
    made as long as that allows. Only notes that begin at tick `begin` or later are looked at.
    """
    notes = score.notes.copy()
    new, last = notes["start"] >= begin, notes["end"] == score.end
    longest = int((notes["end"] - notes["start"])[new & ~last].max(initial=0))
    held = score.ticks(score.seconds(notes["start"]) + HELD_SECONDS).astype(np.int64)
    latest = np.maximum(held, notes["start"].astype(np.int64) + longest)
    notes["end"] = np.where(new & last, np.minimum(notes["end"], latest), notes["end"])
    return score.replace(notes=notes)


def drop_before(score: Score, tick: int, room: int = 1) -> Score:
    """`score` from `tick` on, which becomes tick 0; no note may begin earlier.

    What is left of the bar there becomes a pickup. If MIDI has no meter for one so long, a little of the silence stays:
    less than `room` ticks, or else the bar lines are those that the first note tells.
    """
    lines = score.bar_starts(score.end + LONGEST_BAR * score.ticks_per_quarter)
    line, before = int(lines[lines >= tick][0]), int(lines[lines <= tick][-1])
    denominator = int(score.meters["denominator"][np.searchsorted(score.meters["tick"], tick, "right") - 1])
    first_bar = 0
    for start in range(tick, max(before - 1, tick - room), -1):
        if start == before or as_meter(line - start, score.ticks_per_quarter, denominator) is not None:
            tick, first_bar = start, 0 if start == before else line - start
            break
    notes = score.notes.copy()
    notes["start"] -= tick
    notes["end"] -= tick
    return score.replace(
        notes=notes, tempos=_shift(score.tempos, tick), meters=_shift(score.meters, tick), first_bar=first_bar
    )


def _shift(events: np.ndarray, tick: int) -> np.ndarray:
    """Tempos or meters from `tick` on, the first of them being what is in force there."""
    events = events[max(0, int(np.searchsorted(events["tick"], tick, "right")) - 1) :].copy()
    events["tick"] = np.maximum(events["tick"] - tick, 0)
    return events
