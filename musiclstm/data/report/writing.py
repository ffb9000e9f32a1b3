"""The doctor's report: what came of every file, and what the music is like, for the screen and as two files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from musiclstm.data.facts import unpack_programs
from musiclstm.data.keys import KEY_NAMES, NO_KEY
from musiclstm.data.report.html import page
from musiclstm.data.report.lines import screen_lines
from musiclstm.data.report.tally import Files, Groups, Music, printable
from musiclstm.data.report.tokenizer_survey import sample, survey
from musiclstm.data.report.words import Findings
from musiclstm.data.store import SPLITS, NoteStore
from musiclstm.files import whole_file
from musiclstm.general_midi import program_name

COLUMNS = (
    "file", "status", "kind", "reason", "repairs", "remarks", "pieces", "notes", "seconds", "instruments", "tempo",
    "meter", "key", "split", "group",
)  # fmt: skip
CHUNK = 4096  # pieces whose facts are read together
SEVERAL = 3  # values told of a file with several pieces


def write_report(store: NoteStore, folder: Path, *, pitch_counts: np.ndarray) -> list[str]:
    """Write report.html and report.csv into `folder`; the report as lines for the screen, of 100 columns at most.

    pitch_counts: the notes of each pitch in the store, (128,), without drums. The same store gives the same bytes.
    """
    groups, music = Groups(store), Music(store)
    files = _write_csv(store, folder / "report.csv", groups)
    findings = Findings(
        source=printable(str(store.head["source"])),
        settings=store.head["settings"],
        files=files,
        music=music,
        groups=groups,
        pitch_counts=pitch_counts,
        survey=survey(sample(store)) if len(store) else None,
    )
    with whole_file(folder / "report.html") as beside:
        beside.write_text(page(findings), encoding="utf-8")
    return screen_lines(findings)


def _write_csv(store: NoteStore, path: Path, groups: Groups) -> Files:
    """Write a line for each file found, and count them."""
    files, rows = Files(), _rows(store, groups)
    # the mark at the beginning tells spreadsheets that it is UTF-8
    with whole_file(path) as beside, beside.open("w", encoding="utf-8-sig", newline="") as content:
        table = csv.writer(content)
        table.writerow(COLUMNS)
        for entry in store.files():
            files.add(entry)
            pieces = list(islice(rows, len(entry["pieces"])))
            table.writerow(_line(entry, pieces))
    return files


_Piece = tuple[int, float, bytes, int, str, int, int, str]
"""Of a piece: notes, seconds, mask of programs, tempo, meter, key, split, group."""


def _rows(store: NoteStore, groups: Groups) -> Iterator[_Piece]:
    for first in range(0, len(store), CHUNK):
        facts, pieces = store.facts[first : first + CHUNK], store.pieces[first : first + CHUNK]
        masks = facts["programs"].tobytes()
        size = len(masks) // len(facts)
        alone = groups.size_of[pieces["group"]] == 1
        yield from zip(
            facts["notes"].tolist(),
            facts["seconds"].tolist(),
            [masks[i : i + size] for i in range(0, len(masks), size)],
            np.rint(facts["bpm"]).astype(np.int64).tolist(),
            [f"{n}/{d}" for n, d in zip(facts["numerator"].tolist(), facts["denominator"].tolist(), strict=True)],
            facts["key"].tolist(),
            pieces["split"].tolist(),
            ["" if one else str(group + 1) for one, group in zip(alone, pieces["group"].tolist(), strict=True)],
            strict=True,
        )


def _line(entry: dict[str, Any], pieces: Sequence[_Piece]) -> list[object]:
    line: list[object] = [
        printable(entry["source"]),
        entry["status"],
        entry["kind"],
        printable(entry["reason"]),
        printable("; ".join(entry["repairs"])),
        printable("; ".join(entry["remarks"])),
        len(pieces),
    ]
    if not pieces:
        return [*line, *[""] * (len(COLUMNS) - len(line))]
    if len(pieces) == 1:
        ((notes, seconds, mask, tempo, meter, key, split, group),) = pieces
        return [*line, notes, round(seconds, 1), _instruments(mask), tempo, meter, _key(key), SPLITS[split], group]
    notes_of, seconds_of, masks, tempos, meters, keys, splits, groups = zip(*pieces, strict=True)
    mask = np.bitwise_or.reduce([np.frombuffer(mask, np.uint8) for mask in masks]).tobytes()
    several = [tempos, meters, map(_key, keys), (SPLITS[split] for split in splits), groups]
    return [*line, sum(notes_of), round(sum(seconds_of), 1), _instruments(mask), *map(_several, several)]


def _several(values: Any) -> str:
    """The values of a file with several pieces, in order, each once."""
    different = [str(value) for value in dict.fromkeys(values) if value != ""]
    return ", ".join(different[:SEVERAL]) + (", ..." if len(different) > SEVERAL else "")


@lru_cache(maxsize=4096)
def _instruments(mask: bytes) -> str:
    return ", ".join(map(program_name, np.flatnonzero(unpack_programs(np.frombuffer(mask, np.uint8))).tolist()))


def _key(key: int) -> str:
    return "" if key == NO_KEY else KEY_NAMES[key]
