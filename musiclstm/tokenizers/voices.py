"""A fixed number of voices on a grid, one token per voice per step: chorales and melodies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, TEMPO, Score, make_notes
from musiclstm.tokenizers.base import Features, Reading, Tokenizer, carry_forward, delayed
from musiclstm.tokenizers.fitting import FASTEST, SLOWEST, usual_tempo
from musiclstm.tokenizers.grid import nearest_step, quantise_meters, steps_of
from musiclstm.tokenizers.metre import MOST_BARS, BarReading, Metre, bars_so_far, read_bars
from musiclstm.tokenizers.repeats import AGREEMENTS, read_rows
from musiclstm.tokenizers.vocabulary import BOS, EOS, Vocabulary
from musiclstm.tokenizers.voices_grammar import LONGEST_RUN, REST, VoicesGrammar
from musiclstm.tokenizers.voices_repeats import FOLLOWING, Line, VoiceRepeats, coded

VELOCITY = 80
MOST_VOICES = 16
MOST_TOGETHER = 0.05  # the share of notes with which a voice may break the rule that it sings one at a time


@dataclass
class VoicesReading(Reading):
    """Also the voice tokens read (B,), of each voice its last pitch or rest and where that began (B, V), and for each
    row what is needed to see that it repeats itself."""

    count: np.ndarray
    bar: BarReading
    last: np.ndarray
    since: np.ndarray
    lines: list[Line | None]


class Voices(Tokenizer):
    """`BOS TimeSignature [Pickup] (voice_1 ... voice_V)* EOS`, where a voice is `Pitch_p`, `Hold` or `Rest`.

    A change of meter stands as a TimeSignature before the step at which its first bar begins. Dynamics and
    tempo are not kept: music comes back at `tempo` and at one velocity, each voice with its program.
    """

    name = "voices"
    unit = ("voice_step", ("Rest", "Hold", "Pitch"))
    pitch_types = ("Pitch",)
    zeros: ClassVar = {"last": 2, "following": 3, **{f"last_{v + 1}": 2 for v in range(MOST_VOICES)}}

    def __init__(
        self,
        num_voices: int = 4,
        steps_per_quarter: int = 4,
        tempo: float = 120.0,
        programs: Sequence[int] = (0,),
        features: Sequence[str] | None = None,
    ) -> None:
        if not 1 <= num_voices <= MOST_VOICES:
            raise UserError(f"tokenizer.num_voices is {num_voices}: give a number from 1 to {MOST_VOICES}")
        if not 1 <= steps_per_quarter <= 24:
            raise UserError(f"tokenizer.steps_per_quarter is {steps_per_quarter}: give a number from 1 to 24")
        if not SLOWEST <= tempo <= FASTEST:
            raise UserError(f"tokenizer.tempo is {tempo}: give quarter notes a minute from {SLOWEST} to {FASTEST}")
        self.num_voices, self.steps_per_quarter, self.tempo = num_voices, steps_per_quarter, float(tempo)
        self.programs = [programs[min(v, len(programs) - 1)] for v in range(num_voices)]
        self.metre, self.repeats = Metre(steps_per_quarter), VoiceRepeats(num_voices, steps_per_quarter)
        self.vocabulary = Vocabulary({**self.metre.types(), "Rest": [""], "Hold": [""], "Pitch": range(128)})
        self.metre.bind(self.vocabulary)
        self.rest, self.hold, self.pitch = (self.vocabulary.first(kind) for kind in ("Rest", "Hold", "Pitch"))
        sizes = {
            "voice": num_voices,
            "position": self.metre.longest,
            "meter": len(self.metre.meters),
            "last": 130,  # nothing yet, a rest, or a pitch
            "run": LONGEST_RUN + 1,
            "bars": MOST_BARS + 1,
            "following": FOLLOWING,
            "agreement": AGREEMENTS,
        }
        if num_voices > 1:  # where there is one, these are `last` and `run`
            sizes |= {f"last_{v + 1}": 130 for v in range(num_voices)}
            sizes |= {f"run_{v + 1}": LONGEST_RUN + 1 for v in range(num_voices)}
        self.features = Features(sizes, features)
        self.context_sizes = self.features.sizes

    @classmethod
    def fit(cls, scores: Sequence[Score], **arguments: Any) -> Voices:
        """Voices as many as the tracks of the score that has most, their programs and the usual tempo."""
        given = {key: value for key, value in arguments.items() if value is not None}
        scores = [score for score in scores if len(score)]
        if "num_voices" not in given and scores:
            given["num_voices"] = min(MOST_VOICES, max(len(np.unique(score.notes["track"])) for score in scores))
        if "tempo" not in given and scores:
            given["tempo"] = usual_tempo(scores)
        if "programs" not in given and scores:
            seen = [Counter[int]() for _ in range(given.get("num_voices", 4))]
            for score in scores:
                for voice, track in enumerate(np.unique(score.notes["track"])[: len(seen)]):
                    programs = score.notes["program"][score.notes["track"] == track]
                    seen[voice][int(programs[0])] += 1
            given["programs"] = [counts.most_common(1)[0][0] if counts else 0 for counts in seen]
        return cls(**given)

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "num_voices": self.num_voices,
            "steps_per_quarter": self.steps_per_quarter,
            "tempo": self.tempo,
            "programs": list(self.programs),
            "features": self.features.names,
        }

    @property
    def seconds_per_step(self) -> float:
        return 60.0 / self.tempo / self.steps_per_quarter

    def to_step(self, score: Score, tick: int) -> int:
        return nearest_step(score, tick, self.steps_per_quarter)

    def admits(self, score: Score) -> str | None:
        tracks = np.unique(score.notes["track"])
        if len(tracks) == 0:
            return "no notes"
        if len(tracks) > self.num_voices:
            return f"{len(tracks)} tracks, and {self.num_voices} voices"
        if (score.notes["program"] == DRUMS).any():
            return "drums"
        for track in tracks:
            notes = score.notes[score.notes["track"] == track]
            start, end = notes["start"].astype(np.int64), notes["end"].astype(np.int64)
            overlap, shorter = end[:-1] - start[1:], np.minimum((end - start)[:-1], (end - start)[1:])
            # A singer's notes may touch; those that share half their time are two voices'.
            if len(notes) > 1 and (2 * overlap > shorter).mean() > MOST_TOGETHER:
                return f"several notes at once in track {track + 1}"
        return None

    def quantise(self, score: Score) -> Score:
        start, end = steps_of(score, self.steps_per_quarter)
        tracks = np.unique(score.notes["track"])
        small = len(tracks) == 0 or int(tracks[-1]) < self.num_voices
        voice = score.notes["track"].astype(np.int64) if small else np.searchsorted(tracks, score.notes["track"])
        pitch = score.notes["pitch"].astype(np.int64)
        kept = voice < self.num_voices
        start, end, voice, pitch = start[kept], end[kept], voice[kept], pitch[kept]
        # One note at a time: of a chord the top stays, and a note ends where its voice's next begins.
        order = np.lexsort([-end, -pitch, start, voice])
        start, end, voice, pitch = start[order], end[order], voice[order], pitch[order]
        first = np.ones(len(start), bool)
        first[1:] = (voice[1:] != voice[:-1]) | (start[1:] != start[:-1])
        start, end, voice, pitch = start[first], end[first], voice[first], pitch[first]
        follows = voice[1:] == voice[:-1]
        end[:-1] = np.where(follows, np.minimum(end[:-1], start[1:]), end[:-1])
        notes = make_notes(start, end, pitch, VELOCITY, np.array(self.programs)[voice], voice)
        return self._score(notes, *quantise_meters(score, self.steps_per_quarter, int(end.max(initial=0))))

    def _score(self, notes: np.ndarray, meters: np.ndarray, first_bar: int) -> Score:
        tempos = np.array([(0, round(60e6 / self.tempo))], TEMPO)
        return Score(notes, self.steps_per_quarter, tempos, meters, first_bar=first_bar)

    def events(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        score = self.quantise(score)
        steps, voice = score.end, score.notes["track"].astype(np.int64)
        start, end = score.notes["start"], score.notes["end"]
        edges = np.zeros((steps + 1, self.num_voices), np.int64)
        np.add.at(edges, (start, voice), 1)
        np.subtract.at(edges, (end, voice), 1)
        grid = np.where(np.cumsum(edges[:-1], axis=0) > 0, self.hold, self.rest)
        grid[start, voice] = score.notes["pitch"].astype(np.int64) + self.pitch
        marks, at = self.metre.encode(score.meters, score.first_bar)
        body = np.insert(grid.reshape(-1), at * self.num_voices, marks)
        times = np.insert(np.repeat(np.arange(steps), self.num_voices), at * self.num_voices, at)
        ids = np.concatenate([[BOS], body, [EOS]]).astype(np.int32)
        return ids, np.concatenate([[0], times, [steps]])

    def _is_voice(self, ids: np.ndarray) -> np.ndarray:
        return ids >= self.rest  # Rest, Hold and the pitches are the last types of the vocabulary

    def decode(self, ids: np.ndarray) -> Score:
        ids = np.asarray(ids, np.int64)
        is_voice = self._is_voice(ids)
        step = (np.cumsum(is_voice) - is_voice) // self.num_voices
        meters, pickup = self.metre.decode(ids, step)
        tokens = ids[is_voice]
        steps = len(tokens) // self.num_voices  # an unfinished step is left out
        grid = tokens[: steps * self.num_voices].reshape(steps, self.num_voices).T.reshape(-1)  # voice by voice
        begins = np.flatnonzero(np.append(grid != self.hold, True) | (np.arange(len(grid) + 1) % max(steps, 1) == 0))
        begin, end = begins[:-1], begins[1:]
        sounds = grid[begin] >= self.pitch
        begin, end = begin[sounds], end[sounds]
        voice = begin // max(steps, 1)
        offset = voice * steps
        pitch = grid[begin] - self.pitch
        notes = make_notes(begin - offset, end - offset, pitch, VELOCITY, np.array(self.programs)[voice], voice)
        return self._score(notes, meters if len(meters) else Score(notes).meters, pickup)

    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, VoicesReading]:
        ids = np.asarray(ids, np.int64)
        batch, num_voices = len(ids), self.num_voices
        if reading is None:
            zero = np.zeros(batch, np.int64)
            nothing = np.zeros((batch, num_voices), np.int64)
            reading = VoicesReading(zero * 0.0, zero, zero, BarReading.start(batch), nothing, nothing, [None] * batch)
        assert isinstance(reading, VoicesReading)
        is_voice = self._is_voice(ids)
        count = reading.count[:, None] + np.cumsum(is_voice, axis=1)  # (B, T)
        voice, step = count % num_voices, count // num_voices
        position, meter, bars, bar = read_bars(self.metre, ids, step, reading.bar)
        begins = is_voice & (ids != self.hold)
        said_by, said_at = (count - 1) % num_voices, (count - 1) // num_voices
        value = np.where(ids == self.rest, REST, ids - self.pitch + 2)
        lasts, sinces = [], []
        for v in range(num_voices):
            mine = begins & (said_by == v)
            latest = carry_forward(value, mine, reading.last[:, v])
            before = delayed(latest, reading.last[:, v])
            fresh = mine & ~((value == REST) & (before == REST))  # a Rest after a Rest is the same one
            lasts.append(latest)
            sinces.append(carry_forward(said_at, fresh, reading.since[:, v]))
        last, since = np.stack(lasts, -1), np.stack(sinces, -1)  # (B, T, V)
        own = voice[..., None]
        runs = np.clip(step[..., None] - since, 0, LONGEST_RUN)
        last_own, run = (np.take_along_axis(part, own, -1)[..., 0] for part in (last, runs))
        sounds = np.take_along_axis(last, said_by[..., None], -1)[..., 0]
        following, agreement, lines = read_rows(self.repeats, coded(sounds, ids != self.hold), is_voice, reading.lines)
        features = np.stack([voice, position, meter, last_own, run, bars_so_far(bars), following, agreement], -1)
        if num_voices > 1:
            features = np.concatenate([features, last, runs], -1)
        seconds = step[:, -1] * self.seconds_per_step
        return self.features.told(features), VoicesReading(
            seconds, bars[:, -1], count[:, -1], bar, last[:, -1], since[:, -1], lines
        )

    def grammar(self) -> VoicesGrammar:
        return VoicesGrammar(self.vocabulary, self.metre, self.repeats, self.features, self.seconds_per_step)

    def describe(self) -> str:
        voices = f"{self.num_voices} voice{'s' if self.num_voices > 1 else ''}"
        return f"voices: {voices} on a grid of {self.steps_per_quarter} steps a quarter"
