from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from musiclstm.data.facts import FACTS, facts
from musiclstm.data.report.tally import EXAMPLES, MOST_REASONS, Histogram, Reasons
from musiclstm.data.report.words import clock, hours, percent, shortened
from musiclstm.data.report.writing import write_report
from musiclstm.data.store import PIECE, SPLITS
from musiclstm.score import DRUMS, Score, make_notes
from tests.music import chorales


def found(source: str, pieces: int = 1, **more: Any) -> dict[str, Any]:
    """A file as a store lists it."""
    names = [source if i == 0 else f"{source}#{i + 1}" for i in range(pieces)]
    status = "dropped" if not pieces else "repaired" if more.get("repairs") else "kept"
    entry = {
        "source": source,
        "status": status,
        "kind": "",
        "reason": "",
        "repairs": [],
        "remarks": [],
        "pieces": names,
    }
    return {**entry, **more}


class FakeStore:
    """As much of a NoteStore as the report reads."""

    def __init__(
        self, entries: list[dict[str, Any]], groups: dict[int, int] | None = None, splits: dict[int, int] | None = None
    ) -> None:
        self.entries = entries
        self.names = [name for entry in entries for name in entry["pieces"]]
        music = chorales(12).scores
        self.scores = [music[i % len(music)] for i in range(len(self.names))]
        self.facts = np.array([facts(score) for score in self.scores], FACTS)
        self.pieces = np.zeros(len(self.names), PIECE)
        self.pieces["group"] = np.arange(len(self.names))
        for piece, group in (groups or {}).items():
            self.pieces["group"][piece] = group
        for piece, split in (splits or {}).items():
            self.pieces["split"][piece] = split
        self.head: dict[str, Any] = {"source": "/music/Bach & <Söhne>", "settings": {"seed": 0}}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Score:
        return self.scores[index]

    def files(self) -> Iterator[dict[str, Any]]:
        return iter(self.entries)

    def split(self, name: str) -> np.ndarray:
        return np.flatnonzero(self.pieces["split"] == SPLITS.index(name))

    def name(self, index: int) -> str:
        return self.names[index]


def write(store: FakeStore, folder: Path) -> tuple[list[str], list[dict[str, str]], str]:
    """The lines for the screen, the rows of report.csv and the text of report.html."""
    notes = np.concatenate([score.notes for score in store.scores]) if len(store) else make_notes([], [], [])
    lines = write_report(store, folder, pitch_counts=np.bincount(notes["pitch"], minlength=128))  # type: ignore[arg-type]
    with (folder / "report.csv").open(encoding="utf-8-sig", newline="") as content:
        rows = list(csv.DictReader(content))
    assert all(len(line) <= 100 for line in lines)
    return lines, rows, (folder / "report.html").read_text(encoding="utf-8")


DAMAGED = [
    found(f"bad/{i}.mid", 0, kind="damaged", reason=f"a tempo of {i} microseconds at tick {7 * i}") for i in range(9)
]
MIXED = [
    found("a.mid"),
    found("b.mid", repairs=["3 notes without length", "no end of track"], remarks=["two readers disagree"]),
    *DAMAGED,
    found("c/<script>.mid", 0, kind="empty", reason="no notes in it"),
    found("caf\udce9\n.mid", 0, kind="duplicate", reason="the same music as a.mid"),
    found("d.mid", 0, kind="duplicate", reason="the same music as e,_d.mid", repairs=["3 notes without length"]),
    found("book.abc", 3),
]


def test_every_file_has_its_line(tmp_path: Path) -> None:
    _, rows, _ = write(FakeStore(MIXED, splits={3: 1, 4: 2}), tmp_path)
    assert [row["file"] for row in rows[:3]] == ["a.mid", "b.mid", "bad/0.mid"]
    assert len(rows) == len(MIXED)
    first, second, damaged = rows[:3]
    assert (first["status"], first["pieces"], first["split"], first["group"]) == ("kept", "1", "train", "")
    assert (first["instruments"], first["tempo"], first["meter"]) == ("Choir Aahs", "120", "4/4")
    assert int(first["notes"]) == len(chorales(12).scores[0])
    assert (second["status"], second["repairs"]) == ("repaired", "3 notes without length; no end of track")
    assert second["remarks"] == "two readers disagree"
    assert (damaged["kind"], damaged["reason"]) == ("damaged", "a tempo of 0 microseconds at tick 0")
    assert damaged["notes"] == damaged["key"] == ""
    assert rows[-3]["file"] == "caf\ufffd\ufffd.mid"
    assert (rows[-1]["pieces"], rows[-1]["split"]) == ("3", "train, validation, test")
    assert int(rows[-1]["notes"]) == sum(len(score) for score in chorales(12).scores[2:5])


def test_kept_repaired_and_dropped_are_all_that_was_found(tmp_path: Path) -> None:
    lines, rows, page = write(FakeStore(MIXED), tmp_path)
    counts = dict(re.findall(r"^  (kept|repaired|dropped) +([\d,]+)", "\n".join(lines), re.MULTILINE))
    assert {status: int(count) for status, count in counts.items()} == {"kept": 2, "repaired": 1, "dropped": 12}
    assert lines[0].endswith(f"{len(MIXED)} files found")
    assert sum(map(int, counts.values())) == len(rows) == len(MIXED)
    for status, count in counts.items():
        assert f'<div class="{status}"><b>{count}</b>' in page


def test_reasons_that_differ_in_numbers_or_names_are_one(tmp_path: Path) -> None:
    lines, _, page = write(FakeStore(MIXED), tmp_path)
    said = "\n".join(lines)
    assert "9 x a tempo of ... microseconds at tick ...: bad/0.mid, bad/1.mid, bad/2.mid and 6 more" in said
    assert "2 x the same music as ...: caf??.mid, d.mid" in said
    assert "1 x no notes in it" in said
    assert "1 x 3 notes without length: b.mid" in said  # a repaired file that was dropped is none of the repaired
    assert "a tempo of … microseconds at tick …" in page
    assert "&lt;script&gt;" in page
    assert "Get these files again" in page
    assert "select." not in page  # no remedy for what did not happen


def test_one_and_several_are_one_reason() -> None:
    reasons = Reasons()
    for text in (
        "1 byte is missing from track 2",
        "8 bytes are missing from track 2",
        "1 byte is missing from track 3",
    ):
        reasons.add(text, "a.mid")
    reasons.add("1 bit is missing", "b.mid")
    assert [(reason.count, reason.text) for reason in reasons] == [
        (3, "… bytes are missing from track …"),
        (1, "1 bit is missing"),
    ]


def test_reasons_are_bounded() -> None:
    reasons = Reasons()
    for i in range(MOST_REASONS * 3):
        reasons.add("x" * i, f"{i}.mid")
    assert len(reasons) == MOST_REASONS + 1
    most = next(iter(reasons))
    assert (most.count, len(most.examples)) == (2 * MOST_REASONS, EXAMPLES)


def test_near_duplicates_are_named(tmp_path: Path) -> None:
    store = FakeStore([found(f"{i}.mid") for i in range(8)], groups={3: 1, 5: 1, 7: 6})
    lines, rows, page = write(store, tmp_path)
    said = " ".join(" ".join(lines).split())
    assert "5 pieces stand in 2 groups of near duplicates, each on one side of the split" in said
    assert "largest 3: 1.mid, 3.mid and 1 more" in said
    assert "Warning" not in said
    assert "<code>1.mid</code> <code>3.mid</code> <code>5.mid</code>" in page
    assert [row["group"] for row in rows] == ["", "2", "", "2", "", "2", "7", "7"]


def test_groups_on_two_sides_are_warned_of(tmp_path: Path) -> None:
    store = FakeStore([found(f"{i}.mid") for i in range(8)], groups={3: 1, 5: 1, 7: 6}, splits={5: 2, 4: 1})
    lines, _, page = write(store, tmp_path)
    said = " ".join(" ".join(lines).split())
    assert "Warning: 3 pieces in 1 group of near duplicates stand on several sides" in said
    assert "1.mid (train) and 5.mid (test)" in said
    assert "split.leaks=drop" in said
    assert "1.mid (train) and 5.mid (test)" in page


class Balanced(HTMLParser):
    """Checks that every tag is closed, and gathers what a page would load or run."""

    EMPTY = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wanted: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.wanted += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]
        self.wanted += [tag] * (tag in ("script", "link", "iframe"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(tmp_path: Path) -> None:
    store = FakeStore([*MIXED, *(found(f"{'long ' * 60}{i}.mid") for i in range(40))], groups={9: 8})
    _, _, page = write(store, tmp_path)
    reader = Balanced()
    reader.feed(page)
    assert reader.open == reader.wanted == []
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page
    assert len(page) < 300_000
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) >= 9
    for chart in charts:
        assert ElementTree.fromstring(chart).get("aria-label")
    assert "Bach &amp; &lt;Söhne&gt;" in page


def test_charts_count_every_piece(tmp_path: Path) -> None:
    store = FakeStore([found(f"{i}.mid") for i in range(30)])
    _, _, page = write(store, tmp_path)
    for name in ("Pieces by their number of notes", "Pieces by how long they last", "Pieces by tempo", "Pieces by key"):
        chart = re.search(f'<svg role="img" aria-label="{name}".*?</svg>', page, re.DOTALL)
        assert chart
        counted = re.findall(r": (\d+) pieces?", chart[0])
        none = re.search(r"; (\d+) pieces? fits? none", page) if name == "Pieces by key" else None
        assert sum(map(int, counted)) + (int(none[1]) if none else 0) == 30


def test_the_same_store_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(FakeStore(MIXED, groups={1: 0}), tmp_path / folder)
    for name in ("report.html", "report.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_store_without_pieces_has_a_report_too(tmp_path: Path) -> None:
    lines, rows, page = write(FakeStore(DAMAGED), tmp_path)
    assert len(rows) == 9
    assert "9 x a tempo" in "\n".join(lines)
    assert "nothing to train on" in page


def test_drums_alone_have_no_keys(tmp_path: Path) -> None:
    store = FakeStore([found("groove.mid")])
    store.scores = [Score(make_notes([0, 240], [120, 360], [36, 38], program=DRUMS))]
    store.facts = np.array([facts(store.scores[0])], FACTS)
    write_report(store, tmp_path, pitch_counts=np.zeros(128, np.int64))  # type: ignore[arg-type]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>Drums</b>" in page
    assert "Pieces by key" not in page
    assert "Drums: 1 piece of 1" in page


def test_histograms_count_what_lies_outside() -> None:
    histogram = Histogram(np.array([0, 10, 20, 30]))
    histogram.add(np.array([-5, 0, 9, 20, 29, 30, 99]))
    assert histogram.counts.tolist() == [3, 0, 4]
    assert histogram.span() == range(3)


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 5, "0%"), (5, 5, "100%"), (1, 3, "33.3%"), (9999, 10000, ">99.9%"), (1, 10000, "<0.1%"), (0, 0, "0%")],
)
def test_percent_says_all_and_nothing_of_these_alone(part: int, whole: int, said: str) -> None:
    assert percent(part, whole) == said


def test_lengths_of_music() -> None:
    assert [hours(s) for s in (41, 300, 7200 * 5)] == ["41 seconds", "5 minutes", "10.0 hours"]
    assert [clock(s) for s in (41, 185, 3720)] == ["0:41", "3:05", "1:02:00"]
    assert shortened("a" * 50 + "b" * 50, 11) == "aaaaa…bbbbb"
