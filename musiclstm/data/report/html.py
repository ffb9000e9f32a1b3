"""The report as a page that stands alone: no scripts, nothing loaded, light or dark as the reader's screen is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby, islice
from pathlib import Path

from musiclstm.data.report.charts import stacked_bar
from musiclstm.data.report.pictures import Picture, group_sizes, pictures
from musiclstm.data.report.tally import Reasons, printable
from musiclstm.data.report.tokenizer_survey import Row, Survey
from musiclstm.data.report.words import (
    KINDS,
    LEFT_OUT,
    ON_PURPOSE,
    REMEDIES,
    STATUSES,
    Findings,
    about_groups,
    about_leaks,
    about_tokenizer,
    clock,
    count,
    hours,
    percent,
    resolution,
    shortened,
)
from musiclstm.score import DRUMS

SHOWN = 25  # reasons of each kind; report.csv has all
LONGEST_NAME = 72  # characters


def page(findings: Findings) -> str:
    """The page as text."""
    music = findings.music
    sections = [_head(findings), _tiles(findings), _files(findings), _remedies(findings)]
    if music.pieces:
        shown = pictures(music, findings.pitch_counts)
        sections += [f'<h2>The music</h2><div class="grid">{"".join(map(_picture, shown))}</div>', _splits(findings)]
    if findings.survey is not None:
        sections.append(_tokenizers(findings.survey))
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(findings.name)}: what preparation found</title><style>\n{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(sections)}\n{_foot(findings)}\n</main></body></html>\n"
    )


def _head(findings: Findings) -> str:
    files = findings.files
    parts = [(status, files.statuses[status]) for status in STATUSES]
    bar = stacked_bar(
        "Files kept, repaired and dropped",
        [(status, number, f"{number:,} {status}, {percent(number, files.found)}") for status, number in parts],
    )
    blocks = f'<div class="found"><b>{files.found:,}</b>{"file" if files.found == 1 else "files"} found</div>'
    for status, number in parts:
        share = f'<span class="soft">{percent(number, files.found)}</span>'
        blocks += f'<div class="{status}"><b>{number:,}</b>{status} {share}</div>'
    path = f'<div class="path">{escape(findings.source)}</div>' if findings.source != findings.name else ""
    return (
        f'<header><div class="eyebrow">What preparation found</div><h1>{escape(findings.name)}</h1>{path}</header>\n'
        f'<div class="card result">{bar}<div class="statuses">{blocks}</div></div>'
    )


def _tiles(findings: Findings) -> str:
    music = findings.music
    if not music.pieces:
        return '<p class="card warning">No piece is left: there is nothing to train on.</p>'
    instruments = int((music.programs[:DRUMS] > 0).sum())
    drums = " and drums" if music.programs[DRUMS] else ""
    played = (f"{instruments:,}", f"{'instrument' if instruments == 1 else 'instruments'}{drums}")
    length, _, unit = hours(music.seconds).partition(" ")
    tiles = [
        (f"{music.pieces:,}", "piece" if music.pieces == 1 else "pieces"),
        (f"{music.notes:,}", "notes"),
        (length, f"{unit} of music"),
        (clock(music.median_seconds), f"a piece, with {music.median_notes:,.0f} notes (median)"),
        played if instruments else ("Drums", "alone"),
    ]
    return f'<div class="tiles">{"".join(f"<div class=card><b>{b}</b>{escape(text)}</div>" for b, text in tiles)}</div>'


def _files(findings: Findings) -> str:
    files = findings.files
    rows = []
    for kind, reasons in files.by_kind():
        title, meaning = KINDS[kind]
        title = f"{title}: {count(files.kinds[kind], 'file')}"
        rows.append(_kind("soft" if kind in ON_PURPOSE else "dropped", title, meaning))
        rows += _reasons(reasons)
    for reasons, status, title, meaning in (
        (files.repairs, "repaired", "Repaired", "where the music is certain"),
        (files.remarks, "kept", "Remarks", "on files that are kept, with what is odd about them"),
    ):
        if reasons:
            rows += [_kind(status, title, meaning), *_reasons(reasons)]
    if not rows:
        return '<h2>The files</h2><p class="card">Every file is kept as it is.</p>'
    return (
        '<h2>The files</h2><div class="card"><table class="files"><tr><th class="number">files</th><th>why</th>'
        f'<th>such as</th></tr>{"".join(rows)}</table><p class="caption">report.csv beside this page tells it of '
        "every file.</p></div>"
    )


def _kind(status: str, title: str, meaning: str) -> str:
    dot = f'<i style="background:var(--{status})"></i>'
    return f'<tr class="kind"><td colspan="3">{dot}{title} <span>· {meaning}</span></td></tr>'


def _reasons(reasons: Reasons) -> Iterator[str]:
    for reason in islice(reasons, SHOWN):
        more = reason.count - len(reason.examples)
        names = " ".join(map(_code, reason.examples))
        names += f' <span class="soft">and {more:,} more</span>' if more else ""
        text = escape(printable(reason.text))
        yield f'<tr><td class="number">{reason.count:,}</td><td>{text}</td><td>{names}</td></tr>'
    if len(reasons) > SHOWN:
        yield f'<tr><td></td><td colspan="2" class="soft">and {count(len(reasons) - SHOWN, "other reason")}</td></tr>'


def _code(name: str) -> str:
    whole = f' title="{escape(name)}"' if len(name) > LONGEST_NAME else ""
    return f"<code{whole}>{escape(shortened(name, LONGEST_NAME))}</code>"


def _remedies(findings: Findings) -> str:
    files = findings.files
    wanted = [(KINDS[kind][0], REMEDIES[kind]) for kind, _ in files.by_kind()]
    if findings.groups.leaks:
        wanted.append(("Near duplicates on two sides", REMEDIES["leaks"]))
    if files.repairs:
        wanted.append(("Repaired", REMEDIES["repairs"]))
    if files.remarks:
        wanted.append(("Remarks", REMEDIES["remarks"]))
    if not wanted:
        return ""
    return f'<h2>What to do</h2><div class="card">{_list(wanted)}</div>'


def _list(pairs: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(text)}</dd>' for term, text in pairs)}</dl>"


def _picture(picture: Picture) -> str:
    wide = " wide scroll" if picture.wide else ""
    caption = f'<p class="caption">{escape(picture.caption)}</p>'
    return f'<div class="card{wide}"><h3>{picture.title}</h3>{picture.svg}{caption}</div>\n'


def _splits(findings: Findings) -> str:
    music, groups = findings.music, findings.groups
    rows = "".join(
        f'<tr><td>{share.split}</td><td class="number">{share.pieces:,}</td>'
        f'<td class="number">{percent(share.pieces, music.pieces)}</td><td class="number">{share.notes:,}</td>'
        f'<td class="number">{hours(share.seconds)}</td></tr>'
        for share in music.splits
    )
    largest = "".join(
        f"<li>{count(group.size, 'piece')}: {' '.join(_code(name) for name, _ in group.names)}</li>"
        for group in groups.largest
    )
    sizes = f"<h3>Groups of near duplicates by size</h3>{group_sizes(groups)}" if largest else ""
    told = f"<p>The largest:</p><ul>{largest}</ul>" if largest else ""
    warning = f'<div class="card warning"><b>Warning.</b> {escape(about_leaks(groups))}.</div>' if groups.leaks else ""
    return (
        '<h2>Training, validation and test</h2><div class="grid"><div class="card scroll"><table><tr><th>split</th>'
        '<th class="number">pieces</th><th class="number">share</th><th class="number">notes</th>'
        f'<th class="number">music</th></tr>{rows}</table>{sizes}</div>'
        f'<div class="card"><h3>Near duplicates</h3><p>{escape(about_groups(findings)).rstrip(".")}.</p>{told}</div>'
        f"</div>{warning}"
    )


def _tokenizers(survey: Survey) -> str:
    rows = "".join(_tokenizer(list(group)) for _, group in groupby(survey.rows, lambda row: row.tokenizer))
    return (
        f'<h2>How it would be written as tokens</h2><div class="card scroll"><p>{escape(about_tokenizer(survey))}.</p>'
        "<table class=tokenizers><tr><th>tokenizer</th><th>steps</th><th>pieces it can say</th><th>notes kept</th>"
        '<th class="number">notes move by</th><th class="number">tokens a note</th><th>leaves out</th></tr>'
        f'{rows}</table><p class="caption">Counted on {count(survey.notes, "note")} of '
        f"{count(survey.pieces, 'piece')}. A note is kept where its pitch and its beginning, to the nearest step, are. "
        "95 notes in 100 move by the time that is given or less; below 5 ms nobody hears it, and from 20 ms on it "
        "blurs a rhythm.</p></div>"
    )


def _tokenizer(rows: Sequence[Row]) -> str:
    span = f' rowspan="{len(rows)}"'
    lines = []
    for i, row in enumerate(rows):
        said = row.pieces > 0
        moved = f"{row.moved:.{int(row.moved < 9.95)}f} ms" if said else "-"
        tokens = f"{row.tokens_per_note:.1f}" if said else "-"
        style = ' class="chosen"' if row.chosen else ""
        badge = '<span class="badge">auto</span>' if row.chosen else ""
        lines.append(
            f"<tr>{'' if i else f'<th{span}>{row.tokenizer}</th>'}<td{style}>{resolution(row)}{badge}</td>"
            f"<td{style}>{_meter(row.pieces)}</td><td{style}>{_meter(row.notes)}</td>"
            f'<td class="number{" chosen" * row.chosen}">{moved}</td>'
            f'<td class="number{" chosen" * row.chosen}">{tokens}</td>'
            f"{'' if i else f'<td{span}>{LEFT_OUT[row.tokenizer]}</td>'}</tr>"
        )
    return "".join(lines)


def _meter(share: float) -> str:
    bar = f'<span class="meter"><i style="width:{100 * share:.1f}%"></i></span>'
    return f'<span class="share">{percent(share)}</span>{bar}'


def _foot(findings: Findings) -> str:
    settings = ((key, json.dumps(value, sort_keys=True)) for key, value in sorted(findings.settings.items()))
    return f"<footer>Prepared with{_list(settings)}</footer>"
