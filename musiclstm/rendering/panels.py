"""One panel of a piano roll: the keyboard or the kit behind, the notes before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.general_midi import DRUM_KINDS, drum_kind, drum_name
from musiclstm.rendering import style
from musiclstm.rendering.timeline import Timeline
from musiclstm.score import DRUMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STROKE = 0.05  # inches
_BLACK_KEYS = (1, 3, 6, 8, 10)
_ANGLES = np.linspace(0, np.pi / 2, 4)
_ROUND = np.concatenate([_ANGLES + quarter * np.pi / 2 for quarter in range(4)])  # a rounded box, counterclockwise
_BOX = np.array([[1, -1, -1, 1], [1, 1, -1, -1]]).repeat(len(_ANGLES), axis=1)  # the corner that each angle rounds


@dataclass(frozen=True)
class Keyboard:
    """One row a semitone, from `low` up to `high` (exclusive), and `headroom` empty ones above."""

    low: int
    high: int
    headroom: int

    @classmethod
    def of(cls, notes: np.ndarray, headroom: int) -> Keyboard:
        """The keys that `notes` need, with two to spare and never fewer than 20, so that some C is labelled."""
        low, high = (int(notes["pitch"].min()) - 2, int(notes["pitch"].max()) + 3) if len(notes) else (50, 70)
        spare = max(0, 20 - (high - low))
        low = int(np.clip(low - spare // 2, 0, 108))
        return cls(low, min(max(high + spare - spare // 2, low + 20), 128), headroom)

    @property
    def rows(self) -> int:
        return self.high - self.low + self.headroom

    def y(self, notes: np.ndarray) -> np.ndarray:
        """The middle of the row that each note stands in."""
        return notes["pitch"].astype(np.float64) - self.low

    def draw(self, axes: Axes) -> None:
        """Black keys shaded, a line and a name at every C."""
        left, right = axes.get_xlim()
        keys = np.arange(self.low, self.low + self.rows)
        black = np.flatnonzero(np.isin(keys % 12, _BLACK_KEYS))
        octaves = np.flatnonzero(keys % 12 == 0)
        bands = np.array([(left, -0.5), (right, -0.5), (right, 0.5), (left, 0.5)]) + black[:, None, None] * [0, 1]
        _add_polygons(axes, bands, (style.INK, 0.045), 0.4, "black keys")
        axes.hlines(octaves - 0.5, left, right, colors=style.LINE, linewidth=0.8, zorder=1)
        axes.set_yticks(octaves, [f"C{keys[i] // 12 - 1}" for i in octaves])


@dataclass(frozen=True)
class Kit:
    """One row a drum that sounds, kick drums at the bottom and cymbals on top, and `headroom` empty ones above."""

    pitches: tuple[int, ...]
    headroom: int

    @classmethod
    def of(cls, notes: np.ndarray, headroom: int) -> Kit:
        kinds = [*DRUM_KINDS, "Percussion"]
        pitches = (int(pitch) for pitch in np.unique(notes["pitch"]))
        return cls(tuple(sorted(pitches, key=lambda pitch: (kinds.index(drum_kind(pitch)), pitch))), headroom)

    @property
    def rows(self) -> int:
        return len(self.pitches) + self.headroom

    @property
    def label_width(self) -> float:
        """Inches that the names of the drums take."""
        return 0.1 + 0.062 * max((len(drum_name(pitch)) for pitch in self.pitches), default=0)

    def y(self, notes: np.ndarray) -> np.ndarray:
        """The middle of the row that each note stands in."""
        row = np.zeros(256)
        row[list(self.pitches)] = np.arange(len(self.pitches))
        return np.asarray(row[notes["pitch"]])

    def draw(self, axes: Axes) -> None:
        """A line and a name for every drum."""
        axes.hlines(np.arange(self.rows) - 0.5, *axes.get_xlim(), colors=style.HAIRLINE, linewidth=0.7, zorder=1)
        axes.set_yticks(range(len(self.pitches)), [drum_name(pitch) for pitch in self.pitches])


def draw_notes(
    axes: Axes,
    rows: Keyboard | Kit,
    notes: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    rgb: np.ndarray,
    inch: tuple[float, float],
) -> None:
    """Draw `notes` as rounded boxes from x `start` to x `end` (N,) in the colours `rgb` (N, 3).

    Velocity shows as opacity. `inch` is what an inch on paper is in x and in y, so that corners are round.
    """
    length = (end - start) / inch[0]
    # The length of a drum's note means nothing: strokes are of one width, narrow enough that rolls stay legible.
    # Other notes end a little early, so that repeated ones stand apart, and the shortest can still be seen.
    drums = notes["program"] == DRUMS
    width = np.where(drums, _STROKE, np.maximum(length - np.minimum(0.012, 0.25 * length), 0.014))
    height = np.where(drums, 0.74, 0.9) / inch[1]
    radius = np.minimum(0.42 * height, 0.5 * width)
    x = (start / inch[0] + width / 2)[:, None] + _BOX[0] * (width / 2 - radius)[:, None]
    y = (rows.y(notes) / inch[1])[:, None] + _BOX[1] * (height / 2 - radius)[:, None]
    x, y = x + radius[:, None] * np.cos(_ROUND), y + radius[:, None] * np.sin(_ROUND)
    alpha = 0.3 + 0.7 * np.clip(notes["velocity"] / 100, 0, 1)
    boxes = np.stack([x * inch[0], y * inch[1]], axis=-1)
    # What is short lies on what is long, or it would vanish where two voices share a pitch.
    order = np.argsort(start - end, kind="stable")
    _add_polygons(axes, boxes[order], np.column_stack([rgb, alpha])[order], 3, "notes")


def draw_lines(axes: Axes, timeline: Timeline, labelled: np.ndarray, width: float) -> None:
    """Bar lines and the beats between, where `width` inches keep them apart; without bars, the `labelled` times."""
    left, right = axes.get_xlim()
    beats = timeline.beats if timeline.metric else labelled
    down = axes.get_xaxis_transform()  # y from 0, the foot of the panel, to 1, its top
    for lines, most, colour, weight in ((timeline.bars, 12, style.LINE, 0.8), (beats, 8, style.HAIRLINE, 0.6)):
        lines = lines[(lines > left) & (lines < right)]
        if len(lines) <= most * width:
            axes.vlines(lines, 0, 1, colors=colour, linewidth=weight, zorder=0.5 + weight / 2, transform=down)


def draw_prompt(axes: Axes, begin: float, end: float) -> None:
    """Shade the panel from x `begin` to `end`; a line stands where it begins or ends in the panel."""
    left, right = axes.get_xlim()
    span = max(begin, left), min(end, right)
    axes.axvspan(*span, facecolor=style.PROMPT, alpha=0.75, linewidth=0, zorder=0.2, gid="prompt")
    for edge in ([begin] if begin > left else []) + ([end] if end <= right and begin <= left else []):
        axes.axvline(edge, color=style.PROMPT_INK, linewidth=1.1, zorder=2)


def _add_polygons(axes: Axes, corners: Any, colours: Any, order: float, name: str) -> None:
    # matplotlib's types ask for a sequence of polygons; one array of them is what it draws fastest.
    from matplotlib.collections import PolyCollection

    polygons = PolyCollection(corners, facecolors=colours, linewidths=0, zorder=order, gid=name)
    axes.add_collection(polygons, autolim=False)
