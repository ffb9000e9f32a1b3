"""A piece as a piano roll in SVG, which a page can play along, with what it has from elsewhere lit up."""

from __future__ import annotations

import json
from html import escape

import numpy as np

from musiclstm.rendering.voices import voices_of
from musiclstm.score import DRUMS, Score

HEIGHT = 220  # of the roll, in units that its notes are drawn in
WIDTH = 1100
MARGIN = 2  # pitches above the highest and below the lowest


def roll(name: str, score: Score, copied: tuple[int, int] | None = None) -> str:
    """The picture of a score, with a button that plays it. copied: the ticks between which it is a copy."""
    notes = score.notes
    starts, ends = score.seconds(notes["start"]), score.seconds(notes["end"])
    length = float(ends.max()) if len(notes) else 1.0
    low, high = (int(notes["pitch"].min()) - MARGIN, int(notes["pitch"].max()) + MARGIN) if len(notes) else (60, 61)
    unit = HEIGHT / (high - low + 1)
    voices, voice = voices_of(notes)
    parts = [_bars(score, length)]
    if copied is not None:
        left, right = (float(score.seconds(tick)) / length * WIDTH for tick in copied)
        parts.append(f'<rect class="copied" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{HEIGHT}"/>')
    for number, colour in enumerate(v.colour for v in voices):
        rectangles = "".join(
            f'<rect x="{starts[i] / length * WIDTH:.1f}" y="{(high - int(notes["pitch"][i])) * unit:.1f}" '
            f'width="{max((ends[i] - starts[i]) / length * WIDTH - 0.6, 1):.1f}" height="{unit * 0.85:.1f}"/>'
            for i in np.flatnonzero(voice == number).tolist()
        )
        parts.append(f'<g fill="{colour}">{rectangles}</g>')
    parts.append(f'<path class="playhead" d="M0 0V{HEIGHT}"/>')
    played = [
        [
            round(float(start), 3),
            round(float(end), 3),
            int(note["pitch"]),
            int(note["velocity"]),
            note["program"] == DRUMS,
        ]
        for note, start, end in zip(notes, starts, ends, strict=True)
    ]
    data = json.dumps([[*note[:4], int(note[4])] for note in played], separators=(",", ":"))
    picture = (
        f'<svg role="img" aria-label="{escape(name)}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f"{''.join(parts)}</svg>"
    )
    return (
        f'<div class="player" data-length="{length:.3f}" data-notes="{escape(data)}">'
        f'<button type="button" aria-label="Play {escape(name)}">Play</button>{picture}</div>'
    )


def _bars(score: Score, length: float) -> str:
    lines = score.seconds(score.bar_starts()) / length * WIDTH
    return f'<path class="grid-line" d="{"".join(f"M{x:.1f} 0V{HEIGHT}" for x in lines.tolist())}"/>'
