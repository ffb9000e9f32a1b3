"""Notes that have to occur: where they stand on a tokenizer's steps, and whether all else lets them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.general_midi import program_name
from musiclstm.generation.controls.reading import PICKUP, Controls, Stretch, Value
from musiclstm.generation.controls.settings import MANY, Notes
from musiclstm.generation.controls.theory import pitch_name
from musiclstm.score import DRUMS, PEDAL, Score, as_meter

if TYPE_CHECKING:
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.generation.controls.writers import Writer
    from musiclstm.tokenizers.base import Tokenizer

EXACT = 1e-6  # of a step, for what floats round


@dataclass
class Fixed:
    """The notes as the tokenizer keeps them, times in its steps."""

    name: str
    score: Score
    voice: int | None
    """The index of the voice that sings them and nothing else."""
    pickup: int
    """Steps that the piece begins with before its first full bar."""
    last_position: int = 0
    """In the last bar, of the last of them."""

    def __post_init__(self) -> None:
        self.notes = self.score.notes
        self.start, self.end = (self.notes[name].astype(np.int64) for name in ("start", "end"))
        self.pitch, self.program = (self.notes[name].astype(np.int64) for name in ("pitch", "program"))
        self.steps = int(self.end.max())
        self.before = np.searchsorted(self.start, np.arange(self.steps + 2))
        """(steps + 2,): how many begin before each step."""
        sounding = np.zeros(self.steps + 2, np.int64)
        pitched = self.program != DRUMS
        np.add.at(sounding, self.start[pitched], 1)
        np.subtract.at(sounding, self.end[pitched], 1)
        self.sounding = np.cumsum(sounding)
        """(steps + 2,): how many sound at each step, drums excepted."""

    def begin_from(self, step: np.ndarray, until: np.ndarray) -> np.ndarray:
        """How many begin from `step` on and before `until`, same shape."""
        return self.before.take(np.minimum(until, self.steps + 1)) - self.before.take(np.minimum(step, self.steps + 1))

    def settle(self, controls: Controls, tables: Tables) -> None:
        """Lays the notes into the bars, sees whether they keep to everything else, and finds the last bar."""
        lines, meters = self._lines(tables)
        index = np.searchsorted(lines, self.start, "right") - 1
        offset = 1 if self.pickup else 0
        bars = index - offset
        lengths = tables.bars.lengths[meters[index]]
        position = self.start - lines[index]
        position = np.where(bars < 0, lengths - self.pickup + self.start, position)
        self._check(controls, tables, bars, position, lengths, meters[index])
        last = int(np.searchsorted(lines, self.steps - 1, "right")) - 1
        if tables.last_bar is None:
            tables.last_bar = max(last - offset, 0)
            line = int(lines[tables.last_bar + offset])
            tables.whole_last_bar = (
                self.steps - line > tables.bars.lengths[meters[tables.last_bar + offset]] - self.pickup
            )
        else:
            line = int(lines[tables.last_bar + offset]) if tables.last_bar + offset < len(lines) else MANY
            if line < MANY:
                end = line + int(tables.bars.lengths[meters[tables.last_bar + offset]]) - self.pickup
                if self.steps > end:
                    raise UserError(
                        f"notes={self.name} and bars={tables.last_bar + 1}: the notes sound beyond the last bar; ask "
                        f"for {last - offset + 1 + (self.pickup > 0)} bars or fewer notes"
                    )
        mine = position[bars == tables.last_bar]
        self.last_position = int(mine.max(initial=0))

    def _lines(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        """The steps at which bars begin, up to one behind the last note, and their meters."""
        bar, step = (-1 if self.pickup else 0), 0
        lines, meters = [], []
        while step <= self.steps:
            meter = int(tables.meters[int(tables.segments(np.array(max(bar, 0))))].argmax())
            lines.append(step)
            meters.append(meter)
            step += self.pickup if bar < 0 else int(tables.bars.lengths[meter])
            bar += 1
        return np.array(lines), np.array(meters)

    def _check(
        self, controls: Controls, tables: Tables, bars: np.ndarray, position: np.ndarray, length: np.ndarray,
        meter: np.ndarray,
    ) -> None:  # fmt: skip
        segment = tables.segments(bars)
        row = tables.row_at(segment, bars, position, length, meter)
        pitched = self.program != DRUMS
        wrong = {"key, pitch_range or chords": pitched & ~tables.pitches[row, self.pitch]}
        if tables.has("rhythm"):
            wrong["rhythm"] = ~tables.struck_at[tables.rhythm_row[segment, length], position]
        if tables.has("polyphony"):
            wrong["polyphony"] = self.sounding[self.start] > tables.polyphony[segment]
        if tables.has("density"):
            number = np.bincount(bars + 1)[bars + 1]
            wrong["density"] = (bars >= 0) & (number > tables.most[tables.density_of[segment]])
        if tables.has("instruments"):
            allowed = [controls.stretches("instruments")]
            programs = [self._programs(allowed[0], int(bar)) for bar in bars]
            wrong["instruments"] = np.array(
                [p is not None and int(g) not in p for p, g in zip(programs, self.program, strict=True)]
            )
        for names, which in wrong.items():
            if which.any():
                i = int(which.argmax())
                bar = int(bars[i])
                what = pitch_name(int(self.pitch[i]))
                if names == "instruments":
                    what += f" of {program_name(int(self.program[i]))}"
                raise UserError(
                    f"notes={self.name}: {what} in bar {bar + 1} does not keep to the {names} asked for "
                    f"({controls.at_work(bar)}): change the notes or that"
                )

    @staticmethod
    def _programs(parts: Any, bar: int) -> tuple[int, ...] | None:
        for part in parts:
            if part.first <= bar and (part.stop is None or bar < part.stop):
                programs: tuple[int, ...] | None = part.value.parsed if part.value else None
                return programs
        return None


def fix_notes(controls: Controls, tokenizer: Tokenizer, writer: Writer) -> Fixed:
    """The notes of `notes=` on the steps of a tokenizer. Raises UserError where it cannot say them."""
    notes: Notes = controls.get("notes")
    score, voice = notes.score, controls.get("voice")
    tracks = np.unique(score.notes["track"])
    if voice is not None:
        if writer.num_voices == 1:
            raise UserError("voice=1 of a model that has one voice leaves nothing to write: leave it out")
        if len(tracks) > 1 and voice > len(tracks):
            raise UserError(f"voice={voice}, and notes={notes.name} has {len(tracks)} tracks: give a file that has it")
        track = tracks[0] if len(tracks) == 1 else tracks[voice - 1]
        mine = score.notes[score.notes["track"] == track].copy()
        mine["track"] = voice - 1
        score = score.replace(notes=mine)
    reason = tokenizer.admits(score)
    if reason is not None:
        raise UserError(f"notes={notes.name} has {reason}, which this model ({tokenizer.describe()}) cannot say")
    score = score.replace(pedals=np.zeros(0, PEDAL))  # the notes are to end where they end
    kept = tokenizer.quantise(score)
    _check_exact(notes.name, score, kept, tokenizer, writer)
    return Fixed(notes.name, kept, None if voice is None else voice - 1, kept.first_bar)


def _check_exact(name: str, score: Score, kept: Score, tokenizer: Tokenizer, writer: Writer) -> None:
    """Raises UserError where `kept`, the notes of `score` as a tokenizer keeps them, are not the same notes."""
    told = f"which this model ({tokenizer.describe()}) cannot say exactly: change it or leave it out"
    denominator = int(score.meters["denominator"][0])
    if kept.first_bar and as_meter(kept.first_bar, kept.ticks_per_quarter, denominator) is None:
        raise UserError(f"notes={name} begins with a pickup of no whole number of 128ths, {told}")
    part = ["pitch", "program"] if tokenizer.name == "remi" else ["pitch"]
    left = Counter(zip(kept.notes["start"], kept.notes["end"], *(kept.notes[each] for each in part), strict=True))
    exact = [_in_steps(score, kept, score.notes[time], writer.in_seconds) for time in ("start", "end")]
    start, end = (np.floor(times + 0.5).astype(np.int64) for times in exact)
    near = 0.5 if writer.in_seconds else 0.0  # a performance may be 5 ms off
    off = sum(np.abs(times - np.floor(times + 0.5)) > near + EXACT for times in exact)
    lines = score.bar_starts(score.end + 1)
    for i, note in enumerate(score.notes):
        key = (start[i], end[i], *note[part])
        left[key] -= 1
        if not off[i] and left[key] >= 0:
            continue
        same = (score.notes["pitch"] == note["pitch"]) & (start <= end[i]) & (end >= start[i])
        if note["program"] == DRUMS and DRUMS not in kept.notes["program"]:
            why = "is one of the drums"
        elif off[i]:
            why = "does not begin and end on the model's steps"
        elif end[i] <= start[i]:
            why = "is shorter than the model's step"
        elif same.sum() > 1:
            why = "touches or overlaps another of its pitch"
        else:
            why = "has a length that the model does not know"
        bar = int(np.searchsorted(lines, note["start"], "right")) - (score.first_bar > 0)
        raise UserError(f"notes={name}: {pitch_name(int(note['pitch']))} in bar {bar} {why}, {told}")


def _in_steps(score: Score, kept: Score, ticks: np.ndarray, in_seconds: bool) -> np.ndarray:
    """Ticks of `score` in the steps of `kept`, not rounded: float64."""
    if in_seconds:
        return kept.ticks(score.seconds(ticks))
    return ticks * (kept.ticks_per_quarter / score.ticks_per_quarter)


def with_meters_of(controls: Controls, fixed: Fixed, in_seconds: bool) -> Controls:
    """`controls` with the meters of the notes where none is asked for: the bars are then those of the notes."""
    if in_seconds:
        return controls
    if "meter" not in controls.asked():
        return in_meters_of(controls, fixed.score)
    _, n, d = fixed.score.meters[0].tolist()
    own = Value((n, d), f"{n}/{d}")
    parts = [part if part.value else part._replace(value=own) for part in controls.stretches("meter")]
    length = parts[0].value
    assert length is not None
    n, d = length.parsed
    if fixed.pickup >= n * 4 * fixed.score.ticks_per_quarter // d:
        fixed.pickup = 0
    return _in_meters(controls, parts)


def in_meters_of(controls: Controls, score: Score) -> Controls:
    """`controls` with the meters of `score`."""
    own = [(tick, Value((int(n), int(d)), f"{n}/{d}")) for tick, n, d in score.meters.tolist()]
    lines = score.bar_starts(score.end + 1)
    offset = 1 if score.first_bar else 0
    firsts = [PICKUP] + [int(np.searchsorted(lines, tick)) - offset for tick, _ in own[1:]]
    parts = [
        Stretch(first, stop, value) for first, stop, (_, value) in zip(firsts, [*firsts[1:], None], own, strict=True)
    ]
    return _in_meters(controls, parts)


def _in_meters(controls: Controls, parts: list[Stretch]) -> Controls:
    whole = {name: value for name, value in controls.whole.items() if name != "meter"}
    return replace(controls, whole=whole, sections={**controls.sections, "meter": parts})
