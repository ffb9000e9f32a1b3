"""Files that mean harm: seeded mutations of sound MIDI files, and monsters made on purpose."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

from musiclstm.midi import to_pretty_midi
from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, make_notes

END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00"
LATEST = b"\xff\xff\xff\x7f"  # the longest time between two events: 2**28 - 1 ticks
LENGTHS = (0, 1, 3, 4, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF7, 0xFFFFFFFF)
SPECIAL = (0x00, 0x0A, 0x0D, 0x2F, 0x7F, 0x80, 0x90, 0xF0, 0xF7, 0xF8, 0xFF)
DIVISIONS = (0, 1, 24, 480, 32_767, 0x8000, 0xE250, 0xE728, 0xE364, 0xFFFF)


def midi_file(*tracks: bytes, kind: int = 1, quarter: int = 96, count: int | None = None) -> bytes:
    """A MIDI file of tracks of raw events; `count` is what its header says of their number."""
    head = b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks) if count is None else count, quarter)
    return head + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def variable(number: int) -> bytes:
    """`number` in the seven-bit digits of MIDI."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(digits[::-1])


def written(score: Score) -> bytes:
    """The file that our own writer makes of a score."""
    content = io.BytesIO()
    to_pretty_midi(score).write(content)
    return content.getvalue()


@cache
def sound_files() -> dict[str, bytes]:
    """Sound files of several kinds, by name."""
    random = np.random.default_rng(0)
    track = random.integers(0, 20, 300)
    start = random.integers(0, 20_000, 300)
    band = Score(
        make_notes(
            start,
            start + random.integers(1, 900, 300),
            random.integers(30, 90, 300),
            random.integers(1, 128, 300),
            np.where(track == 9, DRUMS, track * 5),
            track,
        ),
        480,
        np.array([(0, 461_538), (777, 1_463_414), (9000, 300_001)], TEMPO),
        np.array([(0, 3, 4), (14_400, 6, 8)], METER),
        np.array([(5, 900, 2), (1000, 2000, 2)], PEDAL),
        first_bar=480,
    )
    steps = np.arange(400)
    piano = Score(
        make_notes(steps * 55, steps * 55 + random.integers(20, 400, 400), 40 + steps * 7 % 45, 30 + steps % 90),
        384,
        pedals=np.array([(i * 800, i * 800 + 700, 0) for i in range(25)], PEDAL),
    )
    drums = Score(make_notes(steps * 60, steps * 60 + 30, 35 + steps * 5 % 12, 90, DRUMS), 120)
    melody = b"\x00\xc0\x49\x00\x90\x3c\x50\x60\x3c\x00" + b"".join(
        bytes([0, 48 + step * 5 % 40, 70, 96, 48 + step * 5 % 40, 0]) for step in range(60)
    )
    song = (
        b"\x00\xff\x03\x05Song!\x00\xff\x58\x04\x04\x02\x18\x08\x00\xff\x59\x02\xff\x00\x00\xff\x51\x03\x07\xa1\x20"
        b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7\x00\xff\x05\x03la-\x10\xff\x06\x04Solo"
    )
    channels = b"".join(
        b"\x00"
        + bytes([0xC0 + i, i * 8])
        + b"\x00"
        + bytes([0x90 + i, 50 + i, 80])
        + b"\x30"
        + bytes([0x80 + i, 50 + i, 0])
        for i in range(16)
    )
    return {
        "band": written(band),
        "piano": written(piano),
        "drums": written(drums),
        "melody": midi_file(melody + END, kind=0),
        "song": midi_file(song + END, (song[:9] + NOTE * 30 + b"\x00\xff\x01\x02hi") + END, NOTE * 9 + END),
        "channels": midi_file(channels * 4 + END, kind=0, quarter=24),
    }


Bytes = bytes | bytearray
Mutation = Callable[[np.random.Generator, bytearray], Bytes]


def _place(random: np.random.Generator, data: bytearray) -> int:
    return int(random.integers(0, len(data) + 1))


def _part(random: np.random.Generator, data: bytearray, longest: int = 200) -> tuple[int, int]:
    start = _place(random, data)
    return start, min(len(data), start + int(random.integers(1, longest)))


def _all_of(data: bytearray, what: bytes) -> list[int]:
    places, at = [], data.find(what)
    while at >= 0:
        places.append(at)
        at = data.find(what, at + 1)
    return places


def _one_of(random: np.random.Generator, places: Sequence[int]) -> int | None:
    return int(places[int(random.integers(0, len(places)))]) if places else None


def flip(random: np.random.Generator, data: bytearray) -> Bytes:
    for _ in range(int(random.integers(1, 8))):
        if data:
            data[int(random.integers(0, len(data)))] ^= 1 << int(random.integers(0, 8))
    return data


def overwrite(random: np.random.Generator, data: bytearray) -> Bytes:
    for _ in range(int(random.integers(1, 8))):
        if data:
            data[int(random.integers(0, len(data)))] = SPECIAL[int(random.integers(0, len(SPECIAL)))]
    return data


def insert(random: np.random.Generator, data: bytearray) -> Bytes:
    at = _place(random, data)
    return data[:at] + random.bytes(int(random.integers(1, 20))) + data[at:]


def remove(random: np.random.Generator, data: bytearray) -> Bytes:
    start, end = _part(random, data, 30)
    return data[:start] + data[end:]


def cut(random: np.random.Generator, data: bytearray) -> Bytes:
    return data[: _place(random, data)]


def cut_little(random: np.random.Generator, data: bytearray) -> Bytes:
    return data[: len(data) - int(random.integers(1, 9))]


def swap(random: np.random.Generator, data: bytearray) -> Bytes:
    a, b, c, d = sorted(_place(random, data) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def repeat(random: np.random.Generator, data: bytearray) -> Bytes:
    start, end = _part(random, data)
    return data[:end] + data[start:end] * int(random.integers(1, 20)) + data[end:]


def length(random: np.random.Generator, data: bytearray) -> Bytes:
    at = _one_of(random, _all_of(data, b"MTrk"))
    if at is not None and at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at + 4)
        near = max(0, size + int(random.integers(-9, 10)))
        struct.pack_into(">I", data, at + 4, min(0xFFFFFFFF, int(random.choice([*LENGTHS, near, near]))))
    return data


def header(random: np.random.Generator, data: bytearray) -> Bytes:
    if len(data) >= 14:
        field = int(random.integers(0, 4))
        values = ((0, 5, 7, 10, 0xFFFFFFFF), (0, 1, 2, 3, 0xFFFF), (0, 1, 2, 30, 1000, 0xFFFF), DIVISIONS)[field]
        value = int(random.choice(values))
        struct.pack_into(">I" if field == 0 else ">H", data, (4, 8, 10, 12)[field], value)
    return data


def late(random: np.random.Generator, data: bytearray) -> Bytes:
    at = _one_of(random, _all_of(data, b"\x90")) or _place(random, data)
    times = int(random.choice([1, 1, 9, 20]))
    return data[: max(0, at - 1)] + (LATEST + b"\xff\x01\x00") * (times - 1) + LATEST + data[at:]


def no_end(random: np.random.Generator, data: bytearray) -> Bytes:
    at = _one_of(random, _all_of(data, END))
    if at is None:
        return data
    track = data.rfind(b"MTrk", 0, at)
    if track >= 0:
        (size,) = struct.unpack_from(">I", data, track + 4)
        struct.pack_into(">I", data, track + 4, max(0, size - 4))
    return data[:at] + data[at + 4 :]


def more(random: np.random.Generator, data: bytearray) -> Bytes:
    """Put events into a track, with its length made right."""
    events = (
        END + NOTE,
        b"\x00\xff\x01\x06\xff\xfe\xc3\x28\xa0\xa1",  # a text that is not UTF-8
        b"\x00\xff\x51\x03\x00\x00\x00",
        b"\x00\xff\x51\x02\x07\xa1",
        b"\x00\xff\x58\x04\x00\x02\x18\x08",
        b"\x00\xff\x58\x04\x04\xff\x18\x08",
        b"\x00\xff\x59\x02\x7f\x7f",
        b"\x00\xf7\x02\xf8\xf8",
        b"\x00\xf8\x00\xfe",
        b"\x00\xf0\xff\xff\xff\x7f",
        b"\x00\x90\x3c\x50",
        b"\x00\x90\x3c\xc8",
        b"\x00\x3c\x50",
        b"\xff\xff\xff\xff\x7f\x90\x3c\x50",
        b"\x00\xe0\xff\xff",
    )
    at = _one_of(random, _all_of(data, b"MTrk"))
    if at is None or at + 8 > len(data):
        return data
    (size,) = struct.unpack_from(">I", data, at + 4)
    event = events[int(random.integers(0, len(events)))] * int(random.choice([1, 1, 1, 3, 300]))
    struct.pack_into(">I", data, at + 4, min(0xFFFFFFFF, size + len(event)))
    within = data.find(b"\x00\x90", at)
    place = within if within >= 0 and random.random() < 0.8 else at + 8
    return data[:place] + event + data[place:]


def no_note_offs(random: np.random.Generator, data: bytearray) -> Bytes:
    """Turn note-offs into note-ons, in which many a note is never ended."""
    for at in _all_of(data, b"\x80"):
        if random.random() < 0.3:
            data[at] = 0x90
    return data


def as_text(random: np.random.Generator, data: bytearray) -> Bytes:
    ways = ((b"\r\n", b"\n"), (b"\n", b"\r\n"), (b"\n", b"\r"), (b"\r", b"\n"))
    return data.replace(*ways[int(random.integers(0, len(ways)))])


def not_utf8(random: np.random.Generator, data: bytearray) -> Bytes:
    return bytes(data).decode("utf-8", "replace").encode()


def behind(random: np.random.Generator, data: bytearray) -> Bytes:
    return data + (random.bytes(int(random.integers(1, 300))) if random.random() < 0.5 else bytes(128))


def before(random: np.random.Generator, data: bytearray) -> Bytes:
    if random.random() < 0.5:
        return b"RIFF" + struct.pack("<I", len(data) + 12) + b"RMIDdata" + struct.pack("<I", len(data)) + data
    return random.bytes(int(random.choice([1, 128, 3000]))) + data


def twice(random: np.random.Generator, data: bytearray) -> Bytes:
    return data + data


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, overwrite, insert, remove, cut, cut_little, swap, repeat, length, header, late, no_end),
    *(more, more, no_note_offs, as_text, not_utf8, behind, before, twice),
)


def monsters() -> Iterator[tuple[str, bytes]]:
    """Files that ask for much more than they hold, or hold more than any music does."""
    good = sound_files()["band"]
    yield "empty", b""
    yield "four bytes", b"MThd"
    yield "header alone", good[:14]
    yield "length of 4 GB", good[:18] + b"\xff\xff\xff\xff" + good[22:]
    yield "65535 tracks claimed", good[:10] + b"\xff\xff" + good[12:]
    yield "65535 empty tracks", midi_file(*[END] * 65_535)
    yield "65535 tracks", midi_file(*[NOTE + END] * 65_535)
    yield "ten million events", midi_file(b"\x00\xb0\x01\x01" + b"\x00\x01\x01" * 10_000_000 + NOTE + END)
    yield "five million events", midi_file(b"\x00\xb0\x01\x01" + b"\x00\x01\x01" * 5_000_000 + NOTE + END)
    yield (
        "five million events after a system event",
        midi_file(b"\x00\xf7\x00\x00\xb0" + b"\x01\x01\x00" * 5_000_000 + END),
    )
    yield (
        "two million notes",
        midi_file(NOTE + b"\x00\x90\x3c\x50\x01\x3c\x00" + b"\x01\x3c\x50\x01\x3c\x00" * 2_000_000 + END),
    )
    yield "a million notes never ended", midi_file(b"\x00\x90\x3c\x50" + b"\x01\x3c\x50" * 1_000_000 + END)
    yield (
        "notes that end in another order",
        midi_file(
            b"\x00\x90\x3c\x50"
            + b"\x01\x3c\x50" * 200_000
            + b"\x01\x3d\x50" * 200_000
            + b"\x01\x3d\x00" * 200_000
            + b"\x01\x3c\x00" * 200_001
            + END
        ),
    )
    yield "tick 2^28 at one tick a quarter", midi_file(LATEST + NOTE[1:] + END, quarter=1)
    yield "tick 2^33", midi_file(NOTE + (LATEST + NOTE[1:]) * 32 + END, quarter=32_767)
    yield "end at tick 2^33", midi_file(NOTE[:4] + (LATEST + b"\xff\x01\x00") * 32 + END)
    yield "text of 256 MB", midi_file(b"\x00\xff\x01" + LATEST + b"text" + NOTE + END)
    yield "a million tempos", midi_file(b"\x01\xff\x51\x03\x07\xa1\x20" * 1_000_000 + NOTE + END)
    yield (
        "a million meters",
        midi_file(b"\x01\xff\x58\x04\x03\x02\x18\x08\x01\xff\x58\x04\x04\x02\x18\x08" * 500_000 + NOTE + END),
    )
    yield "a million ends", midi_file(NOTE + END * 1_000_000)
    yield (
        "all programs and many controllers",
        midi_file(
            b"\x00\xb0\x01\x01"
            + b"\x00\x01\x01" * 100_000
            + b"".join(bytes([0, 0xC0, i, 0, 0x90, 60, 80, 1, 60, 0]) for i in range(128))
            + END
        ),
    )
    yield "nothing but FF", midi_file(b"\xff" * 4_000_000 + END)
    yield "nothing but F0", midi_file(b"\xf0" * 4_000_000 + END)
    yield "system events within each other", midi_file(b"\x00\xf0\x83\xff\x7f" * 800_000 + b"\xf7" + END)
    yield "nothing but zeros", bytes(1_000_000)
    yield "times without end", midi_file(b"\x80" * 1_000_000 + END)


def hostile_files(seed: int, count: int, bases: Sequence[bytes] = ()) -> Iterator[tuple[str, bytes]]:
    """`count` files, each with a name that no other has: the monsters, and then mutations of `bases` too."""
    number = 0
    for name, data in monsters():
        if number == count:
            return
        yield f"{number:05d} {name}", data
        number += 1
    random = np.random.default_rng(seed)
    sound = [*sound_files().items(), *((f"given {i}", base) for i, base in enumerate(bases))]
    while number < count:
        name, data = sound[int(random.integers(0, len(sound)))]
        names = [name]
        for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
            mutation = MUTATIONS[int(random.integers(0, len(MUTATIONS)))]
            data = bytes(mutation(random, bytearray(data)))
            names.append(mutation.__name__)
        yield f"{number:05d} {' '.join(names)}", data
        number += 1
