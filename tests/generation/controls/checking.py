"""Whether a finished score keeps to what was asked for, judged from its notes alone."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np

from musiclstm.generation.controls import Controls
from musiclstm.generation.controls.settings import Density
from musiclstm.score import DRUMS, Score


def in_force(controls: Controls, name: str, bar: int) -> Any:
    for part in controls.stretches(name):
        if part.first <= bar and (part.stop is None or bar < part.stop):
            return part.value.parsed if part.value else None
    return None


def meter_at(score: Score, tick: int) -> tuple[int, int]:
    i = int(np.searchsorted(score.meters["tick"], tick, "right")) - 1
    return int(score.meters["numerator"][i]), int(score.meters["denominator"][i])


def bounds(density: Density, bars: int, before: int) -> tuple[int, int]:
    """The fewest and most notes of the bar after `bars` bars with `before` notes."""
    if density.average is None:
        return density.low, density.high
    middle, tolerance = density.average * (bars + 1) - before, max(1.0, density.average / 2)
    return max(0, ceil(middle - tolerance - 1e-9)), floor(middle + tolerance + 1e-9)


def check(controls: Controls, score: Score, *, in_seconds: bool = False, drums: bool = False) -> list[str]:
    """What does not keep to `controls`, in words."""
    wrong: list[str] = []
    notes = score.notes
    if len(notes) == 0:
        return ["no notes"]
    lines = score.bar_starts(score.end + 1)
    pickup = score.first_bar
    start, end = notes["start"].astype(int), notes["end"].astype(int)
    which = np.searchsorted(lines, start, "right") - 1
    bars = which - (pickup > 0)
    quarter = score.ticks_per_quarter

    def length_of(index: int) -> int:
        n, d = meter_at(score, int(lines[index]))
        return n * 4 * quarter // d

    def position_of(i: int) -> int:
        index = int(which[i])
        offset = length_of(index) - pickup if pickup and index == 0 else 0
        return int(start[i]) - int(lines[index]) + offset

    last_of_all = int(bars.max())
    wanted_bars = controls.get("bars")
    for i, note in enumerate(notes):
        bar = int(bars[i])
        drum = note["program"] == DRUMS or drums
        pitch = int(note["pitch"])
        key = in_force(controls, "key", bar)
        if key is not None and not drum and pitch % 12 not in key.classes:
            wrong.append(f"key: {pitch} in bar {bar}")
        span = in_force(controls, "pitch_range", bar)
        if span is not None and not drum and not span.low <= pitch <= span.high:
            wrong.append(f"range: {pitch} in bar {bar}")
        velocity = in_force(controls, "velocity", bar)
        if velocity is not None and not velocity.low <= note["velocity"] <= velocity.high:
            wrong.append(f"velocity: {note['velocity']} in bar {bar}")
        programs = in_force(controls, "instruments", bar)
        if programs is not None and note["program"] not in programs:
            wrong.append(f"instruments: {note['program']} in bar {bar}")
        chords = in_force(controls, "chords", bar)
        if chords is not None and not drum:
            first = next(
                part.first for part in controls.stretches("chords")
                if part.first <= bar and (part.stop is None or bar < part.stop)
            )  # fmt: skip
            here = chords[(bar - max(first, 0)) % len(chords)]
            length = length_of(int(which[i]))
            n, d = meter_at(score, int(lines[which[i]]))
            beat = 12 * quarter / d if (n, d) in ((6, 8), (9, 8), (12, 8)) else 4 * quarter / d
            position = position_of(i)
            chord = here[position * len(here) // length]
            if chord is not None and (in_seconds or position % beat == 0) and pitch % 12 not in chord.classes:
                wrong.append(f"chords: {pitch} at {position} of bar {bar}, {chord.name}")
        most = in_force(controls, "polyphony", bar)
        if most is not None and not drum:
            pitched = (notes["program"] != DRUMS) | drums
            sounding = int(((start <= start[i]) & (end > start[i]) & pitched).sum())
            if sounding > most:
                wrong.append(f"polyphony: {sounding} at {start[i]} in bar {bar}")
    count = np.bincount(bars + 1, minlength=last_of_all + 2)[1:] if len(bars) else np.zeros(0)
    for bar in range(last_of_all + 1):
        index = bar + (pickup > 0)
        length = length_of(index)
        density = in_force(controls, "density", bar)
        final = bar == last_of_all
        if density is not None:
            part = next(p for p in controls.stretches("density") if p.first <= bar and (p.stop is None or bar < p.stop))
            first = max(part.first, 0)
            low, high = bounds(density, bar - first, int(count[first:bar].sum()))
            if count[bar] > high or (count[bar] < low and not final):
                wrong.append(f"density: {count[bar]} in bar {bar}, not {low} to {high}")
        rhythm = in_force(controls, "rhythm", bar)
        if rhythm is not None:
            places = {i * length / len(rhythm) for i, x in enumerate(rhythm) if x}
            found = {position_of(int(i)) for i in np.flatnonzero(bars == bar)}
            stop = length - pickup if wanted_bars and bar == wanted_bars - 1 else length
            places = {place for place in places if place < stop}
            if found != places:
                wrong.append(f"rhythm: {sorted(found)} in bar {bar}, not {sorted(places)}")
        repeat = in_force(controls, "no_repeat", bar)
        if repeat is not None:

            def content(number: int) -> set[tuple[int, int, int]]:
                mine = np.flatnonzero(bars == number)
                return {(position_of(int(i)), int(notes["pitch"][i]), int(end[i] - start[i])) for i in mine}

            mine = content(bar)
            for before in range(max(0, bar - repeat), bar):
                if mine and mine == content(before):
                    wrong.append(f"no_repeat: bar {bar} is bar {before}")
        meter = in_force(controls, "meter", bar)
        if meter is not None and meter_at(score, int(lines[index])) != meter:
            wrong.append(f"meter: {meter_at(score, int(lines[index]))} in bar {bar}")
        tempo = in_force(controls, "tempo", bar)
        if tempo is not None:
            i = int(np.searchsorted(score.tempos["tick"], int(lines[index]), "right")) - 1
            if int(score.tempos["microseconds"][i]) != round(60e6 / tempo):
                wrong.append(f"tempo: {score.tempos[i]} in bar {bar}")
    if wanted_bars is not None:
        if last_of_all != wanted_bars - 1:
            wrong.append(f"bars: the last note begins in bar {last_of_all}")
        else:
            limit = int(lines[last_of_all + (pickup > 0)]) + length_of(last_of_all + (pickup > 0)) - pickup
            if score.end > limit:
                wrong.append(f"bars: {score.end} is beyond {limit}")
    if controls.get("ending") is not None:
        key = in_force(controls, "key", last_of_all)
        pitched = (notes["program"] != DRUMS) | drums
        for name, sounding in (
            (
                "at the end",
                (start < score.notes["end"][pitched].max()) & (end == score.notes["end"][pitched].max()) & pitched,
            ),
            ("at the last onset", (start <= start[pitched].max()) & (end > start[pitched].max()) & pitched),
        ):
            pitches = sorted(notes["pitch"][sounding].tolist())
            if not pitches or pitches[0] % 12 != key.tonic or any(x % 12 not in key.triad for x in pitches):
                wrong.append(f"ending: {pitches} {name}")
    return wrong
