"""Expressive playing in time rather than metre: the 388 events of Performance RNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, NOTE, Score, cut_overlaps, extend_by_pedal, make_notes
from musiclstm.tokenizers.base import Reading, Tokenizer, carry_forward, delayed
from musiclstm.tokenizers.fitting import commonest_program
from musiclstm.tokenizers.performance_grammar import (
    AGES,
    BAR,
    GAPS,
    MOST_SOUNDING,
    PITCHES,
    SILENT,
    STEPS_PER_SECOND,
    PerformanceGrammar,
)
from musiclstm.tokenizers.vocabulary import BOS, EOS, Vocabulary

LONGEST_SHIFT = 100  # steps
VELOCITIES = 32  # bins, of four velocities each
LONGEST = 24 * 3600  # seconds: beyond lies a damaged file, of which nothing but time shifts would be left
WORD = 43  # pitches are bits of whole numbers, so many in each as leave it exact as a float
WORDS = 3


@dataclass
class PerformanceReading(Reading):
    """Also the steps gone by, the notes sounding, the present velocity (0 none), the step of the last NoteOn, the
    pitches plus one of the last and the one before it (0 none), each (B,), and the step at which each pitch that sounds
    began, `SILENT` for the others (B, 128)."""

    step: np.ndarray
    sounding: np.ndarray
    velocity: np.ndarray
    struck: np.ndarray
    latest: np.ndarray
    former: np.ndarray
    since: np.ndarray


class Performance(Tokenizer):
    """`BOS (TimeShift_k | Velocity_v | NoteOn_p | NoteOff_p)* EOS`, with steps of 10 ms.

    At one time the notes that end stand before those that begin, each in ascending pitch; a Velocity stands
    before the first note to have it. Tracks are merged into one instrument and tempo and meter are not kept:
    music comes back in seconds, in 4/4 at 120 quarter notes a minute, on `program`. `Reading.bars` counts
    these bars, of two seconds each.
    """

    name = "performance"
    pitch_types = ("NoteOn", "NoteOff")
    zeros: ClassVar = dict.fromkeys(
        ("struck_1", "struck_2", "lowest", "highest", "ending_1", "ending_2", "oldest"),
        1,  # 0 is none
    )

    def __init__(self, pedal: bool = True, program: int = 0) -> None:
        if not 0 <= program <= DRUMS:
            raise UserError(f"tokenizer.program is {program}: give a number from 0 to 127, or 128 for drums")
        self.pedal, self.program = pedal, program
        self.vocabulary = Vocabulary(
            {
                "NoteOn": range(128),
                "NoteOff": range(128),
                "TimeShift": range(1, LONGEST_SHIFT + 1),
                "Velocity": range(1, VELOCITIES + 1),
            }
        )
        self.note_on, self.note_off, self.shift, self.velocity = (
            self.vocabulary.first(kind) for kind in ("NoteOn", "NoteOff", "TimeShift", "Velocity")
        )
        self.context_sizes = {
            "sounding": MOST_SOUNDING + 1,
            "velocity": VELOCITIES + 1,
            "gap": len(GAPS) + 1,
            **dict.fromkeys(self.zeros, PITCHES + 1),  # none, or a pitch
            "ending_age": len(AGES) + 2,
            "oldest_age": len(AGES) + 2,
        }

    @classmethod
    def fit(cls, scores: Sequence[Score], **arguments: Any) -> Performance:
        """The instrument that has most notes; drums only where there is nothing else."""
        given = {key: value for key, value in arguments.items() if value is not None}
        given.setdefault("program", commonest_program(scores))
        return cls(**given)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"pedal": self.pedal, "program": self.program}

    @property
    def seconds_per_step(self) -> float:
        return 1 / STEPS_PER_SECOND

    def to_step(self, score: Score, tick: int) -> int:
        return int(_steps(score, np.array([tick]))[0])

    def admits(self, score: Score) -> str | None:
        drums = score.notes["program"] == DRUMS
        if len(score) == 0:
            return "no notes"
        if not (drums == (self.program == DRUMS)).any():
            return "no notes but drums" if self.program != DRUMS else "no drums"
        if score.duration > LONGEST:
            return f"{score.duration / 3600:.0f} hours, and at most {LONGEST // 3600}"
        return None

    def quantise(self, score: Score) -> Score:
        if self.pedal and len(score.pedals):
            score = extend_by_pedal(score)
        kept = score.notes[(score.notes["program"] == DRUMS) == (self.program == DRUMS)]
        notes = np.zeros(len(kept), NOTE)
        notes["start"] = _steps(score, kept["start"])
        notes["end"] = np.maximum(_steps(score, kept["end"]), notes["start"] + 1)
        notes["pitch"], notes["program"] = kept["pitch"], self.program
        notes["velocity"] = _centre(_bin(kept["velocity"]))
        return _score(cut_overlaps(notes))

    def events(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        notes = self.quantise(score).notes
        pitch = notes["pitch"].astype(np.int64)
        ends, begins = notes["end"].astype(np.int64), notes["start"].astype(np.int64)
        # One number holds what the order goes by: the time, then ends before beginnings, then the pitch.
        keys = np.concatenate([ends * 256 + pitch, begins * 256 + 128 + pitch])
        order = np.argsort(keys)
        key = keys[order]
        step, begin = key >> 8, (key & 128) > 0
        bins = _bin(notes["velocity"])[order[begin] - len(notes)]
        velocity = np.zeros(len(key), np.int64)  # the bin to say before the event, 0 where it is in force
        velocity[begin] = bins * (np.diff(bins, prepend=0) != 0)
        gap = np.diff(step, prepend=0)
        shifts = -(-gap // LONGEST_SHIFT)
        place = np.cumsum(shifts + (velocity > 0) + 1)  # of the event, counting BOS
        ids = np.full(place[-1] + 2 if len(key) else 2, self.shift + LONGEST_SHIFT - 1, np.int32)
        ids[place] = np.where(begin, self.note_on, self.note_off) + (key & 127)
        louder = velocity > 0
        ids[place[louder] - 1] = self.velocity - 1 + velocity[louder]
        later = shifts > 0
        rest = gap - (shifts - 1) * LONGEST_SHIFT
        ids[(place - louder)[later] - 1] = self.shift - 1 + rest[later]
        ids[0], ids[-1] = BOS, EOS
        return ids, np.cumsum(self._lasting(ids))

    def _lasting(self, ids: np.ndarray) -> np.ndarray:
        """The steps that each token moves the clock on: int64, same shape."""
        return np.where(self.vocabulary.has("TimeShift", ids), ids.astype(np.int64) - self.shift + 1, 0)

    def encode_prompt(self, score: Score, step: int) -> np.ndarray:
        """The ids of what happens before `step`, then the time shifts that bring the clock there."""
        ids, steps = self.events(score)
        kept = (steps < step) & (ids != EOS)
        shifts, rest = divmod(step - int(steps[kept].max(initial=0)), LONGEST_SHIFT)
        more = np.full(shifts + (rest > 0), self.shift + LONGEST_SHIFT - 1, np.int32)
        more[shifts:] = self.shift + rest - 1
        return np.concatenate([ids[:1], ids[1:][kept[1:]], more])

    def decode(self, ids: np.ndarray) -> Score:
        ids = np.asarray(ids, np.int64)
        clock = np.cumsum(self._lasting(ids))
        said = np.maximum(ids - self.velocity + 1, 0)[None]
        velocity = carry_forward(said, self.vocabulary.has("Velocity", ids)[None], np.array([VELOCITIES // 2]))[0]
        events = np.flatnonzero((ids >= self.note_on) & (ids < self.note_off + 128))
        pitch = (ids[events] - self.note_on) % 128
        order = np.argsort(pitch, kind="stable")  # of one pitch, each event is the end of the note before
        events, pitch = events[order], pitch[order]
        time = clock[events]
        closed = np.append(pitch[1:] == pitch[:-1], False)
        end = np.where(closed, np.append(time[1:], 0), clock.max(initial=0))
        on = ids[events] < self.note_off
        start, end = time[on], end[on]
        notes = make_notes(start, np.maximum(end, start + 1), pitch[on], _centre(velocity[events[on]]), self.program)
        return _score(cut_overlaps(notes))

    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, PerformanceReading]:
        ids = np.asarray(ids, np.int64)
        if reading is None:
            zero = np.zeros(len(ids), np.int64)
            since = np.full((len(ids), PITCHES), SILENT)
            reading = PerformanceReading(zero * 0.0, zero, zero, zero, zero, zero - GAPS[-1], zero, zero, since)
        assert isinstance(reading, PerformanceReading)
        step = reading.step[:, None] + np.cumsum(self._lasting(ids), axis=1)  # (B, T)
        on, off = self.vocabulary.has("NoteOn", ids), self.vocabulary.has("NoteOff", ids)
        sounding = reading.sounding[:, None] + np.cumsum(on.astype(np.int64) - off, axis=1)
        velocity = carry_forward(ids - self.velocity + 1, self.vocabulary.has("Velocity", ids), reading.velocity)
        struck = carry_forward(step, on, reading.struck)
        gap = np.searchsorted(GAPS, step - struck, "right")
        latest = carry_forward(ids - self.note_on + 1, on, reading.latest)
        before = delayed(latest, reading.latest)
        former = carry_forward(before, on, reading.former)
        words = _words((ids - self.note_on) % PITCHES, on | off, reading.since < SILENT)
        lowest, highest = _outermost(words)
        # What may end next: after a TimeShift any that sounds, after a NoteOff those above it, else none.
        bound = np.where(off, ids - self.note_off + 1, np.where(self.vocabulary.has("TimeShift", ids), 0, PITCHES))
        ending_1 = _lowest_from(words, bound)
        ending_2 = _lowest_from(words, np.where(ending_1 > 0, ending_1, PITCHES))
        rows = zip(ids - self.note_on, on, off, step, reading.since, strict=True)
        held = [Held.of(*row) for row in rows]
        oldest, oldest_since = (np.stack(part) for part in zip(*(each.oldest() for each in held), strict=True))
        ending_since = np.stack([each.since(pitch - 1) for each, pitch in zip(held, ending_1, strict=True)])
        features = np.stack(
            [
                *(np.clip(sounding, 0, MOST_SOUNDING), velocity, gap, latest, former, lowest, highest),
                *(ending_1, ending_2, oldest, _age(step - ending_since, ending_1), _age(step - oldest_since, oldest)),
            ],
            -1,
        )
        last = step[:, -1]
        return features, PerformanceReading(
            last / STEPS_PER_SECOND,
            last // BAR,
            last,
            sounding[:, -1],
            velocity[:, -1],
            struck[:, -1],
            latest[:, -1],
            former[:, -1],
            np.stack([each.left() for each in held]),
        )

    def grammar(self) -> PerformanceGrammar:
        return PerformanceGrammar(self.vocabulary)

    def describe(self) -> str:
        pedal = "the sustain pedal extends notes" if self.pedal else "the sustain pedal is left out"
        return f"performance: {len(self.vocabulary)} tokens, in steps of 10 ms; {pedal}"


class Held(NamedTuple):
    """The notes of one sequence of T tokens, those that sound before it first, in the order in which they begin.

    pitch, began: of each note, the latter in steps. place: the token with which it begins, -1 for those that sound
    before. end: the token with which it ends, T for those that sound on.
    """

    pitch: np.ndarray
    began: np.ndarray
    place: np.ndarray
    end: np.ndarray
    length: int

    @classmethod
    def of(cls, key: np.ndarray, on: np.ndarray, off: np.ndarray, step: np.ndarray, since: np.ndarray) -> Held:
        """key: pitches, those of NoteOff 128 higher, (T,). on, off: which are such tokens. step: of each."""
        sounding = np.flatnonzero(since < SILENT)
        sounding = sounding[np.argsort(since[sounding], kind="stable")]
        begins, events = np.flatnonzero(on), np.flatnonzero(on | off)
        # Of one pitch, each event is the end of the note before it.
        place = np.concatenate([np.full(len(sounding), -1), events])
        pitch = np.concatenate([sounding, key[events] % PITCHES])
        order = np.argsort(pitch.astype(np.uint8), kind="stable")  # in linear time
        end = np.full(len(place) + 1, len(key))
        same = np.flatnonzero(pitch[order][1:] == pitch[order][:-1])
        end[order[same]] = place[order[same + 1]]
        starts = np.concatenate([np.ones(len(sounding), bool), on[events]])
        began = np.concatenate([since[sounding], step[begins]])
        return cls(pitch[starts], began, place[starts], end[:-1][starts], len(key))

    def oldest(self) -> tuple[np.ndarray, np.ndarray]:
        """After each token: of the notes that sound the one that began first, its pitch plus one, 0 for none, and the
        step at which it began; each (T,)."""
        if not len(self.pitch):
            return np.zeros(self.length, np.int64), np.zeros(self.length, np.int64)
        # The first whose end is later, and so later than the ends of all before it.
        tokens = np.arange(self.length)
        first = np.searchsorted(np.maximum.accumulate(self.end), tokens, "right")
        sounds = first < np.searchsorted(self.place, tokens, "right")
        first *= sounds
        return (self.pitch[first] + 1) * sounds, self.began[first]

    def since(self, pitch: np.ndarray) -> np.ndarray:
        """The step at which, of a pitch for each token (T,) that sounds after it, the note began."""
        if not len(self.pitch):
            return np.zeros(self.length, np.int64)
        order = np.argsort(self.pitch.astype(np.uint8), kind="stable")
        width = self.length + 1
        known = self.pitch[order] * width + self.place[order] + 1
        found = np.searchsorted(known, pitch * width + np.arange(1, width), "right") - 1
        return self.began[order[np.maximum(found, 0)]]

    def left(self) -> np.ndarray:
        """Of every pitch the step at which it began, `SILENT` where it does not sound after the last token: (128,)."""
        since, on = np.full(PITCHES, SILENT), self.end == self.length
        since[self.pitch[on]] = self.began[on]
        return since


def _steps(score: Score, ticks: np.ndarray) -> np.ndarray:
    return np.floor(score.seconds(ticks) * STEPS_PER_SECOND + 0.5).astype(np.int64)


def _words(pitch: np.ndarray, changes: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """The pitches that sound after each token, as bits: int64, (WORDS, B, T).

    A pitch (B, T) begins or ends where `changes`, by turns: so it is where it begins only when it is silent and ends
    only when it sounds. Those that `initial`, bool (B, 128), says sound at first.
    """
    first = np.arange(WORDS)[:, None, None] * WORD
    place = pitch - first
    here = changes & (place >= 0) & (place < WORD)
    bits = here.astype(np.int64) << np.where(here, place, 0)
    bits[..., 0] ^= np.add.reduceat(initial << np.arange(PITCHES) % WORD, first[:, 0, 0], axis=1).T
    return np.bitwise_xor.accumulate(bits, axis=-1)


def _lowest_from(words: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """The lowest pitch of at least `bound` (...) in words (WORDS, ...) of bits, plus one, 0 for none: int64, (...)."""
    first = np.arange(WORDS).reshape(-1, *[1] * bound.ndim) * WORD
    below = np.clip(bound - first, 0, WORD)
    return _outermost(words >> below << below)[0]


def _age(steps: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """How long a note has sounded, in one of len(AGES) + 1 classes from 1; 0 where there is no `pitch` plus one."""
    return (np.searchsorted(AGES, steps, "right") + 1) * (pitch > 0)


def _outermost(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest pitch in words (WORDS, ...) of bits, plus one, 0 for none: each int64, (...)."""
    first = np.arange(WORDS).reshape(-1, *[1] * (words.ndim - 1)) * WORD
    _, lowest = np.frexp(words & -words)  # the exponent of a number is how many bits it has
    _, highest = np.frexp(words)
    some, none = words > 0, PITCHES + 1
    return np.where(some, lowest + first, none).min(0) % none, np.where(some, highest + first, 0).max(0)


def _bin(velocity: np.ndarray) -> np.ndarray:
    """The bin, 1..VELOCITIES, of velocities 1..127."""
    return np.maximum(velocity.astype(np.int64) - 1, 0) // 4 + 1


def _centre(bins: np.ndarray) -> np.ndarray:
    """The velocity that stands for a bin."""
    return bins * 4 - 2


def _score(notes: np.ndarray) -> Score:
    return Score(notes, ticks_per_quarter=STEPS_PER_SECOND // 2)  # at 120 a tick is a step
