"""From what is asked for to the tables of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.controls.fixed import Fixed, fix_notes, with_meters_of
from musiclstm.generation.controls.plan import Plan
from musiclstm.generation.controls.possible import rule_out
from musiclstm.generation.controls.settings import MANY, Density
from musiclstm.generation.controls.tables import Bars, Tables
from musiclstm.generation.controls.writers import Writer, make_writer

if TYPE_CHECKING:
    from musiclstm.generation.controls.reading import Controls
    from musiclstm.tokenizers.base import Tokenizer

AFTERWARDS = {"tempo", "velocity", "instruments"}  # of those a finished score can still be given what it lacks


def compile_plan(controls: Controls, tokenizer: Tokenizer, met: np.ndarray) -> Plan:
    """See `Controls.plan`."""
    writer = make_writer(tokenizer)
    if writer is None:
        others = [name for name in controls.asked() if name not in AFTERWARDS]
        if others:
            raise UserError(
                f"{others[0]}= needs a model with a tokenizer of voices, performance, remi or frames, and this one "
                f"has {tokenizer.name}: {', '.join(sorted(AFTERWARDS))} can be asked of it"
            )
        return Plan(controls, tokenizer, None, None, None)
    _check_kind(controls, writer)
    fixed: Fixed | None = None
    barred = controls
    if controls.get("notes") is not None:
        fixed = fix_notes(controls, tokenizer, writer)
        barred = with_meters_of(controls, fixed, writer.in_seconds)
    tables = Compiler(barred, writer, met).tables()
    if fixed is not None:
        fixed.settle(controls, tables)
    return Plan(controls, tokenizer, tables, writer, fixed)


def _check_kind(controls: Controls, writer: Writer) -> None:
    for name in ("tempo", "meter"):
        if writer.in_seconds and name in controls.asked():
            raise UserError(
                f"{name}= needs a model that keeps beats, and performance tokens keep seconds: leave it out, or train "
                "with tokenizer=remi"
            )
    voice, voices = controls.get("voice"), writer.num_voices
    if voice is not None and not voices:
        raise UserError(f"voice={voice} needs a model with tokenizer=voices: leave it out")
    if voice is not None and voice > voices:
        raise UserError(f"voice={voice}, and the model has {voices} voices: give one from 1 to {voices}")


class Compiler:
    """Makes the tables, segment by segment: `values` are the settings in force in each."""

    def __init__(self, controls: Controls, writer: Writer, met: np.ndarray) -> None:
        self.controls, self.writer = controls, writer
        self.met = met if met.any() else np.ones_like(met)
        self.bars: Bars = writer.bars
        stretches = {name: controls.stretches(name) for name in controls.asked()}
        starts = sorted({part.first for parts in stretches.values() for part in parts} | {-1})
        self.values: list[dict[str, Any]] = []
        self.origin: list[dict[str, int]] = []  # the first bar of the stretch that each setting is in
        for start in starts:
            parts = {
                name: next(part for part in parts if part.first <= start and (part.stop is None or start < part.stop))
                for name, parts in stretches.items()
            }
            self.values.append({name: part.value.parsed for name, part in parts.items() if part.value is not None})
            self.origin.append({name: part.first for name, part in parts.items()})
        self.starts = starts
        self.segment_of = np.searchsorted(starts, np.arange(-1, starts[-1] + 1), "right") - 1
        last = controls.get("bars")
        self.last_bar = None if last is None else last - 1

    def tables(self) -> Tables:
        writer, values = self.writer, self.values
        self.rows: list[np.ndarray] = []
        self.pitches: list[np.ndarray] = []
        base = np.array([self._row(value, None) for value in values])
        tables = Tables(
            self.bars, len(self.met), self.segment_of, np.zeros(0), base, np.zeros(0), frozenset(self.controls.asked())
        )
        if "chords" in tables.asked:
            self._chords(tables)
        tables.polyphony = np.array([value.get("polyphony", MANY) for value in values])
        tables.repeat = np.array([value.get("no_repeat", 0) for value in values])
        tables.meters = np.ones((len(values), len(self.bars.meters)), bool)
        self._rhythms(tables)
        for segment, value in enumerate(values):
            if "meter" in value:
                tables.meters[segment] &= self._meter(value["meter"])
            if not tables.meters[segment].any():
                raise UserError(
                    f"{self.said(segment, 'rhythm', 'meter')}: its parts do not fall on steps of the model's grid"
                )
        self._densities(tables)
        self._end(tables)
        tables.pitches = np.stack(self.pitches)
        rule_out(self, tables)
        tables.rows = np.stack(self.rows)
        for segment in range(len(values)):
            rows = tables.rows[self._rows_of(tables, segment)]
            if writer.signatures:
                rows[:, writer.signatures.start : writer.signatures.stop] &= tables.meters[segment]
            tables.rows[self._rows_of(tables, segment)] = rows
        return tables

    def _rows_of(self, tables: Tables, segment: int) -> np.ndarray:
        found = [tables.base[segment : segment + 1]]
        if "chords" in tables.asked:
            found.append(tables.chord_row[segment].reshape(-1))
        return np.unique(np.concatenate(found))

    def said(self, segment: int, *names: str) -> str:
        """Settings as they were given, for a message."""
        bar = self.starts[segment]
        return " and ".join(
            f"{name}={part.value.given}"
            for name in names
            for part in self.controls.stretches(name)
            if part.value is not None and part.first <= bar and (part.stop is None or bar < part.stop)
        )

    def _row(self, value: dict[str, Any], chord: Any) -> int:
        """A row for what is in force in a segment, and a chord if one holds; its index."""
        row = np.ones(len(self.met), bool)
        pitches = np.ones(128, bool)
        number = np.arange(128)
        names = []
        if "key" in value:
            pitches &= np.isin(number % 12, list(value["key"].classes))
            names.append(f"key={value['key'].name}")
        if "pitch_range" in value:
            pitches &= (number >= value["pitch_range"].low) & (number <= value["pitch_range"].high)
            names.append(f"pitch_range={value['pitch_range']}")
        if chord is not None:
            pitches &= np.isin(number % 12, list(chord.classes))
            names.append(f"the chord {chord.name}")
        span = self.writer.pitch_tokens
        if span is not None:
            if not pitches.any():
                raise UserError(f"{' and '.join(names)} have no note in common: change one of them")
            known = pitches & self.met[span.start : span.stop]
            if not known.any():
                raise UserError(f"{' and '.join(names)}: the model met none of these notes in training; ask for others")
            pitches = known
            row[span.start : span.stop] = pitches
        self.writer.restrict(row, value, self.met)
        self.rows.append(row)
        self.pitches.append(pitches)
        return len(self.rows) - 1

    def _chords(self, tables: Tables) -> None:
        cycles = [value.get("chords", ((None,),)) for value in self.values]
        longest, most = max(map(len, cycles)), max(len(bar) for cycle in cycles for bar in cycle)
        shape = (len(cycles), longest, most)
        tables.chord_from = np.array([max(origin.get("chords", 0), 0) for origin in self.origin])
        tables.cycle = np.array([len(cycle) for cycle in cycles])
        tables.parts = np.ones(shape[:2], np.int64)
        tables.chord_row = np.broadcast_to(tables.base[:, None, None], shape).copy()
        for segment, cycle in enumerate(cycles):
            known: dict[Any, int] = {None: int(tables.base[segment])}
            for turn, bar in enumerate(cycle):
                tables.parts[segment, turn] = len(bar)
                for part, chord in enumerate(bar):
                    if chord not in known:
                        known[chord] = self._row(self.values[segment], chord)
                    tables.chord_row[segment, turn, part] = known[chord]

    def _rhythms(self, tables: Tables) -> None:
        """Rhythms by segment and length of the bar; meters in which one does not fall on the grid are ruled out."""
        longest = int(self.bars.lengths.max())
        struck = [np.ones(longest + 1, bool)]
        tables.rhythm_row = np.zeros((len(self.values), longest + 1), np.int64)
        known: dict[tuple[Any, int], int] = {}
        for segment, value in enumerate(self.values):
            rhythm = value.get("rhythm")
            if rhythm is None:
                continue
            for meter, length in enumerate(self.bars.lengths.tolist()):
                places = [i * length for i, x in enumerate(rhythm) if x]
                if any(place % len(rhythm) for place in places):
                    tables.meters[segment, meter] = False
                    continue
                if (rhythm, length) not in known:
                    known[rhythm, length] = len(struck)
                    struck.append(np.isin(np.arange(longest + 1) * len(rhythm), places))
                tables.rhythm_row[segment, length] = known[rhythm, length]
        tables.struck_at = np.stack(struck)
        tables.before = np.cumsum(tables.struck_at, axis=1) - tables.struck_at
        place = np.where(tables.struck_at, np.arange(longest + 1), MANY)
        tables.following = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
        index = np.where(tables.struck_at, np.arange(longest + 1), 0)
        reached = np.maximum.accumulate(index, axis=1)
        tables.last_x = np.concatenate([np.zeros((len(struck), 1), np.int64), reached[:, :-1]], axis=1)

    def _meter(self, meter: tuple[int, int]) -> np.ndarray:
        if meter not in self.bars.meters:
            known = ", ".join(f"{n}/{d}" for n, d in self.bars.meters if d in (4, 8))
            raise UserError(f"meter={meter[0]}/{meter[1]} does not fit the model's grid: give one of {known}")
        found = np.array([known == meter for known in self.bars.meters])
        token = self.writer.signatures.start + int(found.argmax())
        if not self.met[token]:
            span = self.writer.signatures
            known = ", ".join(
                f"{n}/{d}" for (n, d), m in zip(self.bars.meters, self.met[span.start : span.stop], strict=True) if m
            )
            raise UserError(f"meter={meter[0]}/{meter[1]} never occurred in the model's training: give one of {known}")
        return found

    def _densities(self, tables: Tables) -> None:
        found: dict[int, Density] = {}  # by the first bar
        of = []
        for value, origin in zip(self.values, self.origin, strict=True):
            first = origin.get("density", -1)
            found[first] = value.get("density", Density())
            of.append(list(found).index(first))
        tables.density_of = np.array(of)
        tables.density_from = np.maximum(np.array(list(found)), 0)
        tables.fewest = np.array([density.low for density in found.values()])
        tables.most = np.array([density.high for density in found.values()])
        tables.average = np.array([np.nan if d.average is None else d.average for d in found.values()])

    def _end(self, tables: Tables) -> None:
        tables.last_bar = self.last_bar
        tables.needs_last_note = self.last_bar is not None
        if self.controls.get("ending") is not None:
            assert self.last_bar is not None
            key = self.values[int(tables.segments(np.array(self.last_bar)))]["key"]
            number = np.arange(128) % 12
            tables.triad, tables.tonic = np.isin(number, list(key.triad)), number == key.tonic
