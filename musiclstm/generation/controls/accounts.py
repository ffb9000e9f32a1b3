"""What is known of a bar under way: its notes so far, how many it still needs, and where they may begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from musiclstm.generation.controls.settings import MANY
from musiclstm.tokenizers.grammar import Clock

if TYPE_CHECKING:
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.generation.controls.writers import Writer

COUNTING = ("density", "rhythm", "bars", "notes", "no_repeat", "ending")  # for these, notes are counted
_KEYS = np.random.default_rng(0).integers(1, 1 << 63, (1024, 128), dtype=np.uint64)  # of a note, by position and pitch


class PlanState(NamedTuple):
    """What a plan knows of each sequence. A bar's notes are those that begin in it.

    All up to `reserved` follow from the clock and change only when it does.
    """

    clock: Clock
    segment: np.ndarray
    """(B,)"""
    row: np.ndarray
    """Of `Tables.rows`, (B,)."""
    rhythm: np.ndarray
    """The row of the rhythm in the present bar, (B,)."""
    wrong: np.ndarray
    """Whether the meter in force is none that may be, (B,) bool."""
    pickup: np.ndarray
    """Its steps, (B,)."""
    last: np.ndarray
    """Whether this is the last bar, (B,) bool."""
    stop: np.ndarray
    """The position at which the bar, or the piece in it, ends; (B,)."""
    over: np.ndarray
    """Whether the piece has come to its end, (B,) bool."""
    zone: np.ndarray
    """The position of the last sonority in the last bar, `MANY` elsewhere; (B,)."""
    may: np.ndarray
    """Whether a note may begin now for all that rhythm and ending say, (B,) bool."""
    must: np.ndarray
    """Whether one must, (B,) bool."""
    later: np.ndarray
    """At how many later steps of the bar notes may begin, (B,)."""
    reserved: np.ndarray
    """How many notes those need, (B,)."""
    low: np.ndarray
    """The fewest notes of the bar, (B,)."""
    high: np.ndarray
    """The most, (B,)."""
    begun: np.ndarray
    """Notes in the bar so far, (B,)."""
    total: np.ndarray
    """Notes before the bar in its stretch of density, (B,)."""
    struck: np.ndarray
    """Notes begun at the present step, (B,)."""
    mark: np.ndarray
    """Stands for the notes of the bar so far, 0 for none; uint64, (B,)."""
    history: np.ndarray
    """The marks of the bars before, the latest first; uint64, (B, N)."""
    together: np.ndarray
    """The pitches begun at the present step, (B, 128) bool, where several instruments may begin one; else (B, 0)."""


class Owed(NamedTuple):
    """What a bar needs before it is over, each (B,)."""

    need: np.ndarray
    """How many notes have to begin before the present step is over, without those that are given."""
    owing: np.ndarray
    """How many before the bar is over."""
    spare: np.ndarray
    """How many may, besides those that something else needs."""
    may: np.ndarray
    """Whether one may now, bool."""


class Accounts:
    """The books of a plan: they follow from the clock and the notes that begin. All arrays are of B sequences."""

    def __init__(self, tables: Tables | None, writer: Writer | None, fixed: Fixed | None) -> None:
        self.tables: Any = tables
        self.writer: Any = writer
        self.fixed = fixed
        self.counting = tables is not None and tables.has(*COUNTING)
        repeats = tables is not None and tables.has("no_repeat")
        self.longest_repeat = int(tables.repeat.max()) if tables is not None and repeats else 0
        self.newer = np.arange(self.longest_repeat)

    def owed(self, p: PlanState, most: np.ndarray, coming: np.ndarray | None = None) -> Owed:
        """What the bar still needs. `most` (B,): how many notes may begin at each later step; `coming` (B,): how many
        of those that have to occur are to begin at the present one."""
        owing, spare = p.low - p.begun, p.high - p.begun
        if self.longest_repeat:
            owing = np.maximum(owing, self.repeats(p, p.mark))
        must, reserved = p.must & (p.struck == 0), p.reserved
        if coming is not None and self.fixed is not None:
            step = p.clock.step
            given = coming + self.fixed.begin_from(step + 1, step - p.clock.position + p.stop)
            owing, must, reserved = owing - given, must & (coming == 0), np.maximum(reserved, given)
            if self.writer.fills:  # the last step needs something that sounds
                end = step - p.clock.position + p.stop
                reserved = reserved + (p.last & (step < end - 1) & (self.fixed.steps < end))
        # Where none may and none will, what is owed is a dead end.
        need = np.maximum(must, owing - p.later * most) * (p.may | (p.later == 0)) * ~p.over
        spare = spare - reserved
        return Owed(need, owing, spare, p.may & (spare > 0))

    def repeats(self, pstate: PlanState, mark: np.ndarray) -> np.ndarray:
        """Whether a bar of this mark ((B,) or (B, C)) would be one of those before it: bool, same shape."""
        count = self.tables.repeat.take(pstate.segment)
        if mark.ndim == 1:
            same = (pstate.history == mark[:, None]) & (self.newer < count[:, None])
            return same.any(1) & (mark > 0)
        same = (pstate.history[:, None] == mark[:, :, None]) & (self.newer < count[:, None])[:, None]
        found: np.ndarray = same.any(2) & (mark > 0)
        return found

    @staticmethod
    def marks(position: np.ndarray) -> np.ndarray:
        """What each pitch adds to the mark of a bar at positions (B,): uint64, (B, 128)."""
        return _KEYS.take(position, 0)

    def count(self, p: PlanState, begins: np.ndarray, pitch: np.ndarray, position: np.ndarray) -> PlanState:
        mark, together = p.mark, p.together
        if self.longest_repeat:
            fresh = begins
            if together.shape[1]:
                rows = np.arange(len(pitch))
                fresh = begins & ~together[rows, pitch]
                together = together.copy()
                together[rows, pitch] |= begins
            mark = mark + np.where(fresh, _KEYS[position, pitch], np.uint64(0))
        return p._replace(begun=p.begun + begins, struck=p.struck + begins, mark=mark, together=together)

    def enter_bar(self, p: PlanState, clock: Clock) -> PlanState:
        """Counts anew in the rows that have come to another bar than that of `p.clock`."""
        tables = self.tables
        segment = tables.segments(clock.bar)
        if not self.counting:
            return p._replace(segment=segment)
        changed = clock.bar != p.clock.bar
        history, mark = p.history, p.mark
        if self.longest_repeat:
            older = np.concatenate([mark[:, None], history[:, :-1]], axis=1)
            history = np.where(changed[:, None], older, history)
            mark = np.where(changed, np.uint64(0), mark)
        total = np.where(changed, self.notes_before(p, clock.bar), p.total)
        count = np.where(changed, 0, p.begun)
        low, high = self.bounds(clock.bar, total)
        return p._replace(
            segment=segment, history=history, mark=mark, total=total, begun=count,
            low=low, high=high,
        )  # fmt: skip

    def notes_before(self, p: PlanState, bar: np.ndarray) -> np.ndarray:
        """The notes of a stretch of density before `bar` (B,), if that is the bar after the present one."""
        tables = self.tables
        density = tables.density_of.take(tables.segments(bar))
        same = (tables.density_of.take(p.segment) == density) & (bar > tables.density_from.take(density))
        return (p.total + p.begun * (p.clock.bar >= 0)) * same

    def bounds(self, bar: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The fewest and the most notes that a bar may have after `total` before it in its stretch; each (B,)."""
        tables = self.tables
        density = tables.density_of.take(tables.segments(bar))
        low, high, average = (table.take(density) for table in (tables.fewest, tables.most, tables.average))
        by_average = average == average
        if np.count_nonzero(by_average):
            slack = np.maximum(1, average / 2) + 1e-9
            middle = average * (bar - tables.density_from.take(density) + 1) - total
            most = middle + slack
            if tables.needs_last_note:  # in the last bar there has to be room for one
                ahead = tables.last_bar - bar
                keeps = (ahead > 0) & (tables.density_of[tables.segments(np.array(tables.last_bar))] == density)
                most = np.where(keeps, np.minimum(most, most + average * ahead - 1), most)
            low = np.where(by_average, np.ceil(np.nan_to_num(middle - slack)), low).astype(np.int64)
            high = np.where(by_average, np.floor(np.nan_to_num(most)), high).astype(np.int64)
        pickup = bar < 0
        low, high = np.maximum(np.where(pickup, 0, low), 0), np.maximum(np.where(pickup, MANY, high), 0)
        if tables.last_bar is not None:
            low = np.where(bar >= tables.last_bar, int(tables.needs_last_note), low)
        return low, high

    def settle(self, p: PlanState, clock: Clock, meter: np.ndarray, pickup: np.ndarray | None = None) -> PlanState:
        """What follows from where the next token stands."""
        tables = self.tables
        segment, position = p.segment, clock.position
        row = tables.row_at(segment, clock.bar, position, clock.length, meter)
        wrong = ~tables.meters[segment, meter]
        if not self.counting:
            return p._replace(clock=clock, row=row, wrong=wrong)
        steps = p.pickup if pickup is None or not np.count_nonzero(pickup) else np.maximum(p.pickup, pickup)
        stop, zone, last, over, rhythm = clock.length, p.zone, p.last, p.over, p.rhythm
        rhythmic, ending = "rhythm" in tables.asked, False
        if rhythmic:
            rhythm = tables.rhythm_row[segment, clock.length]
        if tables.last_bar is not None:
            last = clock.bar >= tables.last_bar
            ending = bool(np.count_nonzero(last))
        if ending:
            if not tables.whole_last_bar:
                stop = np.maximum(stop - last * steps, 0)
            over = (clock.bar > tables.last_bar) | (last & (position >= stop))
            wrong &= ~over  # no bar follows that could have another
            if "ending" in tables.asked:
                zone = np.where(last, self.zone(rhythm, meter, stop), MANY)
        elif np.count_nonzero(p.last):  # gone back to before the last bar
            over, zone = over & False, zone * 0 + MANY
        beyond = np.minimum(stop, zone + 1) if ending else stop
        if rhythmic:
            here = tables.struck_at[rhythm, position]
            after = np.minimum(position + 1, beyond)
            later = np.maximum(tables.before[rhythm, beyond] - tables.before[rhythm, after], 0)
            may = here & (position < beyond)
            must = may & (rhythm > 0)
            reserved = later * (rhythm > 0)
        else:
            later = np.maximum(beyond - position - 1, 0)
            may = position < beyond
            must, reserved = last & False, later * 0
        if ending:
            must, may = (must | (position == zone)) > over, may > over
            reserved = np.maximum(reserved, (zone < MANY) & (position < zone))
            later, reserved = later * ~over, reserved * ~over
        moved = (clock.step != p.clock.step) | (clock.bar != p.clock.bar) | (position != p.clock.position)
        together = p.together & ~moved[:, None] if p.together.shape[1] else p.together
        return p._replace(
            clock=clock, row=row, wrong=wrong, rhythm=rhythm, pickup=steps, last=last, stop=stop, over=over,
            zone=zone, may=may, must=must, later=later, reserved=reserved,
            struck=np.where(moved, 0, p.struck), together=together,
        )  # fmt: skip

    def zone(self, rhythm: np.ndarray, meter: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """The position of the last sonority in a last bar of `stop` steps: the last x of its rhythm, else the last
        beat, or the last note that is given if that is later; (B,)."""
        tables = self.tables
        found = np.where(rhythm > 0, tables.last_x[rhythm, stop], tables.bars.last_beat[meter, stop])
        return found if self.fixed is None else np.maximum(found, self.fixed.last_position)
