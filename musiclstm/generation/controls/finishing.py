"""What tokens cannot say, given to the finished score: exact tempos, velocities in range, and instruments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.score import DRUMS, MAX_TEMPO, METER, TEMPO, Score, changes, sort_notes

BEFORE = -2  # all bars that are asked for

if TYPE_CHECKING:
    from musiclstm.generation.controls.reading import Controls
    from musiclstm.tokenizers.base import Tokenizer


def finish(controls: Controls, tokenizer: Tokenizer, score: Score, begin: int = 0) -> Score:
    """`score`, as decoded or in finer ticks, with what `controls` say of tempo, velocity and instruments.

    What stands before tick `begin` came from elsewhere and stays as it is.
    """
    asked = controls.asked()
    if "meter" in asked:
        score = _with_meters(controls, score, begin)
    lines = _lines(score)
    if "tempo" in asked:
        score = score.replace(tempos=_tempos(controls, score, lines, begin))
    if "velocity" in asked or ("instruments" in asked and tokenizer.name != "remi"):
        notes = score.notes.copy()
        bars = np.searchsorted(lines, notes["start"], "right") - 2
        bars[notes["start"] < begin] = BEFORE
        for part in controls.stretches("velocity"):
            if part.value is not None:
                mine = _within(bars, part)
                notes["velocity"][mine] = np.clip(notes["velocity"][mine], *part.value.parsed)
        for part in controls.stretches("instruments") if tokenizer.name != "remi" else ():
            if part.value is not None:
                programs = np.array(part.value.parsed)
                mine = _within(bars, part) & (notes["program"] != DRUMS)
                one_each = tokenizer.name not in ("performance", "frames")
                which = np.minimum(notes["track"][mine], len(programs) - 1) if one_each else 0
                notes["program"][mine] = programs[which]
        score = score.replace(notes=sort_notes(notes))
    return score


def _lines(score: Score) -> np.ndarray:
    """Where the bars begin: that of the pickup first (at tick -1 where there is none), then the full ones."""
    lines = score.bar_starts(score.end + 1)
    return lines if score.first_bar else np.concatenate([[-1], lines])


def _within(bars: np.ndarray, part: Any) -> np.ndarray:
    within: np.ndarray = (bars >= part.first) & (bars < (np.inf if part.stop is None else part.stop))
    return within


def _with_meters(controls: Controls, score: Score, start: int) -> Score:
    """`score` with the meters asked for in bars that have no tokens, because only what began before sounds there."""
    for part in controls.stretches("meter"):
        lines = _lines(score)
        if part.value is None or part.first + 1 >= len(lines) or lines[part.first + 1] <= start:
            continue
        line, meters = int(lines[part.first + 1]), score.meters
        new = np.array([(line, *part.value.parsed)], METER)
        score = score.replace(meters=changes(np.concatenate([meters, new])))
    return score


def _tempos(controls: Controls, score: Score, lines: np.ndarray, start: int) -> np.ndarray:
    old = score.tempos
    found: list[tuple[int, int]] = [(int(tick), int(rate)) for tick, rate in old[old["tick"] < start].tolist()]
    for part in controls.stretches("tempo"):
        if part.first + 1 >= len(lines):
            break
        begin = max(int(lines[part.first + 1]), start)
        end = None if part.stop is None or part.stop + 1 >= len(lines) else int(lines[part.stop + 1])
        if end is not None and end <= begin:
            continue
        if part.value is not None:
            found.append((begin, min(round(60e6 / part.value.parsed), MAX_TEMPO)))
            continue
        in_force = max(int(np.searchsorted(old["tick"], begin, "right")) - 1, 0)
        found.append((begin, int(old["microseconds"][in_force])))
        later = old[(old["tick"] > begin) & (old["tick"] < (np.inf if end is None else end))]
        found += [(int(tick), int(rate)) for tick, rate in later.tolist()]
    return changes(np.array(found, TEMPO))
