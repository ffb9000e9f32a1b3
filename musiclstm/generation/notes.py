"""Notes out of a sequence of tokens as soon as each is whole, in memory that does not grow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from musiclstm.errors import UserError
from musiclstm.score import DRUMS
from musiclstm.tokenizers import remi_tables
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.frames import VELOCITY, Frames
from musiclstm.tokenizers.performance import Performance
from musiclstm.tokenizers.remi import Remi
from musiclstm.tokenizers.vocabulary import EOS
from musiclstm.tokenizers.voices import Voices


@dataclass(frozen=True)
class Note:
    """A note that was decided. Times are in seconds from the beginning of the music."""

    start: float
    end: float
    pitch: int
    velocity: int
    program: int
    """General MIDI 0 to 127, or 128 for drums."""
    voice: int
    """Of the tokenizers that keep voices, from 0 up; else 0."""


class _Open(NamedTuple):
    seconds: float
    velocity: int


class NoteReader(ABC):
    """Follows one sequence, token by token, from after BOS."""

    @abstractmethod
    def feed(self, token: int, seconds: float) -> list[Note]:
        """The notes that are whole with this token, which stands at a time."""


def note_reader(tokenizer: Tokenizer) -> NoteReader:
    """The reader for a tokenizer. UserError where there is none."""
    for kind, reader in _READERS.items():
        if isinstance(tokenizer, kind):
            made: NoteReader = reader(tokenizer)
            return made
    raise UserError(
        f"a stream of notes needs one of the tokenizers voices, performance, remi and frames, and this model has "
        f"{tokenizer.name}: generate whole pieces with it"
    )


class _VoicesReader(NoteReader):
    def __init__(self, tokenizer: Voices) -> None:
        self._tokenizer = tokenizer
        self._open: list[tuple[int, float] | None] = [None] * tokenizer.num_voices  # pitch and start
        self._voice = 0

    def feed(self, token: int, seconds: float) -> list[Note]:
        tokenizer = self._tokenizer
        if token == EOS:
            notes = [note for voice in range(tokenizer.num_voices) for note in self._close(voice, seconds)]
            return notes
        if token < tokenizer.rest:
            return []
        voice = self._voice
        self._voice = (voice + 1) % tokenizer.num_voices
        if token == tokenizer.hold:
            return []
        notes = self._close(voice, seconds)
        if token >= tokenizer.pitch:
            self._open[voice] = (token - tokenizer.pitch, seconds)
        return notes

    def _close(self, voice: int, seconds: float) -> list[Note]:
        sounding, self._open[voice] = self._open[voice], None
        if sounding is None:
            return []
        pitch, start = sounding
        return [Note(start, seconds, pitch, VELOCITY, self._tokenizer.programs[voice], voice)]


class _PerformanceReader(NoteReader):
    def __init__(self, tokenizer: Performance) -> None:
        self._tokenizer = tokenizer
        self._open: dict[int, _Open] = {}
        self._velocity = 64

    def feed(self, token: int, seconds: float) -> list[Note]:
        tokenizer = self._tokenizer
        if token >= tokenizer.velocity:
            self._velocity = (token - tokenizer.velocity + 1) * 4 - 2
        elif tokenizer.note_on <= token < tokenizer.note_on + 128:
            self._open[token - tokenizer.note_on] = _Open(seconds, self._velocity)
        elif tokenizer.note_off <= token < tokenizer.note_off + 128:
            pitch = token - tokenizer.note_off
            opened = self._open.pop(pitch, None)
            if opened is not None:
                return [Note(opened.seconds, seconds, pitch, opened.velocity, tokenizer.program, 0)]
        return []


class _RemiReader(NoteReader):
    def __init__(self, tokenizer: Remi) -> None:
        self._tokenizer = tokenizer
        self._kinds = [token.partition("_")[0] for token in tokenizer.vocabulary.tokens]
        self._program, self._pitch, self._velocity = 0, 0, remi_tables.VELOCITY
        self._rate = tokenizer.seconds_per_step

    def feed(self, token: int, seconds: float) -> list[Note]:
        tokenizer = self._tokenizer
        kind = self._kinds[token]
        value = token - tokenizer.vocabulary.first(kind) if token > EOS else 0
        if kind == "Program":
            self._program = value
        elif kind == "Velocity":
            self._velocity = int(tokenizer.velocity_middles[value])
        elif kind == "Tempo":
            self._rate = remi_tables.MICROSECONDS[value] / 1e6 / tokenizer.steps_per_quarter
        elif kind == "Pitch":
            self._pitch = value
        elif kind == "Duration":
            end = seconds + float(tokenizer.durations[value]) * self._rate
            return [Note(seconds, end, self._pitch, self._velocity, self._program, 0)]
        elif kind == "Drum":
            return [Note(seconds, seconds + self._rate, value, self._velocity, DRUMS, 0)]
        return []


class _FramesReader(NoteReader):
    def __init__(self, tokenizer: Frames) -> None:
        self._tokenizer = tokenizer
        self._open: dict[int, float] = {}
        self._present: set[int] = set()

    def feed(self, token: int, seconds: float) -> list[Note]:
        tokenizer = self._tokenizer
        if tokenizer.pitch <= token < tokenizer.pitch + 128:
            self._present.add(token - tokenizer.pitch)
            return []
        if token not in (EOS, tokenizer.frame):
            return []
        notes = [
            Note(self._open.pop(pitch), seconds, pitch, VELOCITY, tokenizer.program, 0)
            for pitch in sorted(self._open.keys() - self._present)
        ]
        for pitch in self._present:
            self._open.setdefault(pitch, seconds)
        self._present = set()
        return notes


_READERS: dict[type[Tokenizer], type] = {
    Voices: _VoicesReader,
    Performance: _PerformanceReader,
    Remi: _RemiReader,
    Frames: _FramesReader,
}
