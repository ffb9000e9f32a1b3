"""Mending MIDI files where the music is certain, and refusing them where it is not."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from musiclstm.errors import FileError
from musiclstm.midi.check import plain_tracks
from musiclstm.midi.endings import end_notes
from musiclstm.midi.events import (
    LAST_TICK,
    MAX_NOTES,
    MAX_TRACKS,
    META,
    NOTE_OFF,
    NOTE_ON,
    TRACK_END,
    Span,
    Track,
    Unsound,
    meter_event,
    tempo_event,
    to_bytes,
)
from musiclstm.score import DEFAULT_TEMPO, bar_ticks

JUNK = 8192  # bytes in which the header is looked for
FRAME_RATES = {24: (24, 1_000_000), 25: (25, 1_000_000), 29: (30, 1_001_000), 30: (30, 1_000_000)}
"""From what a header calls a frame rate to so many frames in so many microseconds."""
COMMON_TIME = meter_event(b"\4\2")

FAULTS = {  # in the order in which they are named
    "junk": ("{} before its beginning left out", "byte"),
    "text": ("{} taken out that were put in when it was copied as text", "byte"),
    "trailing": ("{} after the last track left out", "byte"),
    "rest": ("{} after the end of a track left out", "byte"),
    "late": ("{} after the end of a track kept", "event"),
    "cut": ("{} missing behind the music, in the mark at the end of the last track", "byte"),
    "unmarked": ("the end of {} was not marked", "track"),
    "unfilled": ("the length of {} was not filled in", "track"),
    "broken": ("running status broken off by another event in {}", "place"),
    "foreign": ("{} that no file may hold left out", "message"),
    "misfits": ("{} of a wrong length", "tempo or meter event"),
    "unended": ("{} never ended, made to end where the pitch begins again or after a bar", "note"),
}


class Mended(NamedTuple):
    """A file with nothing left to mend. `altered`: not only by ends of notes."""

    data: bytes
    repairs: tuple[str, ...]
    remarks: tuple[str, ...]
    altered: bool


def mend(data: bytes) -> Mended:
    """The music in a MIDI file's bytes as a file of format 1 that every reader takes alike, and what was mended.

    Raises FileError where the bytes are no MIDI file, where some of them are lost, and where there is no note.
    """
    return _Workshop(data).mended()


class _Workshop:
    def __init__(self, data: bytes) -> None:
        self.faults: Counter[str] = Counter()
        self.repairs: list[str] = []
        self.remarks: list[str] = []
        self.tracks: list[Track] = []
        self.strangers = 0  # chunks that are no tracks
        self.data = self._without_returns(self._unwrapped(data))
        at = self._header()
        while at < len(self.data):
            at = self._chunk(at)
        self._check_tracks()

    def mended(self) -> Mended:
        quarter = self._ticks_per_quarter()
        if self.format == 2 and len(self.tracks) > 1:
            if any(_conducts(track) for track in self.tracks):
                self.remarks.append(
                    "its tracks are said to be pieces of their own, but one is for all: read as one piece"
                )
            else:
                self.remarks.append(f"its {len(self.tracks)} tracks are pieces of their own, read one after another")
                _follow_each_other(self.tracks, quarter)
        self.faults["unended"] = sum(end_notes(track, 4 * quarter) for track in self.tracks)
        for track in self.tracks:
            beyond = bisect_right(track.ticks, LAST_TICK)
            if any(message[0] >> 4 in (NOTE_OFF, NOTE_ON) for message in track.messages[beyond:]):
                raise FileError(f"a tick beyond {LAST_TICK:,}", kind="limit")
            if lost := len(track.ticks) - beyond:
                self.remarks.append(f"{count(lost, 'event')} beyond tick {LAST_TICK:,} left out")
                del track.ticks[beyond:], track.messages[beyond:]
            track.end = min(track.end, LAST_TICK)
        repairs = [
            sentence.format(count(self.faults[f], noun)) for f, (sentence, noun) in FAULTS.items() if self.faults[f]
        ]
        altered = bool(self.repairs) or len(repairs) > bool(self.faults["unended"])
        return Mended(to_bytes(self.tracks, quarter), (*self.repairs, *repairs), tuple(self.remarks), altered)

    def _unwrapped(self, data: bytes) -> bytes:
        if not data:
            raise FileError("an empty file, without a byte in it", kind="empty")
        at = data.find(b"MThd", 0, JUNK)
        if at < 0:
            raise FileError("not a sound MIDI file: nothing in it begins like one", kind="damaged")
        if at == 20 and data[:4] == b"RIFF" and data[8:16] == b"RMIDdata":
            self.remarks.append("wrapped in a RIFF file")
            return data[at : at + int.from_bytes(data[16:20], "little")]
        self.faults["junk"] = at
        return data[at:]

    def _without_returns(self, data: bytes) -> bytes:
        """Undo what a copy as text does, to put CR before each LF. What it takes out on the way back is lost."""
        feeds = data.count(b"\n")
        if feeds and data.count(b"\r\n") == feeds and plain_tracks(data) is None:
            before = data.replace(b"\r\n", b"\n")
            if plain_tracks(before) is not None:
                self.faults["text"] = feeds
                return before
        return data

    def _header(self) -> int:
        """Read the header; returns where it is over."""
        if len(self.data) < 14:
            raise FileError("it breaks off in its header", kind="damaged")
        size, self.format, self.promised, self.division = struct.unpack_from(">IHHH", self.data, 4)
        if self.promised > MAX_TRACKS:
            raise FileError(f"{self.promised:,} tracks by its header, more than {MAX_TRACKS:,}", kind="limit")
        if not self.division & 0x7FFF:
            raise FileError("its header says zero ticks per quarter note", kind="damaged")
        if self.format > 2:
            self.repairs.append(f"its header says format {self.format}, which there is not")
        if size == 6:
            return 14
        self.repairs.append(f"its header says that it is {size:,} bytes long, and not 6")
        return 8 + size if size > 6 and self.data[8 + size : 12 + size] == b"MTrk" else 14

    def _chunk(self, at: int) -> int:
        """Read the chunk at `at`; returns where it is over."""
        data, name = self.data, self.data[at : at + 4]
        start, end = at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        if name == b"MTrk" and start <= len(data):
            if len(self.tracks) == MAX_TRACKS:
                raise FileError(f"more than {MAX_TRACKS:,} tracks", kind="limit")
            self.tracks.append(Track())
            return self._read(self.tracks[-1], Span(start, end))
        if self._is_chunk(at):
            self.strangers += 1
            return end
        rest = count(len(data) - at, "byte")
        if name == b"MTrk" or len(self.tracks) < self.promised:
            where = f"after track {len(self.tracks)}" if self.tracks else "after the header"
            raise FileError(f"bytes are missing or were put in: {rest} {where} are no track", kind="damaged")
        self.faults["trailing"] = len(data) - at
        return len(data)

    def _read(self, track: Track, span: Span) -> int:
        """Read the track; returns where its chunk is over."""
        data, number = self.data, len(self.tracks)
        start, end = span
        if end > len(data):
            return self._read_cut(track, span)
        if start == end and not self._may_end(end):
            self.faults["unfilled"] += 1
            return self._read_on(track, end)
        try:
            stop = track.read(data, span)
        except Unsound as error:
            raise FileError(f"bytes of track {number} are wrong or missing: {error}", kind="damaged") from None
        if not track.ended and data.endswith(TRACK_END, start, end):
            raise FileError(f"bytes of track {number} are wrong or missing: its end is hidden", kind="damaged")
        if not track.ended:
            self.faults["unmarked"] += 1
            return end if self._may_end(end) else self._read_on(track, end, longest=4)
        if stop < end:
            if data[stop : stop + 4] == b"MTrk" or not self._may_end(end):
                raise FileError(f"{_missing(end - stop)} from track {number}", kind="damaged")
            self._read_rest(track, Span(stop, end))
        return end

    def _is_chunk(self, at: int) -> bool:
        """Whether a whole chunk lies at `at`, of whatever kind."""
        name, size = self.data[at : at + 4], int.from_bytes(self.data[at + 4 : at + 8], "big")
        return len(name) == 4 and name.isalnum() and name != b"MThd" and at + 8 + size <= len(self.data)

    def _may_end(self, at: int) -> bool:
        return at == len(self.data) or self.data[at : at + 4] == b"MTrk" or self._is_chunk(at)

    def _read_on(self, track: Track, at: int, longest: int = 2**32) -> int:
        """Read a track that goes on behind its chunk; returns where it is over."""
        try:
            stop = track.read(self.data, Span(at, len(self.data)))
        except Unsound:
            stop = 0
        if not track.ended or not self._may_end(stop) or stop > at + longest:
            number = len(self.tracks)
            raise FileError(f"track {number} is longer than it says, or bytes were put into it", kind="damaged")
        return stop

    def _read_cut(self, track: Track, span: Span) -> int:
        """Read a track whose chunk should go on behind the end of the file, if it is its mark alone that does."""
        data, number = self.data, len(self.tracks)
        size, there = span.end - span.start, len(data) - span.start
        mark = b"\0" + TRACK_END
        # bytes that are lost further up leave the mark where it is
        if size - there <= len(mark) and not data.endswith(TRACK_END) and number == self.promised:
            try:
                stop = track.read(data[span.start :] + mark[there - size :], Span(0, size))
            except Unsound:
                stop = 0
            if stop == size and track.ended:
                self.faults["cut"] = size - there
                return len(data)
        if size > 2 * there + 1000:
            raise FileError(f"track {number} should be {size:,} bytes long, and {there:,} are there", kind="damaged")
        raise FileError(f"{_missing(size - there)} from track {number}", kind="damaged")

    def _read_rest(self, track: Track, span: Span) -> None:
        """Read what follows an end-of-track within its chunk, if that is events."""
        rest = replace(track, ticks=[], messages=[])
        try:
            rest.read(self.data, span, past_ends=True)
        except Unsound:
            rest.ticks.clear()
        if not rest.ticks:
            self.faults["rest"] += span.end - span.start
            return
        self.faults["late"] += len(rest.ticks)
        self.tracks[-1] = replace(
            rest, ticks=track.ticks + rest.ticks, messages=track.messages + rest.messages, ended=True
        )

    def _check_tracks(self) -> None:
        found = len(self.tracks)
        if self.promised and not found:
            raise FileError("there is no track in it", kind="damaged")
        if found < self.promised and self.strangers:
            raise FileError(f"{count(self.promised - found, 'track')} cannot be found in it", kind="damaged")
        if self.strangers:
            self.remarks.append(f"{count(self.strangers, 'part')} of another kind than a track passed over")
        notes = sum(_begins_note(message) for track in self.tracks for message in track.messages)
        if not notes:
            raise FileError("no notes in it", kind="empty")
        if notes > MAX_NOTES:
            raise FileError(f"{notes:,} notes, more than {MAX_NOTES:,}", kind="limit")
        if found != self.promised:
            are = "there is 1" if found == 1 else f"there are {found:,}"
            self.repairs.append(f"its header says {count(self.promised, 'track')}, and {are}")
        elif self.format == 0 and found > 1:
            self.repairs.append(f"its header says that it has a single track, and there are {found:,}")
        for track in self.tracks:
            for fault in ("broken", "foreign", "misfits"):
                self.faults[fault] += getattr(track, fault)

    def _ticks_per_quarter(self) -> int:
        if self.division < 0x8000:
            return int(self.division)
        rate, ticks = 256 - (self.division >> 8), self.division & 0xFF
        if rate not in FRAME_RATES or not ticks:
            raise FileError(f"its header says {rate} frames a second of {ticks} ticks each", kind="damaged")
        frames, tempo = FRAME_RATES[rate]
        quarter = frames * ticks
        if quarter % 2 == 0:
            quarter, tempo = quarter // 2, tempo // 2
        beats = 60 if tempo > DEFAULT_TEMPO + 1000 else 120
        self.remarks.append(f"timed in frames and not in beats: read as {beats} quarter notes a minute")
        for track in self.tracks:  # tempo means nothing here, and neither do bars
            events = [event for event in zip(track.ticks, track.messages, strict=True) if event[1][0] != META]
            track.ticks, track.messages = [tick for tick, _ in events], [message for _, message in events]
        self.tracks.insert(0, Track([0], [tempo_event(tempo.to_bytes(3, "big"))]))
        return quarter


def _begins_note(message: bytes) -> bool:
    return message[0] >> 4 == NOTE_ON and message[2] > 0


def _conducts(track: Track) -> bool:
    """Whether it has tempos or meters, and no notes that they could be for."""
    return any(message[0] == META for message in track.messages) and not any(map(_begins_note, track.messages))


def _follow_each_other(tracks: Sequence[Track], quarter: int) -> None:
    """Let each track begin with the first bar line at which the one before it is over, with tempo and meter its own."""
    begin = 0
    for track in tracks:
        since, meter = 0, COMMON_TIME
        for tick, message in zip(track.ticks, track.messages, strict=True):
            if message[:2] == COMMON_TIME[:2]:
                since, meter = tick, message
        bar = bar_ticks(max(1, meter[3]), 2 ** min(meter[4], 7), quarter)
        length = since - (since - track.end) // bar * bar
        track.ticks = [begin, begin, *(begin + tick for tick in track.ticks)]
        track.messages = [tempo_event(DEFAULT_TEMPO.to_bytes(3, "big")), COMMON_TIME, *track.messages]
        track.end += begin
        begin += length


def count(number: int, noun: str) -> str:
    """'1 byte', '2 bytes'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _missing(number: int) -> str:
    return f"{count(number, 'byte')} {'is' if number == 1 else 'are'} missing"
