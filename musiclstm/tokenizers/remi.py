"""Bars, positions and notes with their durations: any number of instruments, drums, changes of tempo and meter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, METER, TEMPO, Score, make_notes
from musiclstm.tokenizers import remi_tables as tables
from musiclstm.tokenizers.base import Reading, Tokenizer, carry_forward, delayed
from musiclstm.tokenizers.fitting import FASTEST, SLOWEST, usual_tempo
from musiclstm.tokenizers.grid import nearest_step, quantise_meters, steps_of
from musiclstm.tokenizers.metre import MOST_BARS, Metre, bars_so_far
from musiclstm.tokenizers.remi_clock import RemiReading, read_places
from musiclstm.tokenizers.remi_grammar import RemiGrammar
from musiclstm.tokenizers.remi_pitches import FEATURES, PITCHES, read_pitches
from musiclstm.tokenizers.vocabulary import BOS, EOS, Vocabulary

BAR_ROW, TEMPO_ROW, NOTE_ROW = range(3)  # in this order at one step
COLUMNS = 6  # a row is at most Position Tempo Program Velocity Pitch Duration


class Remi(Tokenizer):
    """`BOS (Bar [TimeSignature [Pickup]] (Position [Tempo] ([Program] [Velocity] Pitch Duration | Drum)*)*)* EOS`.

    A `Position_p` is p steps after the bar line, in a pickup after that of the bar it is the end of. What stays as
    it was is not said again: meter, tempo, program, velocity. The first bar states its meter and, with `tempos`,
    directly after that (and the Pickup) the first tempo. The notes of a position stand in ascending (program,
    pitch); drums have no duration. Nothing but EOS follows the last note, so changes of tempo and meter after its
    beginning are not kept. Tracks are merged by program; no two notes of one program and pitch sound at once.
    """

    name = "remi"
    pitch_types = ("Pitch",)
    zeros: ClassVar = {"last_high": 1, "last": 1, "last_low": 1, "bass": 1}

    def __init__(
        self, steps_per_quarter: int = 12, tempos: bool = True, velocities: int = 32, tempo: float = 120.0
    ) -> None:
        """`velocities` is the number of bins, 1 to leave velocity out. `tempo` (quarter notes a minute) is that of
        the music where `tempos` are left out, and otherwise only the usual one."""
        if not 1 <= steps_per_quarter <= 24:
            raise UserError(f"tokenizer.steps_per_quarter is {steps_per_quarter}: give a number from 1 to 24")
        if not 1 <= velocities <= 127:
            raise UserError(f"tokenizer.velocities is {velocities}: give a number from 1 to 127")
        if not SLOWEST <= tempo <= FASTEST:
            raise UserError(f"tokenizer.tempo is {tempo}: give quarter notes a minute from {SLOWEST} to {FASTEST}")
        self.steps_per_quarter, self.tempos = steps_per_quarter, tempos
        self.velocities, self.tempo = velocities, float(tempo)
        self.metre = Metre(steps_per_quarter)
        self.durations = tables.allowed_durations(steps_per_quarter)
        self.velocity_bins, self.velocity_middles = tables.velocity_bins(velocities)
        self.vocabulary = Vocabulary(
            {
                "Bar": [""],
                **self.metre.types(),
                "Tempo": tables.BEATS if tempos else [],
                "Position": range(self.metre.longest),
                "Program": range(DRUMS + 1),
                "Velocity": self.velocity_middles if velocities > 1 else [],
                "Pitch": range(128),
                "Duration": self.durations,
                "Drum": range(128),
            }
        )
        self.metre.bind(self.vocabulary)
        self.context_sizes = {
            "position": self.metre.longest,
            "meter": len(self.metre.meters),
            "program": DRUMS + 2,  # none yet, or a program
            "bar": tables.BARS,
            "bars": MOST_BARS + 1,
            **dict.fromkeys(FEATURES, PITCHES + 1),
        }

    @classmethod
    def fit(cls, scores: Sequence[Score], **arguments: Any) -> Remi:
        """The usual tempo."""
        given = {key: value for key, value in arguments.items() if value is not None}
        given.setdefault("tempo", usual_tempo(scores))
        return cls(**given)

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "steps_per_quarter": self.steps_per_quarter,
            "tempos": self.tempos,
            "velocities": self.velocities,
            "tempo": self.tempo,
        }

    @property
    def seconds_per_step(self) -> float:
        return 60.0 / self.tempo / self.steps_per_quarter

    def to_step(self, score: Score, tick: int) -> int:
        return nearest_step(score, tick, self.steps_per_quarter)

    def admits(self, score: Score) -> str | None:
        return None if len(score) else "no notes"

    def quantise(self, score: Score) -> Score:
        start, end = steps_of(score, self.steps_per_quarter)
        program, pitch = score.notes["program"].astype(np.int64), score.notes["pitch"].astype(np.int64)
        bins = self.velocity_bins[score.notes["velocity"]]
        length = np.where(program == DRUMS, 1, end - start)
        voice = program * 128 + pitch
        key = (voice << 32) + start  # one number to sort by is quicker than two
        order = np.lexsort([-bins, -length, key])
        key, length, bins = key[order], length[order], bins[order]
        first = np.ones(len(key), bool)  # of notes that begin together the longest stays, then the loudest
        first[1:] = key[1:] != key[:-1]
        key, length, bins = key[first], length[first], bins[first]
        until_next = np.append(np.diff(key), 1 << 32)  # over 2 ** 31 where the next is another pitch or program
        length = tables.nearest_duration(np.minimum(length, until_next), until_next, self.durations)
        start, voice = key & 0xFFFFFFFF, key >> 32
        order = np.argsort((start << 15) + voice)
        start, length, program, pitch = start[order], length[order], voice[order] >> 7, voice[order] & 127
        notes = make_notes(
            start, start + length, pitch, self.velocity_middles[bins[order]], program, _rank(program), ordered=True
        )
        last = int(start[-1]) if len(start) else 0
        tempos = tables.quantise_tempos(score, self.steps_per_quarter, last) if self.tempos else self._no_tempos()
        meters, pickup = quantise_meters(score, self.steps_per_quarter, last + 1)
        return Score(notes, self.steps_per_quarter, tempos, meters, first_bar=pickup)

    def _no_tempos(self) -> np.ndarray:
        return np.array([(0, round(60e6 / self.tempo))], TEMPO)

    def events(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        score = self.quantise(score)
        first, notes = self.vocabulary.first, score.notes
        start = notes["start"].astype(np.int64)
        last = int(start[-1]) if len(start) else 0
        lines, changes = score.bar_starts(last + 1), score.tempos[1:]
        step = np.concatenate([lines, changes["tick"], start])
        kind = np.repeat([BAR_ROW, TEMPO_ROW, NOTE_ROW], [len(lines), len(changes), len(start)])
        order = np.argsort(step * 3 + kind, kind="stable")
        step, kind = step[order], kind[order]
        rows = np.full((len(step), COLUMNS), -1, np.int64)  # -1 where there is no token

        bar_rows = np.flatnonzero(kind == BAR_ROW)
        rows[bar_rows, 0] = first("Bar")
        marks, _ = self.metre.encode(score.meters, 0)
        rows[bar_rows[np.searchsorted(lines, score.meters["tick"])], 1] = marks
        counted_from = lines.copy()
        if score.first_bar:
            rows[0, 2] = first("Pickup") + score.first_bar - 1
            counted_from[0] = score.first_bar - self.metre.lengths[marks[0] - first("TimeSignature")]

        event_rows = np.flatnonzero(kind != BAR_ROW)
        at = step[event_rows]
        begins = np.append(True, at[1:] != at[:-1])[: len(at)]
        position = at - counted_from[np.searchsorted(lines, at, "right") - 1]
        rows[event_rows[begins], 0] = first("Position") + position[begins]
        if self.tempos:
            tempo = first("Tempo") + tables.nearest_tempo(score.tempos["microseconds"])
            rows[0, 3] = tempo[0]
            rows[kind == TEMPO_ROW, 1] = tempo[1:]

        mine = rows[kind == NOTE_ROW]
        program, pitch = notes["program"].astype(np.int64), notes["pitch"].astype(np.int64)
        mine[:, 2] = np.where(np.diff(program, prepend=-1) != 0, first("Program") + program, -1)
        if self.velocities > 1:
            bins = self.velocity_bins[notes["velocity"]]
            mine[:, 3] = np.where(np.diff(bins, prepend=-1) != 0, first("Velocity") + bins, -1)
        drum = program == DRUMS
        mine[:, 4] = np.where(drum, first("Drum"), first("Pitch")) + pitch
        length = np.searchsorted(self.durations, notes["end"] - start)
        mine[:, 5] = np.where(drum, -1, first("Duration") + length)
        rows[kind == NOTE_ROW] = mine

        said = rows >= 0
        ids = np.concatenate([[BOS], rows[said], [EOS]]).astype(np.int32)
        return ids, np.concatenate([[0], np.repeat(step, said.sum(1)), [last]])

    def _start(self, batch: int) -> RemiReading:
        return RemiReading.start(batch, round(60e6 / self.tempo))

    def decode(self, ids: np.ndarray) -> Score:
        ids = np.asarray(ids, np.int64)
        first, has = self.vocabulary.first, self.vocabulary.has
        clock = read_places(self.vocabulary, self.metre, ids[None], self._start(1))
        drum, duration = has("Drum", ids), has("Duration", ids)
        whole = has("Pitch", ids) & np.append(duration[1:], False)  # a note without its duration is left out
        at = np.flatnonzero(whole | drum)
        drum = drum[at]
        none = np.zeros(1, np.int64)
        program = carry_forward((ids - first("Program"))[None], has("Program", ids)[None], none)[0, at]
        program = np.where(drum, DRUMS, program)
        velocity = np.full(len(at), tables.VELOCITY)
        if self.velocities > 1:
            bins = carry_forward((ids - first("Velocity"))[None], has("Velocity", ids)[None], none)[0, at]
            velocity = self.velocity_middles[bins]
        length = np.ones(len(at), np.int64)
        length[~drum] = self.durations[ids[at[~drum] + 1] - first("Duration")]
        start = clock.step[0, at]
        pitch = ids[at] - np.where(drum, first("Drum"), first("Pitch"))
        notes = make_notes(start, start + length, pitch, velocity, program, _rank(program))
        meters, pickup = self.metre.decode(ids, clock.step[0])
        tempos, said = self._no_tempos(), has("Tempo", ids)
        if said.any():
            tempos = np.zeros(int(said.sum()), TEMPO)
            tempos["tick"] = clock.step[0, said]
            tempos["microseconds"] = tables.MICROSECONDS[ids[said] - first("Tempo")]
        if not len(meters):
            meters = np.array([(0, 4, 4)], METER)
        return Score(notes, self.steps_per_quarter, tempos, meters, first_bar=pickup)

    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, RemiReading]:
        ids = np.asarray(ids, np.int64)
        if reading is None:
            reading = self._start(len(ids))
        assert isinstance(reading, RemiReading)
        first, has = self.vocabulary.first, self.vocabulary.has
        clock = read_places(self.vocabulary, self.metre, ids, reading)
        position = np.minimum(clock.step - clock.line, self.metre.longest - 1)
        program = carry_forward(ids - first("Program") + 1, has("Program", ids), reading.program)
        named, pitches = read_pitches(self.vocabulary, ids, clock.step, program, reading.pitches)
        bar, bars = clock.bars % tables.BARS, bars_so_far(clock.bars)
        features = np.stack([position, np.maximum(clock.meter, 0), program, bar, bars, *named], -1)
        rate, said = np.broadcast_to(reading.microseconds[:, None], ids.shape), has("Tempo", ids)
        if said.any():
            microseconds = tables.MICROSECONDS[np.where(said, ids - first("Tempo"), 0)]
            rate = carry_forward(microseconds, said, reading.microseconds)
        before = delayed(rate, reading.microseconds)
        spans = np.diff(clock.step, axis=1, prepend=reading.step[:, None])
        seconds = reading.seconds + (spans * before).sum(1) / (1e6 * self.steps_per_quarter)
        return features, RemiReading(
            seconds,
            clock.bars[:, -1],
            clock.line[:, -1],
            position[:, -1],
            clock.meter[:, -1],
            program[:, -1],
            rate[:, -1],
            pitches,
        )

    def grammar(self) -> RemiGrammar:
        return RemiGrammar(self.vocabulary, self.metre, self.durations, round(60e6 / self.tempo))

    def describe(self) -> str:
        kept = [f"{self.velocities} velocities"] * (self.velocities > 1) + ["tempos"] * self.tempos
        extent = f"with {' and '.join(kept)}" if kept else "without velocity and tempo"
        return f"remi: {self.steps_per_quarter} steps a quarter, any instruments and drums, {extent}"


def _rank(program: np.ndarray) -> np.ndarray:
    """The place of each program among those present."""
    present = np.bincount(program, minlength=DRUMS + 1) > 0
    return (np.cumsum(present) - 1)[program]
