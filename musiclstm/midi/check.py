"""Telling by a glance at the bytes of a MIDI file whether symusic will read all of it, and read it right."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from musiclstm.midi.events import (
    BYTE,
    DATA_BYTES,
    END_OF_TRACK,
    ESCAPE,
    KEY_HEAD,
    MAX_TRACKS,
    META,
    METER,
    SYSEX,
    TEMPO,
    TEMPO_HEAD,
    TRACK_END,
    Span,
    variable,
)

MARK = 123  # sharps, which no key has
_MARK = KEY_HEAD + bytes([MARK, 0]) + b"\xff\xff\xff\x7f"
_NOTE_OFFS = [bytes([0x80 + i, 0, 0]) + b"".join(bytes([0, pitch, 0]) for pitch in range(1, 128)) for i in range(16)]


def plain_tracks(data: bytes) -> list[Span] | None:
    """The tracks of a file in which there is nothing to mend but notes that may never be ended.

    None where its chunks do not lie as its header says, or where symusic would misread an event without a word. Reads
    no events, save in tracks where a byte could be such an event.
    """
    if len(data) < 14 or data[:8] != b"MThd\0\0\0\6":
        return None
    kind, count, division = struct.unpack_from(">HHH", data, 8)
    if kind > 1 or (kind == 0 and count > 1) or not 0 < count <= MAX_TRACKS or not 0 < division < 0x8000:
        return None
    tracks = []
    at = 14
    for _ in range(count):
        if data[at : at + 4] != b"MTrk":
            return None
        start, at = at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        if at > len(data) or not data.endswith(TRACK_END, start, at):
            return None
        tracks.append(Span(start, at))
    if at < len(data):
        return None
    doubtful = _doubtful(data)
    if not doubtful:
        return None if doubtful is None else tracks
    starts = [track.start for track in tracks]
    for number, places in groupby(doubtful, lambda place: bisect_right(starts, place) - 1):
        if number >= 0 and _one_is_an_event(data, starts[number], set(places)):
            return None
    return tracks


def _doubtful(data: bytes) -> list[int] | None:
    """Where bytes stand, in order, that may be events which symusic misreads, among other things; None where there are
    too many to look at."""
    content = np.frombuffer(data, np.uint8)
    system, wide = content >= SYSEX, content >= 0x80
    two = wide[:-1] & wide[1:]
    long_time = two[:-2] & two[2:]  # more than four bytes, if it is one
    long = np.count_nonzero(long_time)
    if np.count_nonzero(system) + long > 10_000 + len(data) // 10:
        return None
    high = np.flatnonzero(system)
    kinds = content[high]
    metas = high[kinds == META]
    types, lengths = content[metas + 1], content[metas + 2]
    odd = ((types == TEMPO) & (lengths != 3)) | ((types == METER) & (lengths != 4))
    after = metas + 3 + lengths  # where the next event begins
    if (lengths >= 0x80).any():  # lengths of two bytes
        longer = 128 * (lengths & 0x7F).astype(np.int64) + content[np.minimum(metas + 3, len(content) - 1)]
        after = np.where(lengths >= 0x80, metas + 4 + longer, after)
    odd |= _goes_on(content, after) & (types != END_OF_TRACK)
    others = high[(kinds != META) & (kinds != SYSEX) & (kinds != ESCAPE)]
    found = metas[odd].tolist()
    if len(others):
        found += others[_goes_on(content, others + 1)].tolist()
    if long:
        found += np.flatnonzero(long_time).tolist()
    passed = 0
    sysex = high[(kinds == SYSEX) | (kinds == ESCAPE)].tolist()
    for at, following in zip(sysex, [*sysex[1:], 0], strict=False):
        if at >= passed:
            passed = _past_sysex(data, at, following)
            if not passed:
                found.append(at)
    return sorted(at for at in found if not _is_a_value(data, at))


def _goes_on(content: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether an event that begins at `after` has a running status."""
    last = len(content) - 1
    after = np.minimum(after, last)
    for _ in range(3):
        longer = content[after] >= 0x80
        if not longer.any():  # as in most files, where it begins at once
            break
        after = np.minimum(after + longer, last)
    following: np.ndarray = content[np.minimum(after + 1, last)] < 0x80
    return following


def _is_a_value(data: bytes, at: int) -> bool:
    """Whether the byte belongs to the length of a track, to a tempo or to a key."""
    return (
        data.find(b"MTrk", at - 7, at) >= 0
        or data.find(TEMPO_HEAD, at - 5, at) >= 0
        or data.find(KEY_HEAD, at - 4, at) >= 0
    )


def _past_sysex(data: bytes, at: int, end: int) -> int:
    """Where the system exclusive event that may begin at `at`, if F7 at `end` ends it, is over; 0 where symusic could
    misread it.

    It takes its status for a running status, and a F7 that begins an event for all of the event.
    """
    if data[at] == ESCAPE:
        return 0
    try:
        length, start = variable(data, at + 1)
        if start + length != end + 1 or data[end] != ESCAPE or not data[start:end].isascii():
            return 0
        _, following = variable(data, end + 1)
        return end + 1 if data[following] >= 0x80 else 0
    except IndexError:
        return 0


def _one_is_an_event(data: bytes, at: int, places: set[int]) -> bool:
    """Whether a system event begins at one of `places`, in a track that begins at `at`."""
    size, last = 0, max(places)
    try:
        while at <= last:
            begin = at
            while data[at] >= 0x80:
                at += 1
            if at > begin + 3:
                return True
            at += 1
            byte = data[at]
            if byte < 0x80:
                at += size
            elif byte < SYSEX:
                size = DATA_BYTES[byte]
                at += size + 1
            elif at in places:
                return True
            elif byte in (META, SYSEX, ESCAPE):
                length, at = variable(data, at + 1 + (byte == META))
                at += length
            else:
                at += 1 + DATA_BYTES[byte]
    except IndexError:
        pass
    return False


def with_marks(data: bytes, tracks: Sequence[Span]) -> bytes:
    """The file with a key of `MARK` at the end of each track, and all notes off `LONGEST` ticks later.

    By the marks that are missing one can tell that a reader has stopped early or has lost its way, by notes of that
    length or longer that there are some which are never ended. (Where a mark comes so late that `LONGEST` ticks on the
    reader's 32 bits fail, the latter cannot be told.)
    """
    parts = [data[:14]]
    # a byte that looks like a note-on and is none costs a little time and nothing else
    played = [i for i in range(16) if data.find(BYTE[0x90 + i]) >= 0]
    for start, end in tracks:
        offs = [_NOTE_OFFS[i] for i in played if data.find(BYTE[0x90 + i], start, end) >= 0]
        tail = b"".join([_MARK, b"\0".join(offs), b"\0", TRACK_END]) if offs else _MARK + TRACK_END
        parts += [b"MTrk", (end - 3 - start + len(tail)).to_bytes(4, "big"), data[start : end - 3], tail]
    return b"".join(parts)
