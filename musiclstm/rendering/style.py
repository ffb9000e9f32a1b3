"""What all pictures share: colours, type, and how a figure becomes a PNG file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiclstm.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
INK = "#1F2733"
SOFT = "#6B7684"
FAINT = "#A9B1BC"
LINE = "#D3D8DF"
HAIRLINE = "#E9ECF0"
PROMPT = "#FCEBC2"
PROMPT_INK = "#B07A10"
# Ordered so that the first few, which most music needs, are far apart in hue and of one lightness.
PALETTE = (
    "#2F6FDE", "#E8692D", "#159F78", "#A04AD0", "#DB3B72", "#0E9CB8",
    "#B8860B", "#5C6BC0", "#6FA32B", "#B3492F", "#7B5EA7", "#3E8E9E",
)  # fmt: skip
DRUM_COLOUR = "#3A4453"

# DejaVu Sans comes with matplotlib; the others are asked only for letters that it lacks (names in Chinese or Japanese).
_FAMILIES = ("DejaVu Sans", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "WenQuanYi Zen Hei")


@lru_cache(maxsize=1)
def fonts() -> tuple[str, ...]:
    """The installed font families that text is set in, by preference."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return tuple(name for name in _FAMILIES if name in installed)


def printable(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, with '?' for every letter that no font here has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    text = " ".join(text.split())
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    known = [get_font(findfont(FontProperties(family=name))).get_charmap() for name in fonts()]
    return "".join(c if any(ord(c) in letters for letters in known) else "?" for c in text)


def new_figure(width: float, height: float) -> Figure:
    """An empty white Figure of `width` x `height` inches that pyplot knows nothing of, so threads may draw at once."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Set `text` at inches (x, y) from the figure's top left corner, never read as a formula."""
    width, height = figure.get_size_inches()
    options: dict[str, Any] = {"color": INK, "fontsize": 9, "family": fonts(), "parse_math": False}
    figure.text(x / width, 1 - y / height, text, **(options | style))


def note(
    axes: Axes, text: str, where: tuple[float, float], shift: tuple[float, float], *, data: bool = False, **style: Any
) -> None:
    """Set a small `text`, legible over lines, at `where` and moved by `shift` points.

    `where` is a place on `axes`, of which (0, 0) to (1, 1) is the whole; or with `data` what its scales say.
    """
    from matplotlib.patheffects import withStroke

    options: dict[str, Any] = {"color": SOFT, "fontsize": 7, "family": fonts(), "parse_math": False}
    if data:
        options |= {"color": INK, "path_effects": [withStroke(linewidth=3, foreground="white")]}
    axes.annotate(text, where, shift, "data" if data else "axes fraction", "offset points", **(options | style))


def add_panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of `width` x `height` inches whose top left corner is at inches (left, top), framed by hairlines."""
    across, down = figure.get_size_inches()
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5, width=0.6, color=FAINT, labelsize=6.5, labelcolor=SOFT, pad=2, labelfontfamily=fonts())
    for spine in axes.spines.values():
        spine.set(color=LINE, linewidth=0.8)
    return axes


def save_png(figure: Figure, path: str | Path, dpi: int) -> Path:
    """Write `figure` to `path`, which appears only when it is whole, and return the path."""
    with whole_file(path) as beside:
        figure.savefig(beside, format="png", dpi=dpi, facecolor="white")
    return Path(path)
