"""What the report says, on the screen and on the page, in words that a musician understands."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from musiclstm.data.report.tally import Files, Groups, Music
from musiclstm.data.report.tokenizer_survey import Row, Survey

STATUSES = ("kept", "repaired", "dropped")

KINDS = {
    "damaged": ("Damaged", "not sound, or bytes are lost"),
    "empty": ("No notes", "can be read, and there is no note in it"),
    "limit": ("Beyond the limits", "longer than music is, or too much time or memory to read"),
    "crash": ("Killed its reader", "the process that read it died"),
    "duplicate": ("Duplicates", "the same music as another file, which is kept"),
    "selection": ("Not selected", "not what was asked for"),
    "split": ("Without a split", "no split is given for it, or it resembles a piece of another split"),
}
"""What each kind of drop is called, and what it means."""

ON_PURPOSE = ("duplicate", "selection", "split")
"""Kinds of drops of which nothing is wrong with the files."""

REMEDIES = {
    "damaged": "Get these files again from where they came from. Where a whole folder is damaged, it was most likely "
    "copied as text (FTP in text mode, or Git changing line endings: “*.mid binary” in .gitattributes prevents it); "
    "what that took out cannot be put back. A file that your sequencer still opens can be saved anew from there.",
    "empty": "Nothing is lost, for there was no music in them. If you expected some, open one in a sequencer: it may "
    "hold nothing but lyrics or controllers, or have been exported from an empty selection.",
    "limit": "Open one in a sequencer and look far behind the end of the music, where a stray note or a tempo change "
    "often stands; delete it and save. If the music is as large as that, raise prepare.max_seconds or "
    "prepare.max_megabytes.",
    "crash": "Open these files in a sequencer or a notation program and save them anew. No other file has suffered.",
    "duplicate": "Nothing: their music is in the store, once.",
    "selection": "Nothing, if that is what you wanted; otherwise loosen the settings that begin with select.",
    "split": "Give each of these files a row in the CSV of split.csv, or leave split.csv out, and the split is drawn. "
    "What split.leaks=drop left out stays out, so that the test is fair.",
    "leaks": "Set split.leaks=drop: what resembles a piece of the validation or the test is then left out of the "
    "training. Or mend the CSV, or leave split.csv out, and near duplicates come onto one side.",
    "repairs": "Nothing: only what is certain was mended, and no note was made up.",
    "remarks": "Listen to one or two of the files with remarks before you rely on them.",
}
"""What to do about each kind of drop, and about what else there may be."""

LEFT_OUT = {
    "voices": "chords within a part, dynamics, tempo changes",
    "remi": "the sustain pedal, and which of two tracks of one instrument plays",
    "frames": "repeated notes that touch, instruments, drums, dynamics, tempo changes",
    "performance": "bars and beats, which instrument plays, drums beside others",
}
"""What each tokenizer does not say of the notes that it keeps."""


@dataclass(frozen=True)
class Findings:
    """All that the report is made of. pitch_counts: notes of each pitch, (128,), without drums. survey: None where
    there is no piece."""

    source: str
    settings: dict[str, Any]
    files: Files
    music: Music
    groups: Groups
    pitch_counts: np.ndarray
    survey: Survey | None

    @property
    def name(self) -> str:
        """What the collection is called."""
        return os.path.basename(self.source.rstrip("/\\")) if os.path.isabs(self.source) else self.source


def count(number: int, one: str, many: str = "") -> str:
    """'1 piece', '2 pieces'."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(part: float, whole: float = 1.0) -> str:
    """The share in per cent: '100%' of everything alone, and '0%' of nothing alone."""
    if not part or not whole:
        return "0%"
    if part >= whole:
        return "100%"
    said = f"{100 * part / whole:.1f}%"
    return {"0.0%": "<0.1%", "100.0%": ">99.9%"}.get(said, said)


def hours(seconds: float) -> str:
    """'12.4 hours', '38 minutes', '41 seconds'."""
    if seconds >= 7200:
        return f"{seconds / 3600:,.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def clock(seconds: float) -> str:
    """'0:41', '3:05', '1:02:00'."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def listed(names: Iterable[str], total: int) -> str:
    """'a.mid, b.mid and 3 more'."""
    names = list(names)
    return ", ".join(names) + (f" and {total - len(names):,} more" if total > len(names) else "")


def resolution(row: Row) -> str:
    """The steps of a tokenizer."""
    return "10 ms" if row.steps_per_quarter is None else f"{row.steps_per_quarter} a quarter"


def shortened(name: str, longest: int) -> str:
    """`name` without its middle, where it is longer than `longest` characters."""
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"


def about_groups(findings: Findings) -> str:
    """What there is to say of near duplicates."""
    groups = findings.groups
    if not len(groups.sizes):
        return "No piece is another one transposed, in another tempo or in another version."
    kind = " (or pieces that split.group_by puts together)" if findings.settings.get("group_by") else ""
    where = f"{count(groups.leaks, 'of them', 'of them')} on several sides" if groups.leaks else "each on one side"
    return (
        f"{count(int(groups.sizes.sum()), 'piece')} stand in {count(len(groups.sizes), 'group')} of near duplicates"
        f"{kind}, {where} of the split"
    )


def about_leaks(groups: Groups) -> str:
    """What there is to say of groups that stand on several sides of the split; "" where there is none."""
    if not groups.leaks:
        return ""
    one_each = {split: name for name, split in reversed(groups.leaking[0].names)}
    example = " and ".join(f"{name} ({split})" for split, name in sorted(one_each.items(), reverse=True))
    return (
        f"{count(groups.leaking_pieces, 'piece')} in {count(groups.leaks, 'group')} of near duplicates "
        "stand on several sides of the split, because their splits were given that way: "
        f"{example}. So a model may have heard in training what it is tested on"
    )


def about_tokenizer(survey: Survey) -> str:
    """What tokenizer=auto would choose, and why."""
    return f"{survey.why}; it keeps {percent(survey.chosen.notes)} of the notes"
