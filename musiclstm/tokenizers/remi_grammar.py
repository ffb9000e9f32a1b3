"""Which token may follow in a sequence of bars, positions and notes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.score import DRUMS
from musiclstm.tokenizers.grammar import ONE, ZERO, Clock, Grammar, columns, row_starts, thresholds
from musiclstm.tokenizers.metre import Metre, bars_so_far
from musiclstm.tokenizers.remi_pitches import FEATURES, PITCHES, PitchState
from musiclstm.tokenizers.remi_tables import BARS, MICROSECONDS
from musiclstm.tokenizers.vocabulary import BOS, SPECIALS, Vocabulary

PLACES = 16  # notes that a state has room for at first


def phases(tempos: bool) -> dict[str, dict[str, str]]:
    """Of each phase of a sequence the types of token that may follow, and the phase that each leads to.

    "outset" is a position at step 0, where the header has stated the tempo.
    """
    note = {"Pitch": "pitch", "Drum": "note"}
    notes = {"Program": "program", "Velocity": "velocity", **note}
    bar = {"Position": "position", "Bar": "bar line"}
    header = {"Tempo": "bar"} if tempos else bar
    return {
        "start": {"Bar": "first bar"},
        "first bar": {"TimeSignature": "first meter"},
        "first meter": {"Pickup": "header", **header},
        "header": header,
        "bar line": {"TimeSignature": "bar", **bar},
        "bar": bar,
        "position": {"Tempo": "tempo", **notes},
        "outset": notes,
        "tempo": {**notes, **bar},
        "program": {"Velocity": "velocity", **note},
        "velocity": note,
        "pitch": {"Duration": "note"},
        "note": {**notes, **bar, "EOS": "ended"},
        "ended": {"PAD": "ended"},
    }


class RemiState(NamedTuple):
    clock: Clock
    phase: np.ndarray
    """Index of `phases`, (B,)."""
    meter: np.ndarray
    """The index of the meter in force, 0 before the first; (B,)."""
    line: np.ndarray
    """The step of the bar line, below 0 in a pickup: that of the bar which it is the end of; (B,)."""
    position: np.ndarray
    """The last Position in the bar, -1 before its first; (B,)."""
    program: np.ndarray
    """In force, -1 for none; (B,)."""
    velocity: np.ndarray
    """The Velocity token in force, BOS for none; (B,)."""
    tempo: np.ndarray
    """Likewise the Tempo token."""
    pace: np.ndarray
    """The tempo in seconds a step: float64, (B,)."""
    struck: np.ndarray
    """program * 128 + pitch of the last note at this position, -1 for none; (B,)."""
    voices: np.ndarray
    """program * 128 + pitch of K notes, those that sound among them (without drums, which have no length); (B, K)."""
    until: np.ndarray
    """The steps at which they end: they sound where this is later than `clock.step`; (B, K)."""
    floor: np.ndarray
    """The first step at which anything may begin, (B,)."""
    pitches: PitchState


class RemiGrammar(Grammar[RemiState]):
    """`phases` says what may stand beside what. Positions ascend within a bar; nothing is stated that holds
    already, nor a Program or a Velocity that leaves no note to follow; at one position notes ascend by (program,
    pitch); a pitch that sounds in a program does not begin there again.

    The K of a state grows with the notes that sound at once.
    """

    def __init__(self, vocabulary: Vocabulary, metre: Metre, durations: np.ndarray, microseconds: int) -> None:
        """`microseconds` a quarter note are the tempo where none is said."""
        self.size, self.lengths, self.longest = len(vocabulary), metre.lengths, np.full(1, metre.longest)
        spans = {name: range(i, i + 1) for i, name in enumerate(SPECIALS)}
        spans |= {kind: vocabulary.range(kind) for kind in vocabulary.types}
        self.has_velocities = len(spans["Velocity"]) > 0
        table = phases(tempos=len(spans["Tempo"]) > 0)
        self.spans = {kind: slice(span.start, span.stop) for kind, span in spans.items()}
        self.phase = {name: i for i, name in enumerate(table)}
        self.kind = {kind: i for i, kind in enumerate(spans)}
        follows = np.zeros((len(table), self.size), bool)
        self.leads_to = np.zeros((len(table), len(spans)), np.int64)
        for phase, kinds in table.items():
            for kind, after in kinds.items():
                follows[self.phase[phase], self.spans[kind]] = True
                self.leads_to[self.phase[phase], self.kind[kind]] = self.phase[after]
        self.rows = self._rows(follows, metre).reshape(-1, self.size)
        self.places_follow, self.notes_follow = (
            np.array([kind in kinds for kinds in table.values()]) for kind in ("Position", "Pitch")
        )

        values = {span: np.arange(len(span)) for span in spans.values()} | {spans["Duration"]: durations}
        pitched, drum, everything = spans["Pitch"], spans["Drum"], range(self.size)
        self.table = columns(
            self.size,
            {span: self.kind[kind] for kind, span in spans.items()},
            values,
            {range(spans["Bar"].start, spans["Position"].stop): 1},  # what `_move` looks at
            {spans["Duration"]: 1},  # and `_hold`
            # Of `program`, `velocity` and `struck`: 0 where the token says a new one, and what it says.
            {everything: 1, spans["Program"]: 0},
            {spans["Program"]: np.arange(DRUMS + 1)},
            {everything: 1, spans["Velocity"]: 0},
            {spans["Velocity"]: np.array(spans["Velocity"])},
            {everything: 1, pitched: 0, drum: 0, spans["Position"]: 0},
            {pitched: np.arange(PITCHES), drum: np.arange(PITCHES), spans["Position"]: -1},
            {pitched: PITCHES, drum: PITCHES},  # times the program, to be added to `struck`
            {pitched: np.arange(PITCHES) + 1},  # what `PitchState` looks at
            {spans["Bar"]: 1, spans["Position"]: 1, spans["Program"]: 1},
        )
        self.seconds = microseconds / (1e6 * metre.steps_per_quarter)
        self.paces = np.zeros(self.size)
        self.paces[self.spans["Tempo"]] = MICROSECONDS[: len(spans["Tempo"])] / (1e6 * metre.steps_per_quarter)
        self.ahead, self.later_programs = thresholds(metre.longest), thresholds(DRUMS + 1)
        # One place more than there are pitches, to write to what is written to none.
        self.higher = np.pad(thresholds(PITCHES), [(0, 0), (0, 1)])
        # By the program in force, of which none, -1, is the last: the token that says it, which of the two rows it
        # needs, and what of `struck` lies below its pitches (of no program none may begin).
        self.said = np.append(np.array(spans["Program"]), BOS)
        self.row_of_program = np.array([*[0] * DRUMS, 1, 0])
        self.below_program = np.append(np.arange(DRUMS + 1) * PITCHES - 1, -1 - PITCHES)
        self.next_program = np.append(np.arange((DRUMS + 1) * PITCHES) // PITCHES + 1, 0)  # by `struck`
        self.row_of_phase = np.arange(len(table)) * len(metre.meters) * 2
        self.row_of_meter = np.arange(len(metre.meters)) * 2
        self.kinds, self.unsaid = np.full(1, len(spans)), np.full(1, BOS)

    def _rows(self, follows: np.ndarray, metre: Metre) -> np.ndarray:
        """What may follow by the phase, the meter and whether the program is drums: bool, (phases, meters, 2, V)."""
        rows = np.repeat(np.repeat(follows[:, None, None], len(metre.meters), 1), 2, 2)
        signature, pickup, position = (self.spans[kind].start for kind in ("TimeSignature", "Pickup", "Position"))
        for meter, length in enumerate(metre.lengths.tolist()):
            rows[self.phase["bar line"], meter, :, signature + meter] = False
            rows[:, meter, :, pickup + length - 1 : self.spans["Pickup"].stop] = False
            rows[:, meter, :, position + length : self.spans["Position"].stop] = False
        rows[:, :, 0, self.spans["Drum"]] = False
        rows[:, :, 1, self.spans["Pitch"]] = False
        return rows

    def start(self, batch: int) -> RemiState:
        zero = np.zeros(batch, np.int64)
        clock = Clock(zero, zero, zero, self.lengths[zero], zero * 0.0)
        none, notes = zero - 1, np.zeros((batch, PLACES), np.int64)
        pace = np.full(batch, self.seconds)
        return RemiState(
            clock, zero, zero, zero, none, none, zero + BOS, zero + BOS, pace, none, notes, notes, zero,
            PitchState.start(batch),
        )  # fmt: skip

    def allowed(self, state: RemiState) -> np.ndarray:
        row = self.row_of_phase.take(state.phase) + self.row_of_meter.take(state.meter)
        mask = self.rows.take(row + self.row_of_program.take(state.program), 0)
        if np.count_nonzero(self.places_follow.take(state.phase)):
            lowest = np.minimum(np.maximum(state.position + ONE, state.floor - state.line), self.longest)
            mask[:, self.spans["Position"]] &= self.ahead.take(lowest, 0)
        if np.count_nonzero(self.notes_follow.take(state.phase)):
            self._narrow_notes(state, mask)
        return mask

    def _narrow_notes(self, state: RemiState, mask: np.ndarray) -> None:
        """Takes from `mask` what would state the same again, and the notes that may not begin."""
        step, program, place = state.clock.step, state.program, row_starts(len(mask), self.size)
        lowest = np.maximum(state.struck - self.below_program.take(program), ZERO)
        free = self.higher.take(lowest, 0)
        programs = self.later_programs.take(self.next_program.take(state.struck), 0)
        sounding = state.until > step[:, None]
        taken = sounding & (state.voices >> 7 == program[:, None])
        if np.count_nonzero(taken):
            pitch = np.where(taken, state.voices & (PITCHES - 1), PITCHES)
            free.put(row_starts(len(mask), PITCHES + 1)[:, None] + pitch, False)
        if sounding.shape[1] >= PITCHES:
            programs &= ~self._crowded(state.voices >> 7, sounding)
        early = step < state.floor
        if np.count_nonzero(early):
            # A position that a prompt has opened is held back, but not one just stated: something has to follow there.
            opened = (state.phase == self.phase["tempo"]) | (state.phase == self.phase["note"])
            held = (early & opened)[:, None]
            free, programs = free > held, programs > held
        if self.has_velocities:
            some = free.take(row_starts(len(mask), PITCHES + 1) + free.argmax(1))
            mask[:, self.spans["Velocity"]] &= some[:, None]
            mask.put(place + state.velocity, False)
            unsaid = state.velocity == self.unsaid
            if np.count_nonzero(unsaid):
                free = free > unsaid[:, None]
        mask[:, self.spans["Pitch"]] &= free[:, :PITCHES]
        mask[:, self.spans["Drum"]] &= free[:, :PITCHES]
        mask[:, self.spans["Program"]] &= programs
        mask.put(place + self.said.take(program), False)
        mask.put(place + state.tempo, False)

    def _crowded(self, program: np.ndarray, sounding: np.ndarray) -> np.ndarray:
        """The programs of which all pitches sound: bool, (B, 129)."""
        count = np.zeros((len(program), DRUMS + 1), np.int64)
        np.add.at(count, (np.arange(len(program))[:, None], program), sounding)
        return count >= PITCHES

    def advance(self, state: RemiState, tokens: np.ndarray) -> RemiState:
        said = self.table.take(tokens, 1)
        kind, value, moves, lasts, program_kept, program, velocity_kept, velocity = said[:8]
        struck_kept, struck, strikes, pitch, turns = said[8:]
        program += state.program * program_kept
        velocity += state.velocity * velocity_kept
        struck += state.struck * struck_kept + program * strikes
        phase = self.leads_to.take(state.phase * self.kinds + kind)
        voices, until, pitches = state.voices, state.until, state.pitches
        if np.count_nonzero(lasts):
            voices, until = self._hold(state, lasts > ZERO, state.clock.step + value)
        if np.count_nonzero(pitch):
            pitches = pitches.strike(pitch, program, state.struck)
        if np.count_nonzero(turns):
            pitches = pitches.turn(turns, program)
        state = RemiState(
            state.clock, phase, state.meter, state.line, state.position, program, velocity, state.tempo, state.pace,
            struck, voices, until, state.floor, pitches,
        )  # fmt: skip
        return self._move(state, tokens, kind, value) if np.count_nonzero(moves) else state

    def _hold(self, state: RemiState, lasts: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`voices` and `until` when the notes last struck, in the rows that `lasts` names, sound until `end`."""
        voices, until = state.voices, state.until
        earliest = until.argmin(1)
        place = row_starts(len(until), until.shape[1]) + earliest
        if np.count_nonzero(lasts & (until.take(place) > state.clock.step)):  # there is no place for one more
            voices, until = (np.pad(notes, [(0, 0), (0, until.shape[1])]) for notes in (voices, until))
            place = row_starts(len(until), until.shape[1]) + until.argmin(1)
        else:
            voices, until = voices.copy(), until.copy()
        voices.put(place, np.where(lasts, state.struck, voices.take(place)))
        until.put(place, np.where(lasts, end, until.take(place)))
        return voices, until

    def _move(self, state: RemiState, tokens: np.ndarray, kind: np.ndarray, value: np.ndarray) -> RemiState:
        """The state when `tokens`, of which some say where they stand or in which meter or tempo, have been said."""
        is_bar, is_position = kind == self.kind["Bar"], kind == self.kind["Position"]
        clock, meter, line = state.clock, state.meter, state.line
        bar, length = clock.bar, clock.length
        others = np.count_nonzero(is_position) < len(tokens)
        if others:
            ends = is_bar & (state.phase == self.phase["bar line"])
            line, bar = line + ends * length, bar + ends
            meter = np.where(kind == self.kind["TimeSignature"], value, meter)
            length = self.lengths.take(meter)
            opens = kind == self.kind["Pickup"]
            line, bar = np.where(opens, value + 1 - length, line), bar - opens
        position = np.where(is_position, value, np.where(is_bar, -1, state.position))
        step = np.maximum(line + np.maximum(position, ZERO), ZERO)
        seconds = clock.seconds + (step - clock.step) * state.pace
        tempo, pace = state.tempo, state.pace
        said = kind == self.kind["Tempo"]
        if others and np.count_nonzero(said):
            tempo, pace = np.where(said, tokens, tempo), np.where(said, self.paces.take(tokens), pace)
        phase = state.phase + (is_position & (step == ZERO))  # from "position" to "outset"
        return RemiState(
            Clock(step, bar, step - line, length, seconds), phase, meter, line, position, state.program,
            state.velocity, tempo, pace, state.struck, state.voices, state.until, state.floor, state.pitches,
        )  # fmt: skip

    def features(self, state: RemiState) -> np.ndarray:
        clock = state.clock
        features = np.empty((len(state.phase), 5 + len(FEATURES)), np.int64)
        features[:, 0] = np.minimum(clock.position, self.longest - ONE)
        features[:, 1] = state.meter
        features[:, 2] = state.program + 1
        features[:, 3] = clock.bar % BARS
        features[:, 4] = bars_so_far(clock.bar)
        state.pitches.write(features, 5)
        return features

    def clock(self, state: RemiState) -> Clock:
        return state.clock

    def hold_back(self, state: RemiState, step: int) -> RemiState:
        return state._replace(floor=np.maximum(state.floor, step))
