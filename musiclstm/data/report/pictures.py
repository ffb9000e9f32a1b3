"""The charts of the report: what each shows of the music, and its caption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from musiclstm.data.keys import KEY_NAMES, NO_KEY
from musiclstm.data.report.charts import Bar, Row, Tick, column_chart, keyboard_chart, row_chart
from musiclstm.data.report.tally import Groups, Histogram, Music
from musiclstm.data.report.words import clock, count, hours, percent
from musiclstm.general_midi import program_name
from musiclstm.score import DRUMS

FEWEST_BINS = 8  # of an axis
MOST_ROWS = 12
FIFTHS = [(7 * i) % 12 for i in range(-5, 7)]  # the major keys from five flats to six sharps
NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
TIMES = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400)  # seconds


class Picture(NamedTuple):
    """A chart under a title, with a sentence below; `wide` ones take the page's whole width."""

    title: str
    svg: str
    caption: str
    wide: bool = False


def pictures(music: Music, pitch_counts: np.ndarray) -> list[Picture]:
    """All charts of music that this music has something to show on."""
    made = [
        _pitches(pitch_counts) if pitch_counts.any() else None,
        _notes(music),
        _durations(music),
        _tempos(music),
        _meters(music),
        _keys(music) if music.pitched else None,
        _polyphony(music) if music.pitched else None,
        _instruments(music),
        _tracks(music),
    ]
    return [picture for picture in made if picture is not None]


def _pitches(counts: np.ndarray) -> Picture:
    total = int(counts.sum())
    titles = [
        f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1} (MIDI {pitch}): {count(int(n), 'note')}, {percent(int(n), total)}"
        for pitch, n in enumerate(counts)
    ]
    used = np.flatnonzero(counts)
    lowest, highest = (f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}" for pitch in (used[0], used[-1]))
    caption = f"How often each key is struck, from {lowest} to {highest}. C4 is middle C. Drums are not counted."
    return Picture("Pitches", keyboard_chart("Notes of each pitch", counts, titles), caption, wide=True)


def _notes(music: Music) -> Picture:
    def title(low: float, high: float, pieces: int) -> str:
        first, last = int(np.ceil(low)), int(np.ceil(high)) - 1
        return f"{f'{first:,} to {last:,}' if last > first else f'{first:,}'} notes: {count(pieces, 'piece')}"

    bars, place = _logarithmic(music.notes_per_piece, title)
    values = [m * 10**k for k in range(8) for m in (1, 2, 5)]
    svg = column_chart(
        "Pieces by their number of notes",
        bars,
        _ticks(values, place, "{:,.0f}".format),
        x_label="notes",
        y_label="pieces",
        mark=Tick(place(music.median_notes), f"median {music.median_notes:,.0f}"),
    )
    return Picture("Notes in a piece", svg, f"Half of the pieces have {music.median_notes:,.0f} notes or more.")


def _durations(music: Music) -> Picture:
    def title(low: float, high: float, pieces: int) -> str:
        return f"{clock(low)} to {clock(high)}: {count(pieces, 'piece')}"

    bars, place = _logarithmic(music.durations, title)
    svg = column_chart(
        "Pieces by how long they last",
        bars,
        _ticks(TIMES, place, clock),
        x_label="minutes : seconds",
        y_label="pieces",
        mark=Tick(place(music.median_seconds), f"median {clock(music.median_seconds)}"),
    )
    caption = f"Half of the pieces last {clock(music.median_seconds)} or more; together {hours(music.seconds)}."
    return Picture("Length of a piece", svg, caption)


def _tempos(music: Music) -> Picture:
    edges, span = music.tempos.edges, _padded(music.tempos.span(), len(music.tempos.counts))
    above = len(music.tempos.counts) - 1
    bars = [
        Bar(
            (i - span.start) / len(span),
            (i - span.start + 1) / len(span),
            int(n),
            f"{edges[i]} {'or more' if i == above else f'to {edges[i + 1]}'}: {count(int(n), 'piece')}",
        )
        for i in span
        for n in [music.tempos.counts[i]]
    ]
    every = 20 if len(span) <= 16 else 40
    ticks = [Tick((i - span.start) / len(span), str(edges[i])) for i in span if edges[i] % every == 0]
    svg = column_chart("Pieces by tempo", bars, ticks, x_label="quarter notes a minute", y_label="pieces")
    changes = _changes(music.tempo_changes)
    caption = f"The mean of each piece; {changes} it. 120 is also what a MIDI file means that states none."
    return Picture("Tempo", svg, caption)


def _meters(music: Music) -> Picture:
    order = np.argsort(-music.meters, kind="stable")[: np.count_nonzero(music.meters)]
    rows = []
    for kind in order[: MOST_ROWS - 4].tolist():
        meter, pieces = f"{kind >> 8}/{kind & 255}", int(music.meters[kind])
        rows.append(_row(meter, pieces, music.pieces))
    if len(order) > len(rows):
        rest = int(music.meters[order[len(rows) :]].sum())
        rows.append(_row(f"{len(order) - len(rows)} others", rest, music.pieces))
    changes = _changes(music.meter_changes)
    caption = f"What lasts longest in each piece; {changes} it. 4/4 is also what a MIDI file means that states none."
    return Picture("Meter", row_chart("Pieces by meter", rows), caption)


def _keys(music: Music) -> Picture:
    bars, upper, lower = [], [], []
    for i, tonic in enumerate(FIFTHS):
        relative = (tonic + 9) % 12 + 12
        for key, left, kind in ((tonic, 0.1, ""), (relative, 0.5, "second")):
            pieces = int(music.keys[key])
            title = f"{KEY_NAMES[key]}: {count(pieces, 'piece')}, {percent(pieces, music.pitched)}"
            bars.append(Bar((i + left) / 12, (i + left + 0.4) / 12, pieces, title, kind))
        upper.append(Tick((i + 0.5) / 12, KEY_NAMES[tonic].split()[0]))
        lower.append(Tick((i + 0.5) / 12, KEY_NAMES[relative].split()[0] + "m"))
    svg = column_chart(
        "Pieces by key", bars, upper, lower=lower, x_label="", y_label="pieces in major and relative minor keys"
    )
    none = int(music.keys[NO_KEY])
    told = f"; {count(none, 'piece')} {'fits' if none == 1 else 'fit'} none" if none else ""
    caption = (
        "By the circle of fifths, flats on the left. A guess from the pitches that sound (Albrecht and Shanahan 2013), "
        f"right for about nine pieces in ten{told}."
    )
    return Picture("Key", svg, caption)


def _polyphony(music: Music) -> Picture:
    svg = _whole_numbers("Pieces by polyphony", music.polyphony, "notes at once")
    one = int(music.polyphony.counts[1])
    alone = f"; {count(one, 'piece')} never {'has' if one == 1 else 'have'} two" if one else ""
    return Picture("Polyphony", svg, f"The most notes that sound together in each piece, drums aside{alone}.")


def _tracks(music: Music) -> Picture:
    svg = _whole_numbers("Pieces by their number of tracks", music.tracks, "tracks")
    return Picture("Tracks", svg, "The tracks, voices or hands of each piece that have notes.")


def _whole_numbers(name: str, histogram: Histogram, unit: str) -> str:
    last = len(histogram.counts) - 1
    span = range(1, max(histogram.span().stop, FEWEST_BINS + 1))
    bars = [
        Bar(
            (i - 1) / len(span),
            i / len(span),
            int(n),
            f"{i}{' or more' * (i == last)} {unit}: {count(int(n), 'piece')}",
        )
        for i in span
        for n in [histogram.counts[i]]
    ]
    every = 1 if len(span) <= 16 else 5
    ticks = [Tick((i - 0.5) / len(span), str(i)) for i in span if i % every == 0]
    return column_chart(name, bars, ticks, x_label=unit, y_label="pieces")


def _instruments(music: Music) -> Picture:
    order = np.argsort(-music.programs, kind="stable")[: np.count_nonzero(music.programs)]
    shown = order[:MOST_ROWS].tolist()
    rows = [_row(program_name(program), int(music.programs[program]), music.pieces) for program in shown]
    more = f", and {len(order) - MOST_ROWS} instruments more" if len(order) > MOST_ROWS else ""
    drums = f" {percent(music.drums, music.notes)} of all notes are drums." if music.programs[DRUMS] else ""
    caption = f"The pieces in which each plays{more}; names are those of General MIDI.{drums}"
    return Picture("Instruments", row_chart("Pieces by instrument", rows), caption)


def group_sizes(groups: Groups) -> str:
    """A chart of how many pieces the groups have."""
    edges = [2, 3, 4, 5, 10, 100, np.inf]
    names = ["2 pieces", "3 pieces", "4 pieces", "5 to 9 pieces", "10 to 99 pieces", "100 pieces or more"]
    numbers = np.histogram(groups.sizes, edges)[0].tolist()
    rows = [
        Row(name, number, f"{number:,}", f"{count(number, 'group')} of {name}")
        for name, number in zip(names, numbers, strict=True)
        if number
    ]
    return row_chart("Groups by their size", rows)


def _changes(pieces: int) -> str:
    return f"{pieces:,} {'changes' if pieces == 1 else 'change'}" if pieces else "none changes"


def _row(label: str, pieces: int, of: int) -> Row:
    return Row(label, pieces, percent(pieces, of), f"{label}: {count(pieces, 'piece')} of {of:,}")


def _padded(span: range, bins: int) -> range:
    """At least `FEWEST_BINS` around `span`, and one that is empty on each side, where there are so many."""
    more = max(2, FEWEST_BINS - len(span))
    return range(max(0, span.start - more // 2), min(bins, span.stop + more - more // 2))


def _logarithmic(
    histogram: Histogram, title: Callable[[float, float, int], str]
) -> tuple[list[Bar], Callable[[float], float]]:
    """The bars of a histogram whose bins grow by a factor, and where on the axis a value stands."""
    span = _padded(histogram.span(), len(histogram.counts))
    edges = histogram.edges
    low, high = np.log(edges[span.start]), np.log(edges[span.stop])
    bars = [
        Bar(k / len(span), (k + 1) / len(span), int(n), title(float(edges[i]), float(edges[i + 1]), int(n)))
        for k, i in enumerate(span)
        for n in [histogram.counts[i]]
    ]
    return bars, lambda value: float((np.log(max(value, edges[0])) - low) / (high - low))


def _ticks(values: Iterable[float], place: Callable[[float], float], label: Callable[[float], str]) -> Sequence[Tick]:
    """Those of `values` that stand on the axis, as many as there is room for."""
    ticks = [Tick(place(value), label(value)) for value in values if -1e-9 <= place(value) <= 1]
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at >= 0.09:
            kept.append(tick)
    return kept
