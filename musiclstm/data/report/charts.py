"""Charts as SVG that stands in a page: sharp at any size, coloured by the page's style sheet, values on hovering."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 520, 230  # of a chart, in units that are pixels on a wide screen
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 26, 38  # margins
ROW = 24  # of horizontal bars
BLACK = (1, 3, 6, 8, 10)  # pitch classes
WHITES_BELOW = (0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6)  # white keys of the octave below each pitch class


class Bar(NamedTuple):
    """A bar from `left` to `right` on an axis that runs from 0 to 1, what it counts, and what hovering tells."""

    left: float
    right: float
    value: float
    title: str
    kind: str = ""  # a class of the style sheet: "" or "second"


class Tick(NamedTuple):
    """A mark on an axis that runs from 0 to 1."""

    at: float
    label: str


def column_chart(
    name: str,
    bars: Sequence[Bar],
    ticks: Iterable[Tick],
    *,
    x_label: str,
    y_label: str,
    lower: Iterable[Tick] = (),
    mark: Tick | None = None,
) -> str:
    """Upright bars. `lower` is a second row of labels, and `mark` a line at a value of note."""
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    top, steps = _scale(max((bar.value for bar in bars), default=0))

    def x(at: float) -> float:
        return LEFT + at * across

    def y(value: float) -> float:
        return TOP + (1 - value / top) * down

    parts = []
    for step in steps:
        parts.append(f'<path class="grid-line" d="M{LEFT} {_n(y(step))}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, y(step) + 4, f"{step:,g}", "end"))
    parts += [_text(LEFT - 46, TOP - 14, y_label, "start"), _text(WIDTH - RIGHT, HEIGHT - 4, x_label, "end")]
    for row, labels in enumerate((ticks, lower)):
        parts += [
            _text(x(tick.at), TOP + down + 16 + 14 * row, tick.label, "middle", kind=row * "second") for tick in labels
        ]
    for bar in bars:
        gap = min(1.0, 0.1 * (x(bar.right) - x(bar.left)))
        left, width = x(bar.left) + gap / 2, x(bar.right) - x(bar.left) - gap
        height = max(TOP + down - y(bar.value), 1.5 if bar.value else 0)
        mark_of_value = _rect(left, TOP + down - height, width, height, f"mark {bar.kind}")
        parts.append(_hover(bar.title, _rect(left, TOP, width, down, "hit") + mark_of_value))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP + down}H{WIDTH - RIGHT}"/>')
    if mark is not None:
        at = x(mark.at)
        side = "start" if mark.at < 0.6 else "end"
        parts.append(f'<path class="note" d="M{_n(at)} {TOP - 6}V{TOP + down}"/>')
        parts.append(_text(at + (5 if side == "start" else -5), TOP - 4, mark.label, side, kind="strong"))
    return _svg(name, WIDTH, HEIGHT, parts)


class Row(NamedTuple):
    """A horizontal bar: what it is called, what it counts, what stands behind it, what hovering tells."""

    label: str
    value: float
    said: str
    title: str


def row_chart(name: str, rows: Sequence[Row]) -> str:
    """Bars one below the other, from the label on the left to the value behind."""
    left = min(170, 16 + 7 * max((len(row.label) for row in rows), default=0))
    right = 64
    across = WIDTH - left - right
    most = max((row.value for row in rows), default=0) or 1
    parts = []
    for i, row in enumerate(rows):
        y = i * ROW
        width = max(row.value / most * across, 1.5)
        marks = [
            _rect(0, y, WIDTH, ROW, "hit"),
            _text(left - 8, y + 16, row.label, "end", kind="ink"),
            _rect(left, y + 4, width, ROW - 8, "mark"),
            _text(left + width + 6, y + 16, row.said, "start"),
        ]
        parts.append(_hover(row.title, "".join(marks)))
    return _svg(name, WIDTH, len(rows) * ROW, parts)


def keyboard_chart(name: str, counts: np.ndarray, titles: Sequence[str]) -> str:
    """(128,) counts of pitches as bars above the keys of a piano that strike them."""
    used = np.append(np.flatnonzero(counts), [48, 71])  # never less than two octaves
    low, high = int(used.min()) // 12 * 12, min(127, int(used.max()) // 12 * 12 + 11)
    width, down = 1080, 170
    first, last = _white(low), _white(high) + 1
    unit, floor = (width - LEFT - 1) / (last - first), TOP + down
    keys = round(min(70, max(40, 2.6 * unit)))
    top, steps = _scale(int(counts.max()))
    parts = [_text(LEFT - 46, TOP - 14, "notes", "start")]
    for step in steps[1:]:
        y = floor - step / top * down
        parts += [f'<path class="grid-line" d="M{LEFT} {_n(y)}H{width}"/>', _text(LEFT - 6, y + 4, f"{step:,g}", "end")]
    gaps = "".join(f"M{_n(LEFT + i * unit)} {floor}v{keys}" for i in range(1, last - first))
    parts += [_rect(LEFT, floor, width - LEFT - 1, keys, "ivory"), f'<path class="gap" d="{gaps}"/>']
    for pitch in sorted(range(low, high + 1), key=lambda pitch: pitch % 12 in BLACK):  # the black keys on top
        black = pitch % 12 in BLACK
        at = LEFT + (_white(pitch) - first + (0 if black else 0.5)) * unit
        key = _rect(at - 0.28 * unit, floor, 0.56 * unit, 0.63 * keys, "ebony")
        shapes = [_rect(at - 0.25 * unit, TOP, 0.5 * unit, down, "hit")]
        shapes.append(key if black else _rect(at - 0.5 * unit, floor, unit, keys, "hit"))
        if counts[pitch]:
            height = max(counts[pitch] / top * down, 1)
            shapes.append(_rect(at - 0.21 * unit, floor - height, 0.42 * unit, height, f"mark {'deep' * black}"))
        parts.append(_hover(titles[pitch], "".join(shapes)))
        if pitch % 12 == 0:
            parts.append(_text(at, floor + keys + 15, f"C{pitch // 12 - 1}", "middle"))
    return _svg(name, width, floor + keys + 20, parts)


def stacked_bar(name: str, parts: Sequence[tuple[str, float, str]]) -> str:
    """One bar of (class, value, what hovering tells) side by side; what is not nothing can be seen."""
    total = sum(value for _, value, _ in parts) or 1
    widths = [max(1000 * value / total, 4.0) if value else 0.0 for _, value, _ in parts]
    scale = 1000 / (sum(widths) or 1)
    drawn, at = [], 0.0
    for (kind, _, title), width in zip(parts, widths, strict=True):
        if width:
            drawn.append(_hover(title, _rect(at, 0, width * scale - 1.5, 18, kind)))
        at += width * scale
    return _svg(name, 1000, 18, drawn, stretch=True)


def _white(pitch: int) -> int:
    """How many white keys are below a pitch."""
    return pitch // 12 * 7 + WHITES_BELOW[pitch % 12]


def _scale(most: float) -> tuple[float, list[float]]:
    """The top of an axis that holds 0 to `most`, and the few whole values to mark on it."""
    power = 10 ** int(np.log10(max(most, 1)))
    steps = [power * part // 100 for part in (20, 25, 50, 100) if power * part % 100 == 0]
    step = next((step for step in steps if most <= 5 * step), 2 * power)
    return max(most, step), [float(value) for value in range(0, int(most) + 1, step)]


def _svg(name: str, width: float, height: float, parts: Iterable[str], stretch: bool = False) -> str:
    free = ' preserveAspectRatio="none"' if stretch else ""
    label = escape(name)
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}"{free}>{"".join(parts)}</svg>'


def _hover(title: str, content: str) -> str:
    return f"<g><title>{escape(title)}</title>{content}</g>"


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind.strip()}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
