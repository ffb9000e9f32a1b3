"""Coverage-guided fuzzing of the reading path: what no MIDI file may do to `musiclstm.midi.read_midi_bytes`.

    python benchmarks/fuzz.py [--minutes 10] [--folder FOLDER] [--seed 0]
    python benchmarks/fuzz.py --show FILE

Needs atheris (Linux; pip install "musiclstm[fuzz]"). What reaches new code is kept in FOLDER/corpus, where a later run
goes on, and what was found in FOLDER/findings: an exception other than FileError, a score that breaks its promises or
is not what our own reading of the same bytes gives, more than 5 seconds or 1 GB for a small file, and what ends the
process. The exit status is 1 where something was found. --show reads one file and prints what comes of it.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from musiclstm.errors import FileError
from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, make_notes, sort_notes

SECONDS, MEGABYTES, BYTES = 5, 1024, 4096  # what a file of so many bytes may take
END = b"\x00\xff\x2f\x00"


def seeds() -> Iterator[bytes]:
    """Small sound files of several kinds."""
    from musiclstm.midi import to_pretty_midi

    notes = make_notes([0, 480, 480, 960], [480, 960, 900, 1440], [60, 64, 67, 72], [80, 1, 127, 64])
    drums = make_notes([0, 240], [120, 360], [36, 38], 90, DRUMS, 1)
    tempos, meters = np.array([(0, 400_000), (480, 700_000)], TEMPO), np.array([(0, 3, 4), (1440, 6, 8)], METER)
    for score in (
        Score(notes),
        Score(sort_notes(np.concatenate([notes, drums])), 480, tempos, meters, np.array([(10, 700, 0)], PEDAL), 480),
    ):
        content = io.BytesIO()
        to_pretty_midi(score).write(content)
        yield content.getvalue()
    note, text = b"\x00\x90\x3c\x50\x60\x3c\x00\x81\x10\x40\x50\x60\x40\x00", b"\x00\xff\x01\x02hi"
    system, late = b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7", b"\xff\xff\xff\x7f"
    for kind, division, tracks in (
        (0, 96, [note + END]),
        (0, 96, [note]),
        (1, 96, [text + system + END, note + text + b"\x10\x3c\x50\x10\x3c\x00" + END, note + END]),
        (2, 96, [note + END, text + note + END]),
        (1, 0xE728, [b"\x00\x91\x3c\x50" + note + END + note]),
        (1, 1, [note + late + note[1:] + b"\x00\xb0\x7b\x00" + END]),
        (1, 96, [note + b"\x00\xf7\x01\xf8\x00\xf8\x00\x90\x40\x50" + END]),
    ):
        head = b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division)
        yield head + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def with_lengths(data: bytes) -> bytes:
    """The bytes with each track's length made right, so that mutations get past it."""
    parts = data.split(b"MTrk")
    return parts[0] + b"".join(b"MTrk" + struct.pack(">I", max(0, len(part) - 4)) + part[4:] for part in parts[1:])


def check(data: bytes) -> str:
    """Read a file as `read_midi_bytes` promises to, or raise what was found. Returns what came of it."""
    from musiclstm.midi import read_midi_bytes
    from musiclstm.midi.columns import read_columns
    from musiclstm.midi.repair import mend

    try:
        score, repairs, remarks = read_midi_bytes(data)
    except FileError as error:
        said = [str(error)]
        outcome = f"{error.kind}: {error}"
    else:
        said = [*repairs, *remarks]
        outcome = f"{len(score)} notes; repairs: {repairs}; remarks: {remarks}"
        notes = score.notes
        assert len(notes), "a score without notes"
        assert np.array_equal(notes, sort_notes(notes)), "notes out of order"
        assert notes["start"].min() >= 0, "a note before the beginning"
        assert (notes["end"] >= notes["start"]).all(), "a note that ends before it begins"
        assert notes["pitch"].max() < 128, "a pitch beyond 127"
        assert 0 < notes["velocity"].min() <= notes["velocity"].max() < 128, "a velocity beyond 1 to 127"
        assert 0 < score.ticks_per_quarter < 0x8000, "ticks per quarter beyond what a header can say"
        assert score.tempos["tick"][0] == score.meters["tick"][0] == 0, "tempo or meter that begins late"
        assert np.isfinite(score.duration), "a duration without end"
        score.bar_starts()
        try:
            mended = mend(data)
        except FileError:
            pass  # what it refuses in events that no score is made of, symusic may pass over
        else:
            columns = read_columns(mended.data)
            assert columns is not None, "a note too long in what was mended"
            assert columns.score == score, "not what the bytes say"
    assert all(sentence and sentence.isprintable() for sentence in said), f"not one printable line: {said}"
    return outcome


def fuzz(folder: Path, seconds: int, seed: int) -> None:
    """Fuzz in this process, until time is up or a file takes it down."""
    import atheris

    with atheris.instrument_imports(include=["musiclstm", "pretty_midi", "mido"]):
        import mido  # noqa: F401
        import pretty_midi  # noqa: F401

        import musiclstm.midi  # noqa: F401

    draw = random.Random(seed)
    known: set[str] = set()

    def test_one_input(data: bytes) -> None:
        try:
            check(data)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{type(error).__name__}-{Path(where.filename).stem}-{where.lineno}"
            if name not in known:  # the first of its kind is enough, and the run goes on
                known.add(name)
                (folder / "findings" / name).write_bytes(data)
                (folder / "findings" / f"{name}.txt").write_text(traceback.format_exc())

    def mutate(data: bytes, longest: int, _: int) -> bytes:
        changed: bytes = atheris.Mutate(data, longest)
        return with_lengths(changed)[:longest] if draw.random() < 0.6 else changed

    options = [
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={BYTES}",
        f"-seed={seed}",
        f"-artifact_prefix={folder / 'findings'}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


def run(folder: Path, seconds: float, seed: int) -> int:
    """Fuzz in child processes until time is up, each of which may die. Returns how many things were found."""
    for name in ("corpus", "findings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(seeds()):
        (folder / "corpus" / f"seed-{i}").write_bytes(data)
    before = set((folder / "findings").iterdir())
    began, runs, deaths = time.monotonic(), 0, 0
    while (left := seconds - (time.monotonic() - began)) > 1:
        arguments = ["--child", str(int(left)), "--folder", str(folder), "--seed", str(seed + deaths + 1)]
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            code = subprocess.run([sys.executable, __file__, *arguments], stdout=log, stderr=log).returncode
            log.seek(0)
            lines = log.read().splitlines()
        runs += sum(int(line.split()[-1]) for line in lines if "number_of_executed_units" in line)
        if code == 0:
            break
        deaths += 1
        print(f"a process ended with {code}:", *lines[-15:], sep="\n  ", flush=True)
        if deaths > 20:
            print("too many to go on")
            break
    found = sorted(path for path in set((folder / "findings").iterdir()) - before if path.suffix != ".txt")
    minutes, files = (time.monotonic() - began) / 60, len(list((folder / "corpus").iterdir()))
    print(
        f"{runs:,} inputs in {minutes:.1f} minutes; {files:,} of them reach code that no other does; {len(found)} found"
    )
    for path in found:
        print(f"  {path} ({path.stat().st_size} bytes)")
    return len(found) + deaths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path("outputs") / "fuzz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=Path)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.show:
        print(check(options.show.read_bytes()))
    elif options.child is not None:
        fuzz(options.folder.absolute(), options.child, options.seed)
    else:
        sys.exit(bool(run(options.folder.absolute(), 60 * options.minutes, options.seed)))


if __name__ == "__main__":
    main()
