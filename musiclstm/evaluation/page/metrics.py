"""The metrics of the music on the page: how they lie in what the model writes, and in pieces that people wrote."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from musiclstm.evaluation.comparison import HELD_OUT, Comparison, Figures, number
from musiclstm.evaluation.distributions import densities
from musiclstm.evaluation.metrics import METRICS

WIDTH, HEIGHT = 260, 84  # of a chart without its labels
LABELS = 18
COLOURS = {HELD_OUT: "held-out", "samples": "samples", "training pieces": "training"}  # classes of the style sheet


def head(found: Comparison) -> list[str]:
    """The header of the table whose rows `rows` gives."""
    first, *others = next(iter(found.values())).items()
    told = [f"{name} ({len(figures.values) + figures.undefined:,})" for name, figures in (first, *others)]
    return [
        "mean ± standard deviation",
        told[0],
        *(cell for name in told[1:] for cell in (name, "overlap", "distance")),
    ]


def rows(found: Comparison) -> list[list[str]]:
    """Of each metric the mean and deviation of each set, and how far it is from the held-out pieces."""
    made = []
    for metric, sets in found.items():
        row = [METRICS[metric].label]
        for figures in sets.values():
            row.append(f"{number(figures.mean)} ± {number(figures.deviation)}")
            if figures.distance:
                row += [number(figures.distance.overlap), number(figures.distance.wasserstein)]
        made.append(row)
    return made


def charts(found: Comparison) -> str:
    """A small chart of each metric that is defined in two pieces or more, the densities of all sets over each other."""
    names = next(iter(found.values()))
    key = "".join(f'<span class="key {COLOURS[name]}">{escape(name)}</span>' for name in names)
    cards = "".join(_chart(metric, sets) for metric, sets in found.items())
    return f'<div class="card"><p class="keys">{key}</p><div class="metrics">{cards}</div></div>'


def _chart(metric: str, sets: Mapping[str, Figures]) -> str:
    label, unit, meaning = METRICS[metric]
    shown = {name: figures for name, figures in sets.items() if len(figures.values)}
    undefined = sum(figures.undefined for figures in sets.values())
    said = meaning[:1].upper() + meaning[1:] + "." + (f" Undefined in {undefined:,} pieces." if undefined else "")
    picture = _curves(label, shown) if shown else ""
    title = f"<h3>{escape(label)} <span class=soft>{escape(unit)}</span></h3>"
    return f"<div>{title}{picture}<p class=caption>{escape(said)}</p></div>"


def _curves(name: str, sets: Mapping[str, Figures]) -> str:
    together = np.concatenate([figures.values for figures in sets.values()])
    low, high = float(together.min()), float(together.max())
    if low == high:
        return f"<p>{number(low)} in every piece</p>"
    at, *curves = densities(*(figures.values for figures in sets.values()))
    top = max(float(curve.max()) for curve in curves)
    inside = np.flatnonzero((at >= low) & (at <= high))[::6]
    x = (at[inside] - low) / (high - low) * WIDTH
    parts = []
    for which, curve in zip(sets, curves, strict=True):
        y = HEIGHT * (1 - curve[inside] / top)
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        if which == HELD_OUT:
            path = f"M{x[0]:.1f} {HEIGHT}L{path[1:]}L{x[-1]:.1f} {HEIGHT}Z"
        parts.append(f'<path class="curve {COLOURS[which]}" d="{path}"><title>{escape(which)}</title></path>')
    ends = "".join(
        f'<text x="{place}" y="{HEIGHT + 13}" text-anchor="{anchor}">{escape(text)}</text>'
        for place, anchor, text in ((0, "start", number(low)), (WIDTH, "end", number(high)))
    )
    axis = f'<path class="axis" d="M0 {HEIGHT}H{WIDTH}"/>'
    view = f'viewBox="0 0 {WIDTH} {HEIGHT + LABELS}"'
    return f'<svg role="img" aria-label="{escape(name)}" {view}>{"".join(parts)}{axis}{ends}</svg>'
