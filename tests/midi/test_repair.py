"""Where the music is certain a file is mended, and says so; where it is not, the file is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from musiclstm.errors import FileError
from musiclstm.midi import Reading, read_midi_bytes
from musiclstm.midi import reading as reading_module
from musiclstm.midi.check import plain_tracks
from musiclstm.midi.columns import Refused, read_columns
from musiclstm.midi.repair import mend
from musiclstm.score import Score
from tests.hostile import END, midi_file, sound_files, variable, written
from tests.strategies import scores


def on(wait: int, pitch: int, channel: int = 0) -> bytes:
    return variable(wait) + bytes([0x90 | channel, pitch, 80])


def off(wait: int, pitch: int, channel: int = 0) -> bytes:
    return variable(wait) + bytes([0x80 | channel, pitch, 0])


TWO = on(0, 60) + off(96, 60) + on(0, 64) + off(96, 64)
TWO_NOTES = [(0, 96, 60), (96, 192, 64)]
GOOD = midi_file(TWO + END)
MANY = midi_file(TWO + END, on(0, 72) + off(48, 72) + END, TWO + END)
TEXT = b"\x00\xff\x01\x04\x0a\x0d\x0ax"  # with line ends in it


def notes(reading: Reading) -> list[tuple[int, int, int]]:
    rows: list[tuple[int, int, int]] = reading.score.notes[["start", "end", "pitch"]].tolist()
    return rows


def test_what_is_sound_is_not_mended() -> None:
    for name, data in sound_files().items():
        assert read_midi_bytes(data).repairs == (), name
        assert read_midi_bytes(data).score == read_columns(mend(data).data).score  # type: ignore[union-attr]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(scores(latest=20))
def test_mending_what_is_sound_changes_nothing(score: Score) -> None:
    data = written(score)
    assert plain_tracks(data)
    mended = mend(data)
    assert mended.repairs == mended.remarks == ()
    assert read_midi_bytes(mended.data) == read_midi_bytes(data)


MENDED = {
    "end not marked": (midi_file(TWO), "the end of 1 track was not marked"),
    "ends not marked": (midi_file(TWO, TWO), "the end of 2 tracks was not marked"),
    "bytes behind": (GOOD + b"\x1a" * 7, "7 bytes after the last track left out"),
    "half a chunk behind": (GOOD + b"XFIH\xff", "5 bytes after the last track left out"),
    "another file behind": (GOOD + MANY, f"{len(MANY)} bytes after the last track left out"),
    "zeros in the chunk": (midi_file(TWO + END + bytes(3)), "3 bytes after the end of a track left out"),
    "second end": (midi_file(TWO + END + END), "4 bytes after the end of a track left out"),
    "events behind the end": (
        midi_file(on(0, 60) + off(96, 60) + END + on(0, 64) + off(96, 64) + END),
        "2 events after the end of a track kept",
    ),
    "end with data": (
        midi_file(on(0, 60) + off(96, 60) + b"\x00\xff\x2f\x01x" + on(0, 64) + off(96, 64) + END),
        "2 events after the end of a track kept",
    ),
    "last byte missing": (GOOD[:-1], "1 byte missing behind the music, in the mark at the end of the last track"),
    "mark missing": (GOOD[:-4], "4 bytes missing behind the music, in the mark at the end of the last track"),
    "mark not counted": (
        GOOD[:18] + struct.pack(">I", len(TWO)) + GOOD[22:],
        "the end of 1 track was not marked",
    ),
    "no length": (GOOD[:18] + bytes(4) + GOOD[22:], "the length of 1 track was not filled in"),
    "running status after a text": (
        midi_file(on(0, 60) + b"\x00\xff\x01\x02hi" + b"\x60\x3c\x00\x00\x40\x50\x60\x40\x00" + END),
        "running status broken off by another event in 1 place",
    ),
    "running status after a long text": (
        midi_file(on(0, 60) + b"\x00\xff\x01\x81\x00" + b"x" * 128 + b"\x60\x3c\x00\x00\x40\x50\x60\x40\x00" + END),
        "running status broken off by another event in 1 place",
    ),
    "running status after a system event": (
        midi_file(on(0, 60) + b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7" + b"\x60\x3c\x00\x00\x40\x50\x60\x40\x00" + END),
        "running status broken off by another event in 1 place",
    ),
    "message of no file": (midi_file(b"\x00\xf4\x00\xf9" + TWO + END), "2 messages that no file may hold left out"),
    "clock": (
        midi_file(b"\x00\x90" + b"\x00\xf8".join([b"\x3c\x50"] + [b""] * 200) + b"\x60\x3c\x00" + TWO[8:] + END),
        "200 messages that no file may hold left out",
    ),
    "tempo of two bytes": (
        midi_file(b"\x00\xff\x51\x02\x07\xa1" + TWO + END),
        "1 tempo or meter event of a wrong length",
    ),
    "meter of two bytes": (
        midi_file(b"\x00\xff\x58\x02\x03\x02" + TWO + END),
        "1 tempo or meter event of a wrong length",
    ),
    "too many tracks claimed": (GOOD[:11] + b"\x03" + GOOD[12:], "its header says 3 tracks, and there is 1"),
    "too few tracks claimed": (MANY[:11] + b"\x02" + MANY[12:], "its header says 2 tracks, and there are 3"),
    "format 0 of many": (
        MANY[:9] + b"\x00" + MANY[10:],
        "its header says that it has a single track, and there are 3",
    ),
    "format 7": (GOOD[:9] + b"\x07" + GOOD[10:], "its header says format 7, which there is not"),
    "long header": (
        GOOD[:7] + b"\x0a" + GOOD[8:14] + b"more" + GOOD[14:],
        "its header says that it is 10 bytes long, and not 6",
    ),
    "wrong header": (GOOD[:7] + b"\x05" + GOOD[8:], "its header says that it is 5 bytes long, and not 6"),
    "bytes before": (bytes(128) + GOOD, "128 bytes before its beginning left out"),
    "copied as text": (
        midi_file(TEXT + TWO + END).replace(b"\n", b"\r\n"),
        "2 bytes taken out that were put in when it was copied as text",
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_is_certain_is_mended(name: str) -> None:
    data, repair = MENDED[name]
    reading = read_midi_bytes(data)
    expected = {
        "too few tracks claimed": sorted([*TWO_NOTES, *TWO_NOTES, (0, 48, 72)]),
        "format 0 of many": sorted([*TWO_NOTES, *TWO_NOTES, (0, 48, 72)]),
        "ends not marked": sorted([*TWO_NOTES, *TWO_NOTES]),
    }.get(name, TWO_NOTES)
    assert sorted(notes(reading)) == expected
    assert reading.repairs == (repair,)


def test_a_meter_of_two_bytes_is_kept_and_a_tempo_of_two_is_not() -> None:
    assert read_midi_bytes(MENDED["meter of two bytes"][0]).score.meters.tolist() == [(0, 3, 4)]
    assert read_midi_bytes(MENDED["tempo of two bytes"][0]).score.tempos.tolist() == [(0, 500_000)]


LONGER = "track 1 is longer than it says, or bytes were put into it"
REFUSED = {
    "no byte": (b"", "empty", "an empty file"),
    "no MIDI": (b"not a midi file", "damaged", "not a sound MIDI file"),
    "half a header": (GOOD[:13], "damaged", "it breaks off in its header"),
    "a header": (GOOD[:14], "damaged", "there is no track in it"),
    "no tracks": (midi_file(), "empty", "no notes in it"),
    "half a chunk header": (GOOD[:20], "damaged", "bytes are missing or were put in: 6 bytes after the header"),
    "half a track": (GOOD[:-9], "damaged", "9 bytes are missing from track 1"),
    "second track cut": (MANY[:-30], "damaged", "22 bytes are missing from track 2|bytes are missing"),
    "byte lost in the last track": (
        GOOD[:25] + GOOD[26:],
        "damaged",
        "1 byte is missing from track 1",
    ),
    "bytes lost in the first track": (
        midi_file(TEXT + TWO + END, TWO + END).replace(b"\r\n", b"\n"),
        "damaged",
        "1 byte is missing from track 1|bytes of track 1 are wrong or missing",
    ),
    "byte put in": (GOOD[:25] + b"\x05" + GOOD[25:], "damaged", f"bytes of track 1 are wrong or missing|{LONGER}"),
    "length of 4 GB": (
        GOOD[:18] + b"\xff\xff\xff\xff" + GOOD[22:],
        "damaged",
        "track 1 should be 4,294,967,295 bytes long, and 20 are there",
    ),
    "tracks without end": (GOOD[:10] + b"\xff\xff" + GOOD[12:], "limit", "65,535 tracks by its header"),
    "label damaged": (
        MANY.replace(b"MTrk", b"MTrj", 2).replace(b"MTrj", b"MTrk", 1),
        "damaged",
        "1 track cannot be found",
    ),
    "five bytes of time": (midi_file(b"\xff\xff\xff\xff\x7f" + TWO[1:] + END), "damaged", "more than four bytes"),
    "no status": (midi_file(b"\x00\x3c\x50" + TWO + END), "damaged", "data that belong to no event"),
    "notes without end": (
        midi_file(TWO + on(0, 60) + b"\x00\x3c\x50" * 1_000_000 + END),
        "limit",
        "notes, more than 1,000,000",
    ),
    "note ended beyond all ticks": (
        midi_file(on(0, 60) + (b"\xff\xff\xff\x7f\xff\x01\x00") * 9 + off(0, 60) + END),
        "limit",
        "a tick beyond 2,147,483,647",
    ),
    "too large": (bytes(17 * 2**20), "limit", "17 MB, more than 16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_certain_is_refused(name: str) -> None:
    data, kind, why = REFUSED[name]
    with pytest.raises(FileError, match=why) as caught:
        read_midi_bytes(data)
    assert caught.value.kind == kind


def test_any_loss_within_the_music_is_seen() -> None:
    """Whatever byte of it is lost, the file is damaged, but for the mark at the end of the track."""
    for data in sound_files().values():
        for at in np.random.default_rng(0).integers(22, len(data) - 4, 60).tolist():
            with pytest.raises(FileError) as caught:
                read_midi_bytes(data[:at] + data[at + 1 :])
            assert caught.value.kind == "damaged"


ENDED = {
    "with the track": (on(0, 60) + on(0, 64) + off(96, 64), [(0, 96, 60), (0, 96, 64)], 1),
    "after a bar": (on(0, 60) + on(960, 64) + off(96, 64), [(0, 384, 60), (960, 1056, 64)], 1),
    "where it begins again": (on(0, 60) + on(200, 60) + off(200, 60), [(0, 200, 60), (200, 400, 60)], 1),
    "after a bar, and begins again": (on(0, 60) + on(900, 60) + off(96, 60), [(0, 384, 60), (900, 996, 60)], 1),
    "one of many": (
        on(0, 60) + (on(96, 60) + off(96, 60)) * 3,
        [(0, 96, 60), (96, 192, 60), (288, 384, 60), (480, 576, 60)],
        1,
    ),
    "overlaps before stay": (
        on(0, 60) + on(10, 60) + off(10, 60) + off(10, 60) + on(10, 60),
        [(0, 20, 60), (10, 30, 60), (40, 40, 60)],
        1,
    ),
    "all": (
        on(0, 60) + on(0, 64) + on(96, 60) + on(96, 64),
        [(0, 96, 60), (0, 192, 64), (96, 192, 60), (192, 192, 64)],
        4,
    ),
    "two of a pitch": (on(0, 60) + on(10, 60) + on(10, 60) + off(10, 60), [(0, 10, 60), (10, 20, 60), (20, 30, 60)], 2),
    "where the channel falls quiet": (
        on(0, 60) + on(0, 64, 1) + b"\x83\x60\xb0\x7b\x00" + b"\x83\x60\xb1\x7b\x00",
        [(0, 480, 60), (0, 960, 64)],
        2,
    ),
    "in its own channel": (on(0, 60) + on(0, 60, 1) + off(96, 60, 1) + off(96, 61), [(0, 192, 60), (0, 96, 60)], 1),
    "by a note-on without velocity": (
        on(0, 60) + on(96, 62) + b"\x60\x3e\x00\x60\x3c\x50\x60\x3c\x00",
        [(0, 288, 60), (96, 192, 62), (288, 384, 60)],
        1,
    ),
}


@pytest.mark.parametrize("how", ENDED)
def test_notes_never_ended_end(how: str) -> None:
    events, expected, count = ENDED[how]
    reading = read_midi_bytes(midi_file(events + END))
    assert sorted(notes(reading)) == sorted(expected)
    noun = "note" if count == 1 else "notes"
    assert reading.repairs == (f"{count} {noun} never ended, made to end where the pitch begins again or after a bar",)


def test_a_note_never_ended_is_seen_in_any_track() -> None:
    quiet = b"\x00\xff\x01\x02hi"
    for channel in range(16):
        data = midi_file(quiet + END, TWO + END, on(5, 127, channel) + variable(50_000) + b"\xff\x01\x00" + END)
        reading = read_midi_bytes(data)
        assert (5, 389, 127) in notes(reading)
        assert len(reading.repairs) == 1


def test_a_late_end_of_track_hides_no_note() -> None:
    late = b"\xff\xff\xff\x7f\xff\x01\x00"
    for times in (1, 6, 7, 8, 15, 16, 40):
        reading = read_midi_bytes(midi_file(on(0, 60) + late * times + END))
        assert notes(reading) == [(0, 384, 60)], times


def test_what_stands_far_behind_the_music_is_left_out() -> None:
    late = b"\xff\xff\xff\x7f"
    far = late + b"\xff\x58\x04\x03\x02\x18\x08\x00\xff\x51\x03\x07\xa1\x20\x00\xb0\x40\x00"
    for times, where in ((1, "far behind the end of all music"), (9, "beyond tick 2,147,483,647")):
        pressed = on(0, 60) + b"\x05\xb0\x40\x7f" + off(91, 60)
        reading = read_midi_bytes(midi_file(pressed + (late + b"\xff\x01\x00") * (times - 1) + far + END))
        assert reading.score.pedals.tolist() == [(5, 96, 0)]
        assert (len(reading.score.meters), len(reading.score.tempos)) == (1, 1)
        assert reading.score.bar_starts().tolist() == [0]  # and not a million
        assert reading.remarks == (f"3 events {where} left out",)


def test_other_wrappings_and_kinds_are_remarked_on() -> None:
    wrapped = b"RIFF" + struct.pack("<I", len(GOOD) + 12) + b"RMIDdata" + struct.pack("<I", len(GOOD)) + GOOD
    foreign = GOOD[:14] + b"XFIH" + struct.pack(">I", 3) + b"abc" + GOOD[14:] + b"XFKM" + struct.pack(">I", 2) + b"ab"
    for data, remark in (
        (wrapped, "wrapped in a RIFF file"),
        (foreign, "2 parts of another kind than a track passed over"),
    ):
        reading = read_midi_bytes(data)
        assert (notes(reading), reading.repairs, reading.remarks) == (TWO_NOTES, (), (remark,))


def test_pieces_of_format_2_follow_each_other() -> None:
    waltz = b"\x00\xff\x58\x04\x03\x02\x18\x08"
    slow = b"\x00\xff\x51\x03\x0f\x42\x40"
    reading = read_midi_bytes(midi_file(waltz + slow + TWO + off(288, 64) + END, TWO + END, kind=2))
    assert reading.score.notes["start"].tolist() == [0, 96, 576, 672]
    assert reading.score.tempos.tolist() == [(0, 1_000_000), (576, 500_000)]
    assert reading.score.meters.tolist() == [(0, 3, 4), (576, 4, 4)]
    assert (reading.repairs, len(reading.remarks)) == ((), 1)
    together = read_midi_bytes(midi_file(slow + END, TWO + END, kind=2))
    assert notes(together) == TWO_NOTES
    assert together.score.tempos.tolist() == [(0, 1_000_000)]


@pytest.mark.parametrize(
    ("division", "seconds", "beats"),
    [(0xE728, 1 / 1000, 120), (0xE819, 1 / 600, 120), (0xE701, 1 / 25, 60), (0xE350, 1001 / 2_400_000, 120)],
)
def test_frames_become_ticks(division: int, seconds: float, beats: int) -> None:
    meter = b"\x00\xff\x58\x04\x03\x02\x18\x08\x00\xff\x51\x03\x00\x00\x01"  # which mean nothing there
    reading = read_midi_bytes(midi_file(meter + TWO + END, quarter=division))
    assert reading.score.notes["start"].tolist() == [0, 96]
    assert reading.score.seconds(96) == pytest.approx(96 * seconds, rel=1e-12)
    assert reading.score.meters.tolist() == [(0, 4, 4)]
    assert reading.repairs == ()
    assert reading.remarks == (f"timed in frames and not in beats: read as {beats} quarter notes a minute",)


def test_values_that_look_like_events_are_no_reason_to_doubt() -> None:
    waits = [0xFF << 7, 0xF0 << 7, 0xF7 << 7, 0xF8 << 7, 0x3FFF]  # whose first byte is that of a system event
    events = b"".join(variable(wait & 0x3FFF) + b"\x3c\x50\x10\x3c\x00" for wait in waits)
    flat = b"\x00\xff\x59\x02\xff\x00\x00\xff\x51\x03\xf7\xff\xf0"
    data = midi_file(flat + b"\x00\x90\x3c\x50\x10\x3c\x00" + events + END)
    assert plain_tracks(data)
    reading = read_midi_bytes(data)
    assert (len(reading.score), reading.repairs) == (6, ())
    assert reading.score == read_columns(mend(data).data).score  # type: ignore[union-attr]


def test_readers_that_disagree_are_named() -> None:
    reading = read_midi_bytes(MENDED["events behind the end"][0])
    assert reading.remarks == ("symusic reads 1 note in it, and not 2",)
    shifted = midi_file(b"\x00\xf7\x03\x7e\x7f\xf7" + TWO + END)
    assert notes(read_midi_bytes(shifted)) == TWO_NOTES


def test_other_readers_are_asked_where_the_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes, marks: int = 0) -> None:
        raise Refused("it is Monday")

    monkeypatch.setattr(reading_module, "read_columns", refuse)
    reading = read_midi_bytes(GOOD)
    assert notes(reading) == TWO_NOTES
    assert reading.remarks == ("read with pretty_midi: symusic refuses it (it is Monday)",)
    monkeypatch.setattr(reading_module, "_by_pretty_midi", refuse)
    with pytest.raises(FileError, match=r"no reader can make sense of it \(it is Monday\)") as caught:
        read_midi_bytes(GOOD)
    assert caught.value.kind == "damaged"


FATE = {  # of the files of the collection bad_midi that symusic refuses
    "corrupt-file-missing-byte": "1 byte missing behind the music, in the mark at the end of the last track",
    "illegal-message-all": "13 messages that no file may hold left out",
    "illegal-message-f4": "1 message that no file may hold left out",
    "illegal-message-f5": "1 message that no file may hold left out",
    "illegal-message-f9": "1 message that no file may hold left out",
    "illegal-message-fd": "1 message that no file may hold left out",
    "empty-file": "empty",
    "not-a-midi-file": "damaged",
}


def test_real_odd_files(data_folder: Path) -> None:
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    for name, fate in FATE.items():
        data = (data_folder / "bad_midi" / "midi" / f"test-{name}.mid").read_bytes()
        if fate in ("empty", "damaged"):
            with pytest.raises(FileError) as caught:
                read_midi_bytes(data)
            assert caught.value.kind == fate
        else:
            reading = read_midi_bytes(data)
            assert reading.score.notes["pitch"].tolist() == scale
            assert reading.repairs == (fate,)
    for name in ("running-status-sysex", "running-status-metaevent"):
        data = (data_folder / "bad_midi" / "midi" / f"test-{name}.mid").read_bytes()
        assert read_midi_bytes(data).score.notes["pitch"].tolist() == scale
