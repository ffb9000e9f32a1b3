"""Joining the parts of a store: what becomes of each piece, the report, and one store of them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.console import progress, say
from musiclstm.data.plan import FIRST_REASON, KEPT, SAME, Plan, Survey
from musiclstm.data.report.writing import write_report
from musiclstm.data.store import COLUMNS, SPLITS, NoteStore
from musiclstm.data.store_writing import StoreWriter
from musiclstm.errors import UserError
from musiclstm.score import DRUMS

if TYPE_CHECKING:
    from musiclstm.data.building import Recipe

DROPS = ("damaged", "empty", "limit", "crash")  # kinds of drops that nobody asked for
AHEAD = (
    *COLUMNS,
    "facts",
    "sketches",
)  # arrays whose rows are copied: the plan says no more than which


@contextmanager
def joining(
    parts: Sequence[Path], folder: Path, recipe: Recipe, head: dict[str, Any], prefixes: Sequence[str] | None = None
) -> Generator[Joining, None, None]:
    """A `Joining` of these parts, which becomes the store in `folder` when the block ends without an error.

    prefixes: for each part, what to put before the names of its files. Raises UserError where no piece is left, or a
    file was dropped that should not be.
    """
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}.sketches")
    with Survey(recipe.splitting, recipe.selection, scratch) as survey, StoreWriter(folder) as writer:
        work = Joining(parts, survey, writer, prefixes)
        yield work

        def finish(store: NoteStore) -> None:
            work.lines.extend(write_report(store, store.folder, pitch_counts=work.pitches()))
            if not len(store):
                source, reason = head["source"], next((entry["reason"] for entry in store.files()), "")
                if os.path.isfile(source):
                    raise UserError(f"{source}: {reason}")
                raise UserError(f"{source}: none of its files can be used. {' '.join(work.lines)}")
            if recipe.strict:
                forbid_drops(store, work.lines)

        writer.head, writer.finish = head, finish
        work.complete()
        for source, kind, reason in recipe.skipped:
            writer.add_file(source, "", 0, pieces=[], kind=kind, reason=reason)


def forbid_drops(store: NoteStore, lines: Sequence[str] = ()) -> None:
    """Say `lines` and raise UserError where files were dropped that nobody asked to drop."""
    dropped = [entry["source"] for entry in store.files() if entry["kind"] in DROPS]
    if dropped:
        for line in lines:
            say(line)
        some = ", ".join(dropped[:3])
        raise UserError(
            f"{len(dropped):,} files were dropped, which prepare.strict=true forbids: {some}"
            f"{', ...' if len(dropped) > 3 else ''}; mend them or take them away"
        )


class Joining:
    """Parts on their way into one store. `lines` say what came of them, when it is written.

    What is large is copied part by part, while others are still read, as if the pieces that were selected and are not
    the same as an earlier one were those that are kept. Where that turns out wrong, it is copied anew from there.
    """

    def __init__(
        self, parts: Sequence[Path], survey: Survey, writer: StoreWriter, prefixes: Sequence[str] | None
    ) -> None:
        self.lines: list[str] = []
        self._parts, self._survey, self._writer, self._prefixes = parts, survey, writer, prefixes
        self._kept: list[np.ndarray] = []  # of each part that was copied, which of its pieces
        self._pitches: list[np.ndarray] = []  # and how many of their notes have each pitch, without drums

    def advance(self, there: Callable[[Path], bool]) -> None:
        """Copy the next part or two, if they are there."""
        for part in self._parts[len(self._kept) :][:2]:
            if not there(part):
                return
            self._add(NoteStore.open(part))

    def pitches(self) -> np.ndarray:
        """(128,) how many notes in the store have each pitch, without drums."""
        return np.sum([np.zeros(128, np.int64), *self._pitches], 0)

    def complete(self) -> None:
        """Copy the parts that are left, and write what of all depends on all others."""
        left = len(self._parts) - len(self._kept)
        with progress("Joining", left + len(self._parts), unit="parts") as bar:
            for path in self._parts[len(self._kept) :]:
                self._add(NoteStore.open(path))
                bar.advance()
            plan = self._survey.plan()
            names = _Names(self._parts, plan.ends)
            rows = dict.fromkeys(COLUMNS, 0)  # of the pieces so far
            first, wrong = 0, False
            for number, path in enumerate(self._parts):
                part = NoteStore.open(path)
                kept = plan.fate[first : first + len(part)] == KEPT
                if not wrong and not np.array_equal(kept, self._kept[number]):
                    wrong = True
                    pieces = sum(map(np.count_nonzero, self._kept[:number]))
                    for name in AHEAD:
                        self._writer.cut(name, rows.get(name, pieces))
                    del self._kept[number:], self._pitches[number:]
                if wrong:
                    self._copy(part, kept)
                prefix = self._prefixes[number] if self._prefixes else None
                pieces = part.pieces[kept]
                pieces["file"] += self._writer.num_files
                for column in ("group", "split"):
                    pieces[column] = getattr(plan, column)[first : first + len(part)][kept]
                for name in COLUMNS:
                    ends = np.cumsum(np.diff(part.pieces[name], prepend=0)[kept])
                    pieces[name] = ends + rows[name]
                    rows[name] += int(ends[-1]) if len(ends) else 0
                self._writer.append("pieces", pieces)
                _write_lines(part, self._writer, plan, first, names, prefix)
                first += len(part)
                bar.advance()

    def _add(self, part: NoteStore) -> None:
        self._copy(part, self._survey.add(part))

    def _copy(self, part: NoteStore, kept: np.ndarray) -> None:
        """Copy the columns of those pieces of a part."""
        self._kept.append(kept)
        for name in AHEAD:
            rows = part.rows(name)
            if not kept.all():
                lengths = np.diff(part.pieces[name], prepend=0) if name in COLUMNS else 1
                rows = np.take(rows, np.flatnonzero(np.repeat(kept, lengths)))
            self._writer.append(name, rows)
            if name == "notes":
                drums = rows["program"] == DRUMS
                pitch = rows["pitch"][~drums] if drums.any() else rows["pitch"]
                self._pitches.append(np.bincount(pitch, minlength=128)[:128])


def _write_lines(
    part: NoteStore, writer: StoreWriter, plan: Plan, first: int, names: _Names, prefix: str | None
) -> None:
    """Write the lines of the files of a part, whose pieces begin at `first` in the plan."""
    if prefix is None and (plan.fate[first : first + len(part)] == KEPT).all():
        writer.copy_lines(part)
        return
    entries, at = [], 0
    for entry in part.files():
        found = entry["pieces"]
        fates = plan.fate[first + at : first + at + len(found)]
        why = [_why(plan, first + at + i, names) for i in np.flatnonzero(fates != KEPT)]
        entry["pieces"] = [name for name, fate in zip(found, fates, strict=True) if fate == KEPT]
        if found and not entry["pieces"]:
            entry["status"], (entry["kind"], entry["reason"]) = "dropped", why[0]
        elif why:
            entry["remarks"] += [f"{len(why)} of its {len(found)} pieces left out ({why[0][1]})"]
        at += len(found)
        if prefix is not None:
            entry["source"] = f"{prefix}/{entry['source']}"
            entry["pieces"] = [f"{prefix}/{name}" for name in entry["pieces"]]
        entries.append(entry)
    writer.add_lines(entries)


def _why(plan: Plan, piece: int, names: _Names) -> tuple[str, str]:
    """Kind and reason of a drop."""
    fate = int(plan.fate[piece])
    if fate >= FIRST_REASON:
        return "selection", plan.reasons[fate - FIRST_REASON]
    like, split = names(int(plan.like[piece])), SPLITS[int(plan.split[int(plan.like[piece])])]
    if fate == SAME:
        return "duplicate", f"the same music as {like}"
    return "split", f"a near duplicate of {like}, which is in the {split} split"


class _Names:
    """What pieces are called, by their number in all parts together."""

    def __init__(self, parts: Sequence[Path], ends: np.ndarray) -> None:
        self._ends = ends
        self._open = lru_cache(maxsize=8)(lambda part: NoteStore.open(parts[part]))

    def __call__(self, piece: int) -> str:
        part = int(np.searchsorted(self._ends, piece, "right"))
        return self._open(part).name(piece - (int(self._ends[part - 1]) if part else 0))
