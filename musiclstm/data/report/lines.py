"""The report as lines on the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import islice

from musiclstm.data.report.tally import Groups, Reasons, printable
from musiclstm.data.report.words import (
    KINDS,
    STATUSES,
    Findings,
    about_groups,
    about_leaks,
    about_tokenizer,
    count,
    hours,
    listed,
    percent,
    shortened,
)

WIDTH = 100  # columns
LONGEST_NAME = 40  # characters
SHOWN = 5  # reasons of a kind: report.html shows more, and report.csv all


def screen_lines(findings: Findings) -> list[str]:
    """The report in plain lines of at most 100 columns."""
    files, music, groups = findings.files, findings.music, findings.groups
    lines = _wrap(f"{findings.name}: {count(files.found, 'file')} found")
    for status in STATUSES:
        number = files.statuses[status]
        lines.append(f"  {status:<9}{number:>11,}{percent(number, files.found):>8}")
        if status == "repaired":
            lines += _reasons(files.repairs)
        if status == "dropped":
            for kind, reasons in files.by_kind():
                lines.append(f"    {KINDS[kind][0]}: {count(files.kinds[kind], 'file')}")
                lines += _reasons(reasons)
    if files.remarks:
        lines += ["  remarks on files that are kept", *_reasons(files.remarks)]
    splits = ", ".join(f"{share.split} {share.pieces:,}" for share in music.splits)
    lines += _wrap(
        f"In the store: {count(music.pieces, 'piece')} ({splits}), {count(music.notes, 'note')}, {hours(music.seconds)}"
    )
    if not music.pieces:
        return lines
    lines += _wrap(f"Near duplicates: {about_groups(findings)}{_largest(groups)}")
    if groups.leaks:
        lines += _wrap(f"Warning: {about_leaks(groups)}; split.leaks=drop takes such pieces out of the training")
    if findings.survey is not None:
        lines += _wrap(f"For training: {about_tokenizer(findings.survey)}")
    return lines


def _largest(groups: Groups) -> str:
    if not groups.largest:
        return ""
    group = groups.largest[0]
    return f"; largest {group.size}: {listed(_short(name for name, _ in group.names[:2]), group.size)}"


def _short(names: Iterable[str]) -> list[str]:
    return [shortened(name, LONGEST_NAME) for name in names]


def _reasons(reasons: Reasons) -> Iterator[str]:
    for reason in islice(reasons, SHOWN):
        names = listed(_short(reason.examples), reason.count)
        yield from _wrap(f"{reason.count:>10,} x {printable(reason.text)}: {names}", " " * 13)
    if len(reasons) > SHOWN:
        yield f"{'':13}and {count(len(reasons) - SHOWN, 'other reason')}"


def _wrap(text: str, later: str = "  ") -> list[str]:
    plain = text.replace("…", "...").replace("\ufffd", "?")  # what every terminal can show
    return textwrap.wrap(plain, WIDTH, subsequent_indent=later, break_on_hyphens=False)
