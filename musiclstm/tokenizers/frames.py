"""Sets of pitches on a grid, one frame a step: the piano roll as a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, TEMPO, Score, make_notes
from musiclstm.tokenizers.base import Features, Reading, Tokenizer
from musiclstm.tokenizers.fitting import FASTEST, SLOWEST, commonest_program, usual_tempo
from musiclstm.tokenizers.frames_grammar import FramesGrammar
from musiclstm.tokenizers.frames_repeats import FOLLOWING, PITCHES, FrameRepeats, Line
from musiclstm.tokenizers.grid import nearest_step, quantise_meters, steps_of
from musiclstm.tokenizers.metre import MOST_BARS, BarReading, Metre, bars_so_far, read_bars
from musiclstm.tokenizers.repeats import AGREEMENTS, read_rows
from musiclstm.tokenizers.vocabulary import BOS, EOS, Vocabulary

VELOCITY = 80
ROW = PITCHES + 1  # places of a frame: its pitches, then its end
MOST_STEPS = 1 << 18  # nine hours of sixteenths at 120: beyond lies a damaged file


@dataclass
class FramesReading(Reading):
    """Also the frames closed (B,), the pitches of the last one and of the one begun (B, 128), and for each row what is
    needed to see that it repeats itself."""

    step: np.ndarray
    bar: BarReading
    before: np.ndarray
    present: np.ndarray
    lines: list[Line | None]


class Frames(Tokenizer):
    """`BOS TimeSignature [Pickup] (Pitch* Frame)* EOS`: what sounds in each step, ascending, closed by `Frame`.

    A pitch in consecutive frames is one note, held. A change of meter stands as a TimeSignature before the frame
    at which its first bar begins. All instruments but drums are merged; dynamics and tempo are not kept: music
    comes back at `tempo`, at one velocity and on `program`.
    """

    name = "frames"
    unit = ("frame", ("Frame",))
    pitch_types = ("Pitch",)
    zeros: ClassVar = {"low_before": 1, "next": 1, "last": 1, "low": 1, "high_before": 1, "following": 1}

    def __init__(
        self,
        steps_per_quarter: int = 4,
        tempo: float = 120.0,
        program: int = 0,
        features: Sequence[str] | None = None,
    ) -> None:
        if not 1 <= steps_per_quarter <= 24:
            raise UserError(f"tokenizer.steps_per_quarter is {steps_per_quarter}: give a number from 1 to 24")
        if not SLOWEST <= tempo <= FASTEST:
            raise UserError(f"tokenizer.tempo is {tempo}: give quarter notes a minute from {SLOWEST} to {FASTEST}")
        if not 0 <= program < DRUMS:
            raise UserError(f"tokenizer.program is {program}: give a number from 0 to 127")
        self.steps_per_quarter, self.tempo, self.program = steps_per_quarter, float(tempo), program
        self.metre, self.repeats = Metre(steps_per_quarter), FrameRepeats(steps_per_quarter)
        self.vocabulary = Vocabulary({**self.metre.types(), "Pitch": range(PITCHES), "Frame": [""]})
        self.metre.bind(self.vocabulary)
        self.pitch, self.frame = self.vocabulary.first("Pitch"), self.vocabulary.first("Frame")
        sizes = {
            "position": self.metre.longest,
            "meter": len(self.metre.meters),
            "next": PITCHES + 1,  # none, or the pitch that the frame before would go on with
            "bars": MOST_BARS + 1,
            "following": FOLLOWING,
            "agreement": AGREEMENTS,
            # None, or a pitch: the last said of this frame, its lowest, the lowest and the highest of the frame before.
            **dict.fromkeys(("last", "low", "low_before", "high_before"), PITCHES + 1),
        }
        self.features = Features(sizes, features)
        self.context_sizes = self.features.sizes

    @classmethod
    def fit(cls, scores: Sequence[Score], **arguments: Any) -> Frames:
        """The usual tempo, and the instrument that has most notes."""
        given = {key: value for key, value in arguments.items() if value is not None}
        scores = [score for score in scores if (score.notes["program"] != DRUMS).any()]
        given.setdefault("tempo", usual_tempo(scores))
        given.setdefault("program", commonest_program(scores))
        return cls(**given)

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "steps_per_quarter": self.steps_per_quarter,
            "tempo": self.tempo,
            "program": self.program,
            "features": self.features.names,
        }

    @property
    def seconds_per_step(self) -> float:
        return 60.0 / self.tempo / self.steps_per_quarter

    def to_step(self, score: Score, tick: int) -> int:
        return nearest_step(score, tick, self.steps_per_quarter)

    def admits(self, score: Score) -> str | None:
        if len(score) == 0:
            return "no notes"
        if (score.notes["program"] == DRUMS).all():
            return "no notes but drums"
        steps = self.to_step(score, score.end)
        return f"{steps} steps, and at most {MOST_STEPS}" if steps > MOST_STEPS else None

    def quantise(self, score: Score) -> Score:
        score = score.replace(notes=score.notes[score.notes["program"] != DRUMS])
        start, end = steps_of(score, self.steps_per_quarter)
        meters, first_bar = quantise_meters(score, self.steps_per_quarter, int(end.max(initial=0)))
        # Pitch by pitch on one line, far enough apart not to touch: notes that do are one.
        apart = int(end.max(initial=0)) + 1
        offset = score.notes["pitch"].astype(np.int64) * apart
        order = np.argsort(start + offset)
        start, end = (start + offset)[order], np.maximum.accumulate((end + offset)[order])
        begins = np.append(True, start[1:] > end[:-1])[: len(start)]
        start, end = start[begins], end[np.append(begins[1:], True)[: len(end)]]
        pitch = start // apart
        notes = make_notes(start - pitch * apart, end - pitch * apart, pitch, VELOCITY, self.program)
        return self._score(notes, meters, first_bar)

    def _score(self, notes: np.ndarray, meters: np.ndarray, first_bar: int) -> Score:
        tempos = np.array([(0, round(60e6 / self.tempo))], TEMPO)
        return Score(notes, self.steps_per_quarter, tempos, meters, first_bar=first_bar)

    def events(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        score = self.quantise(score)
        start = score.notes["start"].astype(np.int64)
        lengths = score.notes["end"] - start
        steps = np.arange(lengths.sum()) + np.repeat(start - np.cumsum(lengths) + lengths, lengths)
        cells = steps * ROW + np.repeat(score.notes["pitch"], lengths)
        cells = np.sort(np.concatenate([cells, np.arange(score.end) * ROW + PITCHES]))
        marks, at = self.metre.encode(score.meters, score.first_bar)
        place = np.searchsorted(cells, at * ROW)
        body = np.insert(cells % ROW + self.pitch, place, marks)  # Frame follows the pitches in the vocabulary
        ids = np.concatenate([[BOS], body, [EOS]]).astype(np.int32)
        return ids, np.concatenate([[0], np.insert(cells // ROW, place, at), [score.end]])

    def encode_prompt(self, score: Score, step: int) -> np.ndarray:
        """The ids of the frames before `step`, empty ones where nothing sounds any more."""
        ids = super().encode_prompt(score, step)
        missing = max(0, step - np.count_nonzero(ids == self.frame))
        return np.concatenate([ids, np.full(missing, self.frame, np.int32)])

    def decode(self, ids: np.ndarray) -> Score:
        ids = np.asarray(ids, np.int64)
        closes = ids == self.frame
        step = np.cumsum(closes) - closes
        meters, pickup = self.metre.decode(ids, step)
        said = self.vocabulary.has("Pitch", ids) & (step < closes.sum())  # an unfinished frame is left out
        apart = int(closes.sum()) + 1
        cells = np.unique((ids[said] - self.pitch) * apart + step[said])
        begins = np.append(True, np.diff(cells) > 1)[: len(cells)]
        start, last = cells[begins], cells[np.append(begins[1:], True)[: len(cells)]]
        pitch = start // apart
        notes = make_notes(start - pitch * apart, last - pitch * apart + 1, pitch, VELOCITY, self.program)
        return self._score(notes, meters if len(meters) else Score(notes).meters, pickup)

    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, FramesReading]:
        ids = np.asarray(ids, np.int64)
        batch = len(ids)
        if reading is None:
            zero = np.zeros(batch, np.int64)
            nothing = np.zeros((batch, PITCHES), bool)
            reading = FramesReading(zero * 0.0, zero, zero, BarReading.start(batch), nothing, nothing, [None] * batch)
        assert isinstance(reading, FramesReading)
        frame = np.cumsum(ids == self.frame, axis=1)  # since the one begun when this reading started
        step = reading.step[:, None] + frame
        position, meter, bars, bar = read_bars(self.metre, ids, step, reading.bar)
        # Every pitch told is a number that sorts by row of the batch, frame and pitch: what the frame before has
        # next is then the first number from a given one on. Its frames are counted from the one before this reading.
        rows, frames = np.arange(batch)[:, None] * (ids.shape[1] + 2), frame + 1
        is_pitch = self.vocabulary.has("Pitch", ids)
        carried = np.stack([reading.before, reading.present], 1)  # (B, 2, 128)
        row, old, pitch = np.nonzero(carried)
        told = np.concatenate(
            [(rows[row, 0] + old) * PITCHES + pitch, ((rows + frames) * PITCHES + ids - self.pitch)[is_pitch]]
        )
        told = np.append(np.sort(told), np.iinfo(np.int64).max)
        above = np.where(is_pitch, ids - self.pitch + 1, 0)
        begin = (rows + frames - 1) * PITCHES
        found = told[np.searchsorted(told, begin + above)] - begin
        coming = np.where((found < PITCHES) & (above < PITCHES), found + 1, 0)
        # The frame's lowest pitch is the first of it that was said.
        edges = (rows + frames) * PITCHES
        low, low_before = (_in_frame(told[np.searchsorted(told, start)] - start) for start in (edges, begin))
        high_before = _in_frame(told[np.searchsorted(told, edges) - 1] - begin)
        # The pitches and Frame are the last of the vocabulary.
        following, agreement, lines = read_rows(self.repeats, ids - self.pitch, ids >= self.pitch, reading.lines)
        pitches = [above, np.where(is_pitch, low, 0), low_before, high_before]
        features = np.stack([position, meter, coming, bars_so_far(bars), following, agreement, *pitches], -1)
        open_frame = rows[:, 0] + frames[:, -1]
        before, present = (_members(told, open_frame + back) for back in (-1, 0))
        last = step[:, -1]
        now = FramesReading(last * self.seconds_per_step, bars[:, -1], last, bar, before, present, lines)
        return self.features.told(features), now

    def grammar(self) -> FramesGrammar:
        return FramesGrammar(self.vocabulary, self.metre, self.repeats, self.features, self.seconds_per_step)

    def describe(self) -> str:
        return f"frames: sets of pitches on a grid of {self.steps_per_quarter} steps a quarter"


def _in_frame(pitch: np.ndarray) -> np.ndarray:
    """The feature of a pitch, reckoned from the first place of a frame: 0 where it is none of that frame's."""
    return np.where((pitch >= 0) & (pitch < PITCHES), pitch + 1, 0)


def _members(told: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The pitches (B, 128) that `told` has in each of `frames` (B,)."""
    cells = frames[:, None] * PITCHES + np.arange(PITCHES)
    return told[np.searchsorted(told, cells)] == cells
