"""The course of a training run as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.rendering import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAINING, _VALIDATION = style.PALETTE[0], style.PALETTE[1]
# inches
_WIDTH, _LOSS_HEIGHT, _RATE_HEIGHT = 9.0, 3.8, 0.75
_LEFT, _MARGIN, _HEAD, _GAP, _FOOT = 0.75, 0.4, 1.12, 0.35, 0.5

Row = Mapping[str, Any]


def loss_curve(rows: Iterable[Row], path: str | Path, *, title: str = "Training", dpi: int = style.DPI) -> Path:
    """Draw the metrics `rows` to the PNG file `path`, written whole or not at all, and return the path.

    `loss_curve_figure` says what is drawn and what a row holds.
    """
    return style.save_png(loss_curve_figure(rows, title=title), path, dpi)


def loss_curve_figure(rows: Iterable[Row], *, title: str = "Training") -> Figure:
    """Training and validation loss over steps, with the best validation marked, as a matplotlib Figure.

    A row maps `step` and any of `train/loss`, `val/loss`, `val/nats_per_note` and `lr` to numbers or their text, as
    a CSV log holds them; what is absent, empty or not finite is left out. The learning rate gets a panel of its own
    where there is one.
    """
    rows = list(rows)
    rate = _column(rows, "lr")
    height = _HEAD + _LOSS_HEIGHT + _FOOT + ((_GAP + _RATE_HEIGHT) if len(rate[0]) else 0.0)
    figure = style.new_figure(_LEFT + _WIDTH + _MARGIN, height)
    loss = style.add_panel(figure, _LEFT, _HEAD, _WIDTH, _LOSS_HEIGHT)
    panels = [loss]
    style.write(figure, _MARGIN, _MARGIN + 0.1, style.printable(title, 70), fontsize=15, fontweight="bold")
    style.write(figure, _MARGIN, _MARGIN + 0.36, _draw_loss(loss, rows), color=style.SOFT)
    if len(rate[0]):
        panels.append(style.add_panel(figure, _LEFT, _HEAD + _LOSS_HEIGHT + _GAP, _WIDTH, _RATE_HEIGHT))
        panels[1].plot(*rate, color=style.SOFT, linewidth=1.2, marker="." if len(rate[0]) == 1 else "", zorder=3)
        top = float(rate[1].max()) or 1.0
        panels[1].set(ylim=(0, 1.15 * top), yticks=[0, top], yticklabels=["0", f"{top:.2g}"])
        style.note(panels[1], "learning rate", (1, 1), (-4, -4), ha="right", va="top")
    _share_steps(panels, rows)
    return figure


def _column(rows: list[Row], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of `key`, by step, from the rows that have both."""
    pairs = np.array([(_number(row.get("step")), _number(row.get(key))) for row in rows]).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return pairs[:, 0], pairs[:, 1]


def _number(value: Any) -> float:
    return float("nan") if value is None or value == "" else float(value)


def _draw_loss(axes: Axes, rows: list[Row]) -> str:
    """Draw both losses; return the line that says the best."""
    steps, train = _column(rows, "train/loss")
    val_steps, val = _column(rows, "val/loss")
    facts = ["no loss was logged"] if len(train) + len(val) == 0 else [f"{int(max([*steps, *val_steps])):,} steps"]
    axes.grid(axis="y", color=style.HAIRLINE, linewidth=0.7)
    style.note(axes, "loss, nats per token", (0, 1), (0, 4))

    smooth = _smooth(train, len(train) // 30)
    if len(train):
        dots = "." if len(train) < 30 else ""
        axes.plot(steps, train, color=_TRAINING, linewidth=0.8, alpha=0.28, marker=dots, zorder=2)
        axes.plot(steps, smooth, color=_TRAINING, linewidth=1.8, label="training", zorder=3)
    if len(val):
        best = int(val.argmin())
        facts.append(f"best validation loss {val[best]:.4f} at step {int(val_steps[best]):,}")
        axes.plot(
            val_steps, val, color=_VALIDATION, linewidth=1.4, marker="o", markersize=3.5, markeredgewidth=0,
            label="validation", zorder=4,
        )  # fmt: skip
        axes.plot(
            val_steps[best], val[best], linestyle="", marker="o", markersize=9, markerfacecolor="none",
            markeredgecolor=style.INK, markeredgewidth=1.3, label="best", zorder=5,
        )  # fmt: skip
        style.note(axes, f"{val[best]:.3f}", (val_steps[best], val[best]), (0, 9), data=True, ha="center", fontsize=9.5)
        per_note = dict(zip(*_column(rows, "val/nats_per_note"), strict=True)).get(val_steps[best])
        if per_note is not None:
            facts.append(f"{per_note:.3f} nats per note")
    if len(train) + len(val):
        # The first steps fall from a height that would press the rest flat: they may leave the picture at the top.
        low = min([*smooth, *val])
        high = max([*(np.quantile(train, [0.98]) if len(train) else []), *val])
        room = (high - low) or max(abs(high), 1.0) * 0.1
        axes.set_ylim(low - 0.14 * room, high + 0.08 * room)
        axes.legend(
            loc="upper right", frameon=False, labelcolor=style.INK, handlelength=1.4,
            prop={"family": list(style.fonts()), "size": 8.5},
        )  # fmt: skip
    else:
        axes.set_yticks([])
    return "   ·   ".join(facts)


def _smooth(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean of each value and the `radius` on either side, and fewer near the ends.

    At the steep beginning the sides stay equal, or the mean would lag; at the end what came before steadies it.
    """
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    before = np.minimum(index, radius)
    after = np.minimum(before, index[::-1])
    return np.asarray((total[index + after + 1] - total[index - before]) / (before + after + 1))


def _share_steps(panels: list[Axes], rows: list[Row]) -> None:
    """One axis of steps for all `panels`, named below the last."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    steps = [_number(row.get("step")) for row in rows]
    known = [step for step in steps if np.isfinite(step)] or [0.0]
    room = 0.02 * (max(known) - min(known)) or 1.0
    for axes in panels:
        axes.set_xlim(min(known) - room, max(known) + room)
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.tick_params(axis="x", labelbottom=axes is panels[-1], length=2.5 if axes is panels[-1] else 0)
    style.note(panels[-1], "step", (1, 0), (0, -18), ha="right", va="top")
