"""The page as text: one file, nothing loaded, light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import musiclstm.data.report as report
from musiclstm.evaluation.comparison import Comparison
from musiclstm.evaluation.likelihood import Likelihood
from musiclstm.evaluation.originality import WINDOWS, Originality, percent, shares
from musiclstm.evaluation.page import metrics
from musiclstm.evaluation.page.roll import roll
from musiclstm.score import Score


@dataclass(frozen=True)
class Sample:
    """A piece to look at and to play, and what it was found to have from others."""

    name: str
    score: Score
    found: Originality | None


def page(
    title: str,
    facts: Mapping[str, str],
    likelihood: Likelihood,
    copies: Mapping[str, Sequence[Originality]],
    compared: Comparison,
    samples: Sequence[Sample],
) -> str:
    """facts: what is said of the model and the music, by name."""
    sections = [
        f'<header><div class="eyebrow">Evaluation</div><h1>{escape(title)}</h1></header>',
        _facts(facts),
        _tiles(likelihood, copies),
        f"<h2>Likelihood</h2>{_means(likelihood)}",
        _positions(likelihood),
        _types(likelihood),
    ]
    if copies:
        sections.append(f"<h2>Originality</h2>{_copies(copies)}")
    if compared:
        sections.append(f"<h2>Metrics of the music</h2>{_metrics(compared)}")
    if samples:
        sections.append(f'<h2>Listen</h2><div class="samples">{"".join(map(_sample, samples))}</div>')
    here = Path(__file__)
    style = (Path(report.__file__).with_name("page.css"), here.with_name("page.css"))
    styles = "\n".join(path.read_text(encoding="utf-8") for path in style)
    script = here.with_name("player.js").read_text(encoding="utf-8") if samples else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: evaluation</title><style>\n{styles}</style></head>\n"
        f"<body><main>\n{chr(10).join(sections)}\n</main><script>\n{script}</script></body></html>\n"
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f'<div class="card"><dl>{rows}</dl></div>'


def _tiles(found: Likelihood, copies: Mapping[str, Sequence[Originality]]) -> str:
    tiles = [(f"{found.per_note.all:.3f}", "nats per note"), (f"{found.per_second.all:.2f}", "nats per second")]
    if found.per_unit is not None:
        tiles.insert(0, (f"{found.per_unit.all:.4f}", f"nats per {str(found.unit).replace('_', ' and ')}"))
    for name, pieces in copies.items():
        tiles.append((percent(shares(pieces)[1]), f"of the bars of the {name} stand in the training pieces"))
    return f'<div class="tiles">{"".join(f"<div class=card><b>{b}</b>{escape(text)}</div>" for b, text in tiles)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """The first column is text, the others are numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        first, *others = (escape(cell) for cell in row)
        return f"<{tag}>{first}</{tag}>" + "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    below = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    return f'<div class="card"><div class="scroll"><table><tr>{cells("th", head)}</tr>{body}</table></div>{below}</div>'


def _means(found: Likelihood) -> str:
    rows = [
        (name.replace("_", " and "), f"{mean.all:.4f}", f"{mean.of_pieces:.4f}", f"{mean.count:,.0f}")
        for name, mean in (*found.unit_means, *found.means)
    ]
    caption = (
        f"{found.pieces:,} whole pieces, the state carried from end to end, every token scored, natural logarithms. "
        "Notes, seconds and bars are those of the pieces, before the tokenizer rounds them."
    )
    return _table(("nats per", "all together", "mean of pieces", "how many"), rows, caption)


def _positions(found: Likelihood) -> str:
    rows = [
        (place.span, f"{place.nats_per_token:.4f}", f"{place.tokens:,}", f"{place.pieces:,}")
        for place in found.positions
    ]
    caption = "Where memory carried along helps, later music is easier to foretell."
    return _table(("place in the piece", "nats per token", "tokens", "pieces"), rows, caption)


def _types(found: Likelihood) -> str:
    rows = [
        (
            share.name,
            f"{share.type_nats_per_note:.4f}",
            f"{share.value_nats_per_note:.4f}",
            f"{share.tokens:,}",
        )
        for share in found.types
    ]
    caption = "What each type of token costs, in nats per note of the whole collection."
    return _table(("token", "that it comes", "which value", "tokens"), rows, caption)


def _copies(copies: Mapping[str, Sequence[Originality]]) -> str:
    head = ("windows that stand in the training pieces", *WINDOWS.values(), "longest copy, notes")
    rows = [
        (name, *(percent(share) for share in shares(pieces).values()), _longest(pieces))
        for name, pieces in copies.items()
    ]
    caption = (
        "In any key and tempo. Held-out pieces, which nobody copied, show what is custom and chance. A window of fewer "
        "than four notes does not count."
    )
    return _table(head, rows, caption)


def _metrics(compared: Comparison) -> str:
    caption = (
        "Overlap is the area that two distributions share, 1 where they are the same; distance is how far one has to "
        "be moved to become the other, in the metric's unit. Training pieces are by the same hands as held-out ones: "
        "what they show is what a perfect model would show."
    )
    return metrics.charts(compared) + _table(metrics.head(compared), metrics.rows(compared), caption)


def _longest(pieces: Sequence[Originality]) -> str:
    return f"{max((piece.copy.notes for piece in pieces if piece.copy), default=0):,}"


def _sample(sample: Sample) -> str:
    copy = sample.found.copy if sample.found else None
    said = ""
    if copy is not None:
        said = (
            f"<p>Lit up: its longest run from a training piece, {copy.notes} notes in {copy.bars}, as in "
            f"<code>{escape(copy.source)}</code> from bar {copy.source_bar} on.</p>"
        )
    player = roll(sample.name, sample.score, (copy.start, copy.end) if copy else None)
    return f'<div class="card"><h3>{escape(sample.name)}</h3>{player}{said}</div>'
