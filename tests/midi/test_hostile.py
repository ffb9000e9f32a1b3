"""Hostile files cost nothing but themselves: no crash, no hang, no exception but FileError."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from musiclstm.errors import FileError
from musiclstm.midi import read_midi_bytes
from musiclstm.midi.check import plain_tracks
from musiclstm.midi.columns import read_columns
from musiclstm.midi.repair import mend
from tests.hostile import END, NOTE, hostile_files, midi_file, monsters, sound_files

COUNT = 340
SECONDS = 20.0  # for one file: a hang, and no slow machine

READ_ALL = """
import sys, time
from musiclstm.errors import FileError
from musiclstm.midi import read_midi_bytes
from tests.hostile import hostile_files

for name, data in hostile_files(int(sys.argv[1]), int(sys.argv[2])):
    print(name, end="\\t", flush=True)
    began = time.perf_counter()
    try:
        reading = read_midi_bytes(data)
    except FileError as error:
        assert str(error) and "\\n" not in str(error)
        outcome = error.kind
    else:
        assert len(reading.score)
        assert all(sentence and "\\n" not in sentence for sentence in (*reading.repairs, *reading.remarks))
        outcome = "repaired" if reading.repairs else "kept"
    print(outcome, time.perf_counter() - began, sep="\\t", flush=True)
"""


def test_the_same_files_come_of_the_same_seed() -> None:
    first, again = (list(islice(hostile_files(3, 80), 30, None)) for _ in range(2))
    assert first == again
    assert len({name for name, _ in first}) == len(first) == 50
    assert first != list(islice(hostile_files(4, 80), 30, None))
    assert len(list(hostile_files(0, 5))) == 5


def test_files_that_are_given_are_mutated_too() -> None:
    assert any("given 0" in name for name, _ in islice(hostile_files(0, 80, [midi_file(NOTE + END)]), 30, None))


def test_hostile_files_are_read_or_refused() -> None:
    # in a process of its own, which a parser may take down
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, "1", str(COUNT)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    last = rows[-1][0] if rows else "the first"
    assert done.returncode == 0, f"{last} ended the process with {done.returncode}: {done.stderr[-2000:]}"
    assert len(rows) == COUNT
    outcomes = {outcome for _, outcome, _ in rows}
    assert outcomes == {"kept", "repaired", "damaged", "empty", "limit"}
    slow = [name for name, _, seconds in rows if float(seconds) > SECONDS]
    assert not slow


def test_monsters_are_refused_for_what_they_are() -> None:
    kinds = {
        "empty": "empty",
        "four bytes": "damaged",
        "header alone": "damaged",
        "length of 4 GB": "damaged",
        "65535 tracks claimed": "limit",
        "65535 tracks": "limit",
        "ten million events": "limit",
        "two million notes": "limit",
        "tick 2^28 at one tick a quarter": "limit",
        "tick 2^33": "limit",
        "text of 256 MB": "damaged",
        "nothing but FF": "damaged",
    }
    for name, data in monsters():
        if name in kinds:
            with pytest.raises(FileError) as caught:
                read_midi_bytes(data)
            assert caught.value.kind == kinds.pop(name), name
    assert not kinds


def test_what_symusic_reads_is_what_the_bytes_say() -> None:
    """Every mutation that passes as sound is read as our own reading of its bytes, event by event, reads it."""
    passed = 0
    for name, data in islice(hostile_files(2, 1200), 30, None):
        if plain_tracks(data) is None:
            continue
        try:
            reading = read_midi_bytes(data)
        except FileError:
            continue
        columns = read_columns(mend(data).data)
        assert columns is not None
        assert columns.score == reading.score, name
        passed += 1
    assert passed > 100


def test_the_sound_files_are_sound() -> None:
    for data in sound_files().values():
        reading = read_midi_bytes(data)
        assert (reading.repairs, reading.remarks) == ((), ())
