"""Files and pretty_midi objects become scores and come back, to the tick."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclstm.errors import FileError, UserError
from musiclstm.midi import (
    EXTENSIONS,
    from_pretty_midi,
    read_midi,
    read_midi_bytes,
    read_score,
    to_pretty_midi,
    write_midi,
)
from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, changes, cut_overlaps, make_notes
from tests.hostile import END, midi_file
from tests.strategies import scores


def a_file(path: Path, events: bytes, *, quarter: int = 96) -> Path:
    """A MIDI file with one track of raw events."""
    path.write_bytes(midi_file(events + END, kind=0, quarter=quarter))
    return path


A_NOTE = bytes([0, 0x90, 60, 80, 96, 0x80, 60, 0])
LONG = b"\xff\xff\xff\x7f"  # the longest time between two events: 2**28 - 1 ticks


def playable(score: Score) -> np.ndarray:
    """The notes that a MIDI file can hold, with `track` counted over those that have notes of one program."""
    notes = score.notes.copy()
    notes["end"] = np.maximum(notes["end"], notes["start"] + 1)
    notes = cut_overlaps(notes, by_track=True)
    lines = np.unique(notes[["track", "program"]])
    notes["track"] = np.searchsorted(lines, notes[["track", "program"]])
    return notes


def many_tracks() -> Score:
    random = np.random.default_rng(0)
    track = random.integers(0, 25, 400)
    start = random.integers(0, 20_000, 400)
    program = np.where(track == 3, DRUMS, track * 3)
    pitch, velocity = random.integers(50, 70, 400), random.integers(1, 128, 400)
    return Score(
        make_notes(start, start + random.integers(0, 3000, 400), pitch, velocity, program, track),
        1001,
        np.array([(0, 461_538), (777, 1_463_414), (9000, 300_001)], TEMPO),
        np.array([(0, 3, 4), (30_030, 6, 8)], METER),
        np.array([(5, 900, 2), (1000, 2000, 2)], PEDAL),
        first_bar=1001,
    )


def test_a_written_file_is_read_as_it_was(tmp_path: Path) -> None:
    score = many_tracks()
    write_midi(score, tmp_path / "new" / "folder" / "piece.mid")
    read = read_midi(tmp_path / "new" / "folder" / "piece.mid")
    assert read == score.replace(notes=playable(score))
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["piece.mid"]


def test_pretty_midi_reads_what_was_written(tmp_path: Path) -> None:
    score = many_tracks()
    write_midi(score, tmp_path / "piece.mid")
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "piece.mid"))
    assert len(midi.instruments) == 25
    assert [instrument.is_drum for instrument in midi.instruments].index(True) == 3
    assert from_pretty_midi(midi) == from_pretty_midi(to_pretty_midi(score)) == read_midi(tmp_path / "piece.mid")
    ends = [note.end for instrument in midi.instruments for note in instrument.notes]
    assert max(ends) == pytest.approx(score.duration, abs=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(scores(latest=20))
def test_any_score_survives(score: Score) -> None:
    midi = to_pretty_midi(score)
    content = io.BytesIO()
    midi.write(content)
    read = from_pretty_midi(midi)
    assert np.array_equal(read.notes, playable(score))
    assert np.array_equal(read.tempos, changes(score.tempos))
    again = from_pretty_midi(pretty_midi.PrettyMIDI(io.BytesIO(content.getvalue())))
    assert again == read
    reading = read_midi_bytes(content.getvalue())
    assert reading.score == read
    assert reading.repairs == reading.remarks == ()


def test_every_tempo_is_written_exactly(tmp_path: Path) -> None:
    microseconds = np.random.default_rng(0).integers(1, 0xFFFFFF, 500)
    tempos = np.array([(tick * 10, rate) for tick, rate in enumerate(microseconds)], TEMPO)
    write_midi(Score(make_notes([0], [480], 60), 480, tempos), tmp_path / "tempos.mid")
    assert np.array_equal(read_midi(tmp_path / "tempos.mid").tempos, changes(tempos))


@given(pickup=st.integers(1, 1919), meter=st.sampled_from([(4, 4), (3, 2), (12, 8)]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_pickup_survives_where_a_meter_can_say_it(pickup: int, meter: tuple[int, int]) -> None:
    score = Score(make_notes([0, pickup], [pickup, 4000], 60), 480, meters=np.array([(0, *meter)], METER))
    read = from_pretty_midi(to_pretty_midi(score.replace(first_bar=pickup)))
    if pickup % 15 == 0:  # a 128th
        assert read.first_bar == pickup
        assert np.array_equal(read.meters, score.meters)
    else:
        assert read.first_bar == 0


def test_notes_are_read_as_they_stand(tmp_path: Path) -> None:
    events = b"\x00\x90\x3c\x50\x00\x80\x3c\x00\x00\x90\x40\x50\x0a\x90\x40\x51\x0a\x80\x40\x00\x0a\x80\x40\x00"
    score = read_midi(a_file(tmp_path / "odd.mid", events))
    assert score.notes[["start", "end", "pitch"]].tolist() == [(0, 0, 60), (0, 20, 64), (10, 30, 64)]
    assert score.tempos.tolist() == [(0, 500_000)]
    assert score.meters.tolist() == [(0, 4, 4)]


def test_changes_that_change_nothing_are_dropped(tmp_path: Path) -> None:
    slow, fast = b"\xff\x51\x03\x0f\x42\x40", b"\xff\x51\x03\x07\xa1\x20"
    waltz = b"\xff\x58\x04\x03\x02\x18\x08"
    events = b"\x00" + fast + b"\x10" + slow + b"\x00" + fast + b"\x10" + slow + b"\x10" + slow + b"\x10" + waltz
    score = read_midi(a_file(tmp_path / "changes.mid", events + b"\x10" + waltz + A_NOTE))
    assert score.tempos.tolist() == [(0, 500_000), (32, 1_000_000)]
    assert score.meters.tolist() == [(0, 4, 4), (64, 3, 4)]


def test_a_pedal_that_is_never_lifted_is_held_to_the_end(tmp_path: Path) -> None:
    events = b"\x05\xb0\x40\x7f\x05\xb0\x40\x50\x05\xb0\x40\x00\x05\xb0\x40\x40" + A_NOTE
    assert read_midi(a_file(tmp_path / "pedal.mid", events)).pedals.tolist() == [(5, 15, 0), (20, 116, 0)]


def test_what_is_odd_is_said_and_no_repair(tmp_path: Path) -> None:
    events = b"\x00\x90\x3c\x50\x00\x80\x3c\x00\x00\x90\x40\x50\x0a\x90\x40\x51\x0a\x80\x40\x00\x0a\x80\x40\x00"
    reading = read_midi_bytes(a_file(tmp_path / "odd.mid", events).read_bytes())
    assert reading.repairs == ()
    assert reading.remarks == ("1 note without length", "1 note of a pitch that still sounds")


@pytest.mark.parametrize(
    ("events", "quarter", "kind", "why"),
    [
        (b"", 96, "empty", "no notes"),
        (b"\x00\xb0\x40\x7f\x00\x80\x3c\x00", 96, "empty", "no notes"),
        (A_NOTE, 0, "damaged", "zero ticks per quarter"),
        (A_NOTE, 0xD750, "damaged", "41 frames a second"),
        (b"\x00\xff\x58\x04\x04\x09\x18\x08" + A_NOTE, 96, "damaged", "a meter of 4/0"),
        (b"\x00\xff\x58\x04\x00\x02\x18\x08" + A_NOTE, 96, "damaged", "a meter of 0/4"),
        (b"\x00\xff\x51\x03\x00\x00\x00" + A_NOTE, 96, "damaged", "a tempo of 0"),
        (LONG + A_NOTE[1:], 96, "limit", "which no music does"),
        (b"\x00\xff\x51\x03\xff\xff\xff\x81\xff\xff\x00" + A_NOTE[1:], 96, "limit", "hours, which no music does"),
        (A_NOTE + 9 * (LONG + A_NOTE[1:]), 32_767, "limit", "a tick beyond 2,147,483,647"),
        (A_NOTE[:4] + LONG + A_NOTE[5:], 32_767, "limit", "a note of more than 268,435,455 ticks"),
        (b"\x00\x90\x3c\xc8" + A_NOTE, 96, "damaged", "an event that begins in the middle of another"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, events: bytes, quarter: int, kind: str, why: str
) -> None:
    path = a_file(tmp_path / "bad.mid", events, quarter=quarter)
    with pytest.raises(FileError, match=why) as caught:
        read_midi(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.kind == kind


def test_what_is_no_music_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mid").touch()
    (tmp_path / "text.kar").write_text("this is no MIDI file at all")
    (tmp_path / "song.mp3").touch()
    (tmp_path / "folder.mid").mkdir()
    for name in ("empty.mid", "text.kar", "folder.mid", "absent.mid"):
        with pytest.raises(UserError, match=name):
            read_score(tmp_path / name)
    with pytest.raises(UserError, match="song.mp3: .*" + r".*\.".join(ext[1:] for ext in EXTENSIONS)):
        read_score(tmp_path / "song.mp3")


def test_what_midi_has_no_room_for_is_refused(tmp_path: Path) -> None:
    score = Score(make_notes([0], [10], 60))
    for unfit, why in (
        (score.replace(ticks_per_quarter=40_000), "40000 ticks per quarter"),
        (score.replace(tempos=np.array([(0, 20_000_000)], TEMPO)), "20,000,000 microseconds"),
        (Score(make_notes([0], [20_000_000], 60)), "20,000,000 ticks"),
    ):
        with pytest.raises(UserError, match=why):
            write_midi(unfit, tmp_path / "new.mid")
    assert not list(tmp_path.iterdir())


def test_a_score_without_notes_can_be_written(tmp_path: Path) -> None:
    write_midi(Score(make_notes([], [], [])), tmp_path / "silence.mid")
    with pytest.raises(UserError, match="no notes"):
        read_midi(tmp_path / "silence.mid")


def test_real_files_survive(data_folder: Path, tmp_path: Path) -> None:
    for path in ("maestro_v2/2004", "groove/drummer1", "pop909", "nottingham", "piano_midi_de"):
        for file in sorted((data_folder / path).rglob("*.mid*"))[5:80:40]:
            score = read_midi(file)
            write_midi(score, tmp_path / "copy.mid")
            copy = read_midi(tmp_path / "copy.mid")
            assert np.array_equal(copy.notes, playable(score)), file
            assert np.array_equal(copy.tempos, score.tempos), file
            assert np.array_equal(copy.bar_starts(), score.bar_starts()), file


def test_damaged_real_files_are_refused(data_folder: Path) -> None:
    for file in (data_folder / "bad_midi_crlf").glob("*.midi"):
        with pytest.raises(FileError, match=r"[1-8] bytes? (is|are) missing from track 2$") as caught:
            read_midi(file)
        assert caught.value.kind == "damaged"
