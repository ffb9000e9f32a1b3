"""Bars, positions and notes: what is said of a place or an instrument has to leave a note that may follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.controls.settings import MANY
from musiclstm.generation.controls.tables import Bars
from musiclstm.generation.controls.writers.base import PITCHES, Writer, hush, programs_said, shorten
from musiclstm.generation.controls.writers.remi_lengths import RemiAhead
from musiclstm.score import DRUMS
from musiclstm.tokenizers.grammar import Clock
from musiclstm.tokenizers.remi_grammar import phases
from musiclstm.tokenizers.remi_tables import BEATS

if TYPE_CHECKING:
    from musiclstm.generation.controls.accounts import PlanState
    from musiclstm.generation.controls.fixed import Fixed
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.generation.controls.tables import Tables
    from musiclstm.tokenizers.remi import Remi

EMPTY = range(0)


class RemiWriter(Writer):
    """See `Writer`."""

    doubles = True

    def __init__(self, tokenizer: Remi) -> None:
        vocabulary = tokenizer.vocabulary
        super().__init__(vocabulary)
        self.spans = {
            kind: slice(vocabulary.range(kind).start, vocabulary.range(kind).stop) for kind in vocabulary.types
        }
        self.pitch_tokens = vocabulary.range("Pitch")
        self.pitch, self.drum = self.spans["Pitch"], self.spans["Drum"]
        self.bars = Bars.on_grid(tokenizer.metre.meters, tokenizer.steps_per_quarter)
        self.durations, self.middles = tokenizer.durations, tokenizer.velocity_middles
        self.has_velocities, self.has_tempos = tokenizer.velocities > 1, tokenizer.tempos
        table = phases(tokenizer.tempos)
        self.phase = {name: i for i, name in enumerate(table)}
        kinds = list(table.values())
        self.notes_follow = np.array(["Pitch" in kind for kind in kinds])
        self.places_follow = np.array(["Position" in kind for kind in kinds])
        self.programs_met = np.ones(DRUMS + 1, bool)
        ids = np.arange(self.size)
        self.is_tempo = (ids >= self.spans["Tempo"].start) & (ids < self.spans["Tempo"].stop)
        for kind, share in {
            "Pitch": 0.5,
            "Drum": 0.5,
            "Program": 0.5,
            "Velocity": 0.5,
            "Position": -0.5,
            "Bar": -1,
        }.items():
            self.towards[self.spans[kind]] = share

    def bind(self, tables: Tables, fixed: Fixed | None) -> None:
        programs = tables.rows[tables.base, self.spans["Program"]] & self.programs_met
        self.programs = programs  # (S, 129): those that may play
        self.drums = programs[:, DRUMS]
        self.melodic = programs[:, :DRUMS].sum(1)
        super().bind(tables, fixed)
        self.most = np.where(self.drums, MANY, self.most)
        loud = np.ones((len(tables.base), self.size), bool)  # by segment and the Velocity in force
        velocity = self.spans["Velocity"]
        loud[:, velocity] = tables.rows[tables.base, velocity]
        self.loud = loud
        # How many notes the programs from each one on can begin at a step.
        self.number = tables.pitches.sum(1)
        self.fewest, self.every = int(self.number.min()), np.ones(1, bool)
        own = np.where(np.arange(DRUMS + 1) == DRUMS, 128, tables.pitches.sum(1)[:, None])  # (R, 129)
        self.own = own
        self.tempo_token = np.full(len(tables.base), -1)
        if self.has_tempos:
            few = tables.rows[tables.base][:, self.spans["Tempo"]]
            self.tempo_token = np.where(few.sum(1) == 1, few.argmax(1) + self.spans["Tempo"].start, -1)
        self.places = RemiAhead(self, tables, fixed)

    def _at_once(self) -> np.ndarray:
        return self.tables.pitches[self.tables.base].sum(1) * self.melodic

    def clock(self, g: Any) -> Clock:
        clock: Clock = g.clock
        return clock

    def meter(self, g: Any) -> np.ndarray:
        meter: np.ndarray = g.meter
        return meter

    def at_once(self, value: dict[str, Any], polyphony: int, pitches: np.ndarray, apart: bool = False) -> int:
        programs = set(value.get("instruments", np.flatnonzero(self.programs_met)))
        return MANY if DRUMS in programs else min(polyphony, int(pitches.sum()) * len(programs))

    def may_drum(self, value: dict[str, Any]) -> bool:
        return DRUMS in value.get("instruments", np.flatnonzero(self.programs_met))

    def begins(self, g: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pitched = (tokens >= self.pitch.start) & (tokens < self.pitch.stop)
        drum = (tokens >= self.drum.start) & (tokens < self.drum.stop)
        return pitched | drum, np.where(pitched, tokens - self.pitch.start, np.where(drum, tokens - self.drum.start, 0))

    def restrict(self, row: np.ndarray, value: dict[str, Any], met: np.ndarray) -> None:
        program, velocity = self.spans["Program"], self.spans["Velocity"]
        if met[program].any():
            self.programs_met = met[program]
        if "instruments" in value:
            for each in value["instruments"]:
                if not self.programs_met[each]:
                    names = programs_said(np.flatnonzero(self.programs_met)[:12])
                    raise UserError(
                        f"instruments: {programs_said([each])} never occurred in the model's training: it knows {names}"
                    )
            row[program] = np.isin(np.arange(DRUMS + 1), value["instruments"])
        if "velocity" in value and self.has_velocities:
            span = value["velocity"]
            within = (self.middles >= span.low) & (self.middles <= span.high)
            if not within.any():
                near = self.middles[np.argsort(np.abs(self.middles - (span.low + span.high) / 2))[:2]]
                raise UserError(
                    f"velocity={span} has none of the model's velocities: {min(near)} and {max(near)} are the nearest"
                )
            known = within & met[velocity]
            row[velocity] = known if known.any() else within
        if "tempo" in value and self.has_tempos:
            heard = met[self.spans["Tempo"]] if met[self.spans["Tempo"]].any() else np.ones(len(BEATS), bool)
            away = np.where(heard, np.abs(np.log(BEATS / value["tempo"])), np.inf)
            row[self.spans["Tempo"]] = np.arange(len(BEATS)) == away.argmin()

    def watches(self, tables: Tables) -> bool:
        return tables.has("velocity", "key", "pitch_range", "chords", "instruments", "tempo")

    def narrow(self, plan: Plan, g: Any, p: PlanState, allowed: np.ndarray, mask: np.ndarray) -> None:
        pitched = np.count_nonzero(g.phase == self.phase["pitch"])
        owed = self.places.owed(plan, g, p) if plan.counting and pitched < len(g.phase) else None
        if np.count_nonzero(self.notes_follow.take(g.phase)):
            self._notes(plan, g, p, owed, allowed, mask)
        if np.count_nonzero(self.places_follow.take(g.phase)):
            self.places.narrow(plan, g, p, owed, mask)
        if pitched:
            self.places.durations(plan, g, p, mask)
        if self.tables.last_bar is not None:
            shorten(self, p, g.meter, mask)
        if plan.counting:
            self.places.meters(g, p, mask)
        if "tempo" in self.tables.asked and self.has_tempos:
            wanted = self.tempo_token.take(p.segment)
            says = (wanted >= 0) & mask[np.arange(len(wanted)), np.maximum(wanted, 0)]
            if np.count_nonzero(says):
                mask &= ~says[:, None] | self.is_tempo

    def _notes(
        self,
        plan: Plan,
        g: Any,
        p: PlanState,
        owed: tuple[np.ndarray, ...] | None,
        allowed: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        """What may begin at the present position, and what may be stated for a note to follow."""
        tables = self.tables
        batch = np.arange(len(g.program))
        pitches, drums = mask[:, self.pitch], mask[:, self.drum]  # views
        programs = mask[:, self.spans["Program"]]
        program, some, need, due, free = g.program, self.number.take(p.row), None, None, None
        plays = self.programs[p.segment, program] & (program >= 0)
        pitched_ok = drum_ok = self.every
        crowded = self.fewest <= g.until.shape[1]  # perhaps no pitch that may begin is silent
        if crowded or owed is not None or "polyphony" in tables.asked:
            sounding = g.until > g.clock.step[:, None]
            number = sounding.sum(1)
            room = tables.polyphony.take(p.segment) - number
            if self.fixed is not None:
                due = self.places.due(g)
                room = room - (due[1] - due[2])
            pitched_ok = room > 0
            if owed is not None:
                need, may, _ = owed
                pitched_ok, drum_ok = pitched_ok & may, may
            if crowded and np.count_nonzero(some <= number):
                permitted = tables.pitches.take(p.row, 0)
                here = sounding & permitted[batch[:, None], g.voices & 127]
                crowd = np.zeros((len(number), DRUMS + 1), np.int64)
                np.add.at(crowd, (batch[:, None], g.voices >> 7), here)
                free = crowd[:, :DRUMS] < some[:, None]
        pitches &= (pitched_ok & plays)[:, None]
        drums &= (drum_ok & plays)[:, None]
        final = None
        if "ending" in tables.asked:
            final = (g.position == p.zone) & (g.position >= 0)
            if np.count_nonzero(final):
                lowest = np.where(sounding, g.voices & 127, 127).min(1)
                struck = sounding.any(1)
                lowest = np.where(struck, lowest, 127)
                fits = tables.triad & tables.tonic[np.minimum(lowest[:, None], PITCHES)]
                fits |= (tables.tonic & tables.triad) & ~struck[:, None]
                fits &= (PITCHES < 127) | tables.tonic[127] | struck[:, None]
                pitches &= fits | ~final[:, None]
                drum_ok = drum_ok & ~(final & ~struck)
                drums &= drum_ok[:, None]
        if free is not None:
            programs[:, :DRUMS] &= free
        if pitched_ok is not self.every:
            programs[:, :DRUMS] &= pitched_ok[:, None]
            programs[:, DRUMS] &= drum_ok
        if final is not None and np.count_nonzero(final):
            self._final_programs(g, p, final, struck, lowest, sounding, programs)
        if need is not None and np.count_nonzero(need > 0):
            own = self.own.take(p.row, 0) * self.programs.take(p.segment, 0)
            on = own[:, ::-1].cumsum(1)[:, ::-1]
            programs &= on >= np.minimum(need, on[:, 0])[:, None]
            higher = (on - own)[batch, np.maximum(program, 0)]
            for view in (pitches, drums):
                above = view[:, ::-1].cumsum(1)[:, ::-1]
                view &= above + higher[:, None] >= np.minimum(need, above[:, 0] + higher)[:, None]
        if due is not None:
            self.places.give(g, due, allowed, mask)
        if self.has_velocities:
            unsaid = g.velocity < self.spans["Velocity"].start
            current = np.logical_or(pitches.any(1), drums.any(1))
            if np.count_nonzero(unsaid):
                current = np.where(unsaid, np.where(program == DRUMS, drum_ok, pitched_ok) & plays, current)
            mask[:, self.spans["Velocity"]] &= current[:, None]
            if "velocity" in tables.asked:
                quiet = ~self.loud[p.segment, g.velocity]
                hush(mask, self.pitch, quiet)
                hush(mask, self.drum, quiet)

    def _final_programs(
        self, g: Any, p: PlanState, final: np.ndarray, struck: np.ndarray, lowest: np.ndarray, sounding: np.ndarray,
        programs: np.ndarray,
    ) -> None:  # fmt: skip
        """At the last sonority a program may be stated if it can begin something that belongs there."""
        tables = self.tables
        fits = tables.pitches.take(p.row, 0) & tables.triad
        fits &= tables.tonic[np.minimum(lowest[:, None], PITCHES)] | (tables.tonic & ~struck[:, None])
        fits &= (struck[:, None]) | tables.tonic
        programs[:, :DRUMS] &= fits.any(1)[:, None] | ~final[:, None]
