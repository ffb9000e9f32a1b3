"""Sets of pieces compared by their metrics: what a model writes and what it learned from, each with held-out pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

from musiclstm.evaluation.distributions import Distance, distance
from musiclstm.evaluation.metrics import METRICS, measure
from musiclstm.score import Score

MOST_PIECES = 300  # of a set are measured, evenly spaced in it: enough for two digits
HELD_OUT = "held-out pieces"
Item = TypeVar("Item")


@dataclass(frozen=True)
class Figures:
    """One metric of one set of pieces.

    values: of the pieces in which it is defined: float64, (N,). undefined: how many others there are.
    distance: from the same metric of the held-out pieces; None of these themselves.
    """

    values: np.ndarray
    undefined: int
    distance: Distance | None

    @property
    def mean(self) -> float:
        """NaN without a value."""
        return float(self.values.mean()) if len(self.values) else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation of the population that the pieces are drawn from; NaN of fewer than two."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else math.nan

    def to_dict(self) -> dict[str, float | None]:
        """Fit for JSON, which has no NaN: None stands for it."""
        told = {"pieces": len(self.values), "undefined": self.undefined, "mean": self.mean, "deviation": self.deviation}
        told |= asdict(self.distance) if self.distance else {}
        return {name: None if math.isnan(value) else value for name, value in told.items()}


Comparison = dict[str, dict[str, Figures]]
"""By metric, then by set of pieces; the held-out ones come first."""


def compare(sets: Mapping[str, Sequence[Score]]) -> Comparison:
    """Every metric of every set of pieces, one of which is called `HELD_OUT`; its numbers of pieces multiply."""
    measured = {name: [measure(score) for score in scores] for name, scores in sets.items()}
    found: Comparison = {}
    for metric in METRICS:
        values = {name: np.array([piece[metric] for piece in pieces]) for name, pieces in measured.items()}
        defined = {name: each[~np.isnan(each)] for name, each in values.items()}
        found[metric] = {
            name: Figures(
                defined[name],
                len(values[name]) - len(defined[name]),
                None if name == HELD_OUT else distance(defined[name], defined[HELD_OUT]),
            )
            for name in sorted(sets, key=lambda name: name != HELD_OUT)
        }
    return found


def spaced(items: Sequence[Item], most: int = MOST_PIECES) -> list[Item]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[i] for i in places.round().astype(int).tolist()]


def table(found: Comparison) -> list[str]:
    """The comparison as lines for the screen."""
    sets = next(iter(found.values()))
    lines = [
        "Metrics of the music: mean and standard deviation, overlap with the held-out pieces and distance from them",
        f"(of these and of the training pieces at most {MOST_PIECES}, evenly spaced)",
    ]
    head = below = " " * 30
    for name, figures in sets.items():
        pieces = len(figures.values) + figures.undefined
        width = 18 if name == HELD_OUT else 37
        head += f"{f'{name} ({pieces:,})':>{width}}"
        below += f"{'mean':>9}{'dev.':>9}" + ("" if name == HELD_OUT else f"{'overlap':>9}{'distance':>10}")
    lines += [head, below]
    for metric, by_set in found.items():
        line = f"  {METRICS[metric].label:28}"
        for figures in by_set.values():
            line += f"{number(figures.mean):>9}{number(figures.deviation):>9}"
            if figures.distance:
                line += f"{number(figures.distance.overlap):>9}{number(figures.distance.wasserstein):>10}"
        lines.append(line)
    for metric, by_set in found.items():
        missing = [f"{figures.undefined:,} of the {name}" for name, figures in by_set.items() if figures.undefined]
        if missing:
            lines.append(f"  undefined: {METRICS[metric].label} in {', '.join(missing)}")
    return lines


def number(value: float) -> str:
    """A figure for people: three digits or so, a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
