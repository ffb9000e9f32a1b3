"""Piano rolls: a piece as a picture, in systems that read like a page of music."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musiclstm.rendering import style
from musiclstm.rendering.panels import Keyboard, Kit, draw_lines, draw_notes, draw_prompt
from musiclstm.rendering.timeline import SYSTEM_SECONDS, Timeline, clock_text, lay_out
from musiclstm.rendering.voices import Voice, voices_of
from musiclstm.score import DRUMS, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches
_WIDTH = 12.5  # of a system that holds SYSTEM_SECONDS
_MARGIN = 0.4
_SEMITONE = (0.028, 0.07)  # at least and at most
_DRUM = 0.135
_SPLIT = 0.08  # between keyboard and kit
_GAP = 0.46  # between systems: bar numbers below, times above
_KEYBOARD = 3.3  # the height that a system's semitones share
_ALL_KEYBOARDS = 18.0  # the height that the semitones of all systems share
_LEGEND_COLUMN = 1.75


def piano_roll(
    score: Score,
    path: str | Path,
    *,
    prompt_end: int | None = None,
    prompt_again: int | None = None,
    title: str | None = None,
    dpi: int = style.DPI,
) -> Path:
    """Draw `score` to the PNG file `path`, written whole or not at all, and return the path.

    Ticks before `prompt_end` are shaded as the prompt, and those from `prompt_again` on.
    `piano_roll_figure` says what is drawn.
    """
    return style.save_png(
        piano_roll_figure(score, prompt_end=prompt_end, prompt_again=prompt_again, title=title), path, dpi
    )


def piano_roll_figure(
    score: Score, *, prompt_end: int | None = None, prompt_again: int | None = None, title: str | None = None
) -> Figure:
    """The piano roll of `score` as a matplotlib Figure that pyplot knows nothing of.

    A system is a row of some 24 seconds; there are eight at most, and a longer piece gets wider ones. Bars are
    numbered above and time runs below; music that does not follow its meter shows no bars. Colour tells the voice
    (see `voices_of`) and opacity the velocity. Drums have a panel of their own below the keyboard.
    """
    from matplotlib.colors import to_rgb

    prompt = max(prompt_end or 0, 0)
    timeline = lay_out(score, prompt)
    voices, voice = voices_of(score.notes)
    rgb = np.array([to_rgb(v.colour) for v in voices]).reshape(-1, 3)[voice]
    percussion = score.notes["program"] == DRUMS

    longest = max(right - left for left, right in timeline.systems)
    last = timeline.systems[-1][1]
    seconds = float(score.seconds(last) if timeline.metric else last) * longest / last  # of the longest, on average
    width = _WIDTH * float(np.clip(seconds / SYSTEM_SECONDS, 0.55, 2.2))
    kit = Kit.of(score.notes[percussion], headroom=1 if prompt and percussion.all() else 0)
    panels: list[tuple[Keyboard | Kit, np.ndarray, float]] = []  # what stands in its rows, whose they are, row height
    if not len(score) or not percussion.all():
        keyboard = Keyboard.of(score.notes[~percussion], headroom=4 if prompt else 0)
        share = min(_KEYBOARD, _ALL_KEYBOARDS / len(timeline.systems)) / keyboard.rows
        panels.append((keyboard, ~percussion, float(np.clip(share, *_SEMITONE))))
    if percussion.any():
        panels.append((kit, percussion, _DRUM))
    system = sum(rows.rows * row_height for rows, _, row_height in panels) + _SPLIT * (len(panels) - 1)

    columns = int(width / _LEGEND_COLUMN)
    top = _MARGIN + (0.36 if title else 0.0) + 0.22 * -(-len(voices) // columns) + 0.55
    bottom = 0.2 + _MARGIN
    left = _MARGIN + max(kit.label_width, 0.2)
    figure = style.new_figure(left + width + _MARGIN, top + len(timeline.systems) * (system + _GAP) - _GAP + bottom)
    _write_head(figure, title, _facts(score, timeline), voices, columns)

    start, end = timeline.x(score.notes["start"]), timeline.x(score.notes["end"])
    edge = float(timeline.x(prompt))
    again = np.inf if prompt_again is None else float(timeline.x(prompt_again))
    for i, (begin, finish) in enumerate(timeline.systems):
        row_width = width * (finish - begin) / longest
        times, clock = timeline.clock(begin, finish, most=int(row_width / 0.75) + 1)
        sounding = (start < finish) & ((end > begin) | (start >= begin))
        y = top + i * (system + _GAP)
        drawn: list[Axes] = []
        for rows, members, row_height in panels:
            axes = style.add_panel(figure, left, y, row_width, rows.rows * row_height)
            axes.set(xlim=(begin, finish), ylim=(-0.5, rows.rows - 0.5), xticks=[])
            rows.draw(axes)
            axes.tick_params(axis="y", length=0)
            draw_lines(axes, timeline, times, row_width)
            here = np.flatnonzero(sounding & members)
            inch = ((finish - begin) / row_width, 1 / row_height)
            draw_notes(axes, rows, score.notes[here], start[here], end[here], rgb[here], inch)
            if edge > begin:
                draw_prompt(axes, begin, edge)
            if again < finish:
                draw_prompt(axes, again, finish)
            drawn.append(axes)
            y += rows.rows * row_height + _SPLIT
        _number_bars(drawn[0], timeline, row_width)
        drawn[-1].set_xticks(times, clock)
        if i == 0 and edge > 0:
            style.note(drawn[0], "prompt", (0, 1), (3, -2.5), va="top", fontsize=7.5, color=style.PROMPT_INK)
        if not len(score):
            style.note(drawn[0], "no notes", (0.5, 0.5), (0, 0), ha="center", va="center", fontsize=11)
    return figure


def _number_bars(axes: Axes, timeline: Timeline, width: float) -> None:
    """Bar numbers above the panel, as many as `width` inches hold."""
    left, right = axes.get_xlim()
    here = (timeline.bars >= left) & (timeline.bars < right)
    step = 1
    while np.count_nonzero(here) / step > max(width / 0.4, 1):
        step *= 2
    for bar, number in zip(timeline.bars[here], timeline.numbers[here], strict=True):
        if number > 0 and (number - 1) % step == 0:
            style.note(axes, str(number), ((bar - left) / (right - left), 1), (0, 2.5), ha="center")


def _facts(score: Score, timeline: Timeline) -> str:
    """The line under the title."""
    seconds = score.duration
    facts = [f"{len(score):,} note{'s' * (len(score) != 1)}"]
    facts.append(f"{seconds:.1f} s" if seconds < 10 else clock_text(seconds))
    if timeline.metric:
        bars = int(timeline.numbers[-1])
        meters = list(dict.fromkeys(f"{m['numerator']}/{m['denominator']}" for m in score.meters))
        tempos = np.rint(60e6 / score.tempos["microseconds"]).astype(int)
        facts.append(f"{bars:,} bar{'s' * (bars != 1)}")
        facts.append(", ".join(meters) if len(meters) <= 3 else "changing meter")
        facts.append(f"{tempos[0]} bpm" if np.ptp(tempos) == 0 else f"{tempos.min()} to {tempos.max()} bpm")
    return "   ·   ".join(facts)


def _write_head(figure: Figure, title: str | None, facts: str, voices: list[Voice], columns: int) -> None:
    """Title, facts and legend, from the top left corner down."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    y = _MARGIN + 0.1
    if title:
        letters = int((width - 2 * _MARGIN) / 0.145)
        style.write(figure, _MARGIN, y + 0.06, style.printable(title, letters), fontsize=15, fontweight="bold")
        y += 0.36
    style.write(figure, _MARGIN, y, facts, color=style.SOFT)
    if voices:
        figure.legend(
            handles=[Line2D([], [], color=v.colour, marker="s", markersize=6, ls="", label=v.name) for v in voices],
            loc="upper left", bbox_to_anchor=(_MARGIN / width, 1 - (y + 0.12) / height),
            ncols=min(columns, len(voices)), frameon=False, borderpad=0, borderaxespad=0, labelspacing=0.55,
            handletextpad=0.3, handlelength=1, columnspacing=1.8, labelcolor=style.INK,
            prop={"family": list(style.fonts()), "size": 8.5},
        )  # fmt: skip
