"""The bytes of a track in a MIDI file: what events they hold, and how to write them anew."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from musiclstm.errors import FileError

MAX_TRACKS = 1000
MAX_NOTES = 1_000_000
MAX_EVENTS = 4_000_000  # of a track that has to be read here, event by event
LAST_TICK = 2**31 - 1  # symusic and Score count in 32 bits
LONGEST = 0x0FFFFFFF  # ticks from one event to the next: what four bytes can say
TRACK_END = b"\xff\x2f\x00"
NOTE_OFF, NOTE_ON, CONTROL = 0x8, 0x9, 0xB  # the upper half of a status byte; the lower is the channel
META, SYSEX, ESCAPE = 0xFF, 0xF0, 0xF7
END_OF_TRACK, TEMPO, METER, KEY = 0x2F, 0x51, 0x58, 0x59  # kinds of meta events

DATA_BYTES = [2] * 256  # that follow a status byte
DATA_BYTES[0xC0:0xE0] = [1] * 32
DATA_BYTES[0xF0:] = [0, 1, 2, 1, *[0] * 12]
BYTE = [bytes([value]) for value in range(256)]
TEMPO_HEAD, KEY_HEAD = bytes([META, TEMPO, 3]), bytes([META, KEY, 2])


class Span(NamedTuple):
    """Where a track's events lie in a file's bytes: from `start` up to `end`, its end-of-track included."""

    start: int
    end: int


class Unsound(Exception):
    """Bytes that are no events."""


def variable(data: bytes, at: int) -> tuple[int, int]:
    """The number of up to four bytes at `at`, and where it is over. Raises IndexError where `data` is too short."""
    number = 0
    for after in range(at + 1, at + 5):
        number = number << 7 | data[after - 1] & 0x7F
        if data[after - 1] < 0x80:
            break
    return number, after


@dataclass
class Track:
    """The events of a track that a Score is made of, in order, each with its status byte: `messages` at `ticks`.

    Texts, key signatures, system exclusive messages and the like are read and left out.
    """

    ticks: list[int] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    end: int = 0  # the tick of its last event, end-of-track and what is left out included
    ended: bool = False  # by an end-of-track
    broken: int = 0  # places where a running status goes on after a meta or system event
    foreign: int = 0  # events that belong between instruments, not in a file
    misfits: int = 0  # tempos and meters of a length that they cannot have

    def read(self, data: bytes, span: Span, *, past_ends: bool = False) -> int:
        """Add the events up to the end-of-track, or to the end of `span`. Returns where reading stopped.

        Raises Unsound, with what is wrong, where a byte cannot be what its place says.
        """
        content = data[span.start : span.end]
        at, tick, status, interrupted = 0, self.end, 0, False
        ticks, messages = self.ticks, self.messages
        known: dict[bytes, bytes] = {}  # that equal messages are one object, and millions of them fit into memory
        self.ended = False
        try:
            while at < len(content) and (past_ends or not self.ended):
                if len(ticks) == MAX_EVENTS:
                    raise FileError(f"more than {MAX_EVENTS:,} events in a track", kind="limit")
                delta = content[at]
                at += 1
                if delta >= 0x80:
                    delta, at = variable(content, at - 1)
                    if content[at - 1] >= 0x80:
                        raise Unsound("a time of more than four bytes")
                if delta:
                    tick += delta
                byte = content[at]
                if byte >= SYSEX:
                    interrupted = interrupted or not META > byte > ESCAPE  # those may stand within other events
                    at = self._system(content, at, tick)
                    continue
                if byte >= 0x80:
                    status, interrupted = byte, False
                    at += 1
                elif interrupted:
                    interrupted = False
                    self.broken += 1
                if not status:
                    raise Unsound("data that belong to no event")
                size = DATA_BYTES[status]
                message = BYTE[status] + content[at : at + size]
                at += size
                if not message[1:].isascii():
                    raise Unsound("an event that begins in the middle of another")
                ticks.append(tick)
                messages.append(known.setdefault(message, message))
        except IndexError:
            at = len(content) + 1
        self.end = tick
        if at > len(content):
            raise Unsound("half an event at its end")
        return span.start + at

    def _system(self, content: bytes, at: int, tick: int) -> int:
        """Read the meta or system event at `at`; returns where it is over."""
        status = content[at]
        if status not in (META, SYSEX, ESCAPE):
            self.foreign += 1
            start, at = at + 1, at + 1 + DATA_BYTES[status]
            if not content[start:at].isascii():
                raise Unsound("an event that begins in the middle of another")
            return at
        kind = content[at + 1]
        length, at = variable(content, at + 1 + (status == META))
        payload = content[at : at + length]
        at += length
        if at > len(content):
            raise IndexError
        if status == META:
            if kind >= 0x80:
                raise Unsound("an event of a kind that does not exist")
            self.ended = kind == END_OF_TRACK
            if kind in (TEMPO, METER):
                self._timing(tick, kind, payload)
        return at

    def _timing(self, tick: int, kind: int, payload: bytes) -> None:
        self.misfits += len(payload) != (3 if kind == TEMPO else 4)
        if len(payload) == 3 and kind == TEMPO:
            self.messages.append(tempo_event(payload))
        elif len(payload) >= 2 and kind == METER:
            self.messages.append(meter_event(payload))
        else:
            return
        self.ticks.append(tick)

    def to_bytes(self) -> bytes:
        """The track as a chunk, in which every event has its status byte."""
        parts = []
        before = 0
        for tick, message in zip([*self.ticks, self.end], [*self.messages, TRACK_END], strict=True):
            delta = tick - before
            before = tick
            if delta < 0x80:
                parts.append(BYTE[delta])
            else:
                while delta > LONGEST:
                    parts.append(b"\xff\xff\xff\x7f\xff\x01\x00")
                    delta -= LONGEST
                parts.append(_as_variable(delta))
            parts.append(message)
        content = b"".join(parts)
        return b"MTrk" + len(content).to_bytes(4, "big") + content


def tempo_event(payload: bytes) -> bytes:
    """The message of a tempo, its microseconds per quarter note in three bytes."""
    return TEMPO_HEAD + payload


def meter_event(payload: bytes) -> bytes:
    """The message of a meter, its numerator and the logarithm of its denominator in the first two bytes."""
    return bytes([META, METER, 4]) + payload[:2] + b"\x18\x08"


def _as_variable(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(digits[::-1])


def to_bytes(tracks: Sequence[Track], division: int) -> bytes:
    """A MIDI file of format 1."""
    chunks = [track.to_bytes() for track in tracks]
    return b"".join([b"MThd", struct.pack(">IHHH", 6, 1, len(chunks), division), *chunks])
