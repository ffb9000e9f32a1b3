from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from musiclstm.rendering.curves import loss_curve, loss_curve_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS: list[dict[str, Any]] = [
    *({"step": s, "train/loss": str(1 + 2 / (1 + s / 50)), "lr": 1e-3 * s / 500} for s in range(0, 500, 5)),
    {"step": 200, "val/loss": 1.9, "val/nats_per_note": 0.8, "train/loss": ""},
    {"step": 300, "val/loss": 1.5, "val/nats_per_note": 0.61, "train/loss": None},
    {"step": 400, "val/loss": 1.6, "val/nats_per_note": 0.65, "train/loss": float("nan")},
]


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    warnings.simplefilter("error")


def line(axes: Axes, label: str) -> np.ndarray:
    (found,) = (line for line in axes.lines if line.get_label() == label)
    return np.column_stack(found.get_data())


def test_losses_are_drawn_where_they_were_logged() -> None:
    loss, _ = loss_curve_figure(ROWS).axes
    assert line(loss, "validation").tolist() == [[200, 1.9], [300, 1.5], [400, 1.6]]
    train = line(loss, "training")
    assert train[:, 0].tolist() == list(range(0, 500, 5))
    assert (np.diff(train[:, 1]) < 0).all()


def test_the_best_is_marked_and_written() -> None:
    figure = loss_curve_figure(ROWS, title="A run")
    loss, _ = figure.axes
    assert line(loss, "best").tolist() == [[300, 1.5]]
    assert "1.500" in [text.get_text() for text in loss.texts]
    said = [text.get_text() for text in figure.texts]
    assert said == ["A run", "495 steps   ·   best validation loss 1.5000 at step 300   ·   0.610 nats per note"]


def test_the_learning_rate_has_a_panel_where_there_is_one() -> None:
    _, rate = loss_curve_figure(ROWS).axes
    assert [label.get_text() for label in rate.get_yticklabels()] == ["0", "0.00099"]
    assert len(loss_curve_figure([{"step": 1, "train/loss": 2.0}]).axes) == 1


def test_what_matters_is_in_view() -> None:
    loss, rate = loss_curve_figure(ROWS).axes
    low, high = loss.get_ylim()
    assert low < 1.15
    assert high > 1.9
    assert loss.get_xlim() == rate.get_xlim()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"step": 3}],
        [{"step": 3, "train/loss": 1.5}],
        [{"step": 3, "val/loss": 1.5}],
        [{"step": 0, "train/loss": 0.0, "val/loss": 0.0, "lr": 0.0}],
        [{"step": s, "train/loss": 2.0} for s in range(3)],
        [{"train/loss": 1.0}, {"step": "", "val/loss": 1.0}],
        [{"step": 1, "train/loss": float("inf")}, {"step": 2, "train/loss": float("nan")}],
    ],
)
def test_little_to_draw_is_drawn(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = loss_curve(rows, tmp_path / "runs" / "loss.png", dpi=30)
    assert path.read_bytes().startswith(b"\x89PNG")
