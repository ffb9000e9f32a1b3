"""What is impossible together where that is simple to show: meters that leave no way are ruled out, and where none is
left that is said before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.controls.theory import NAMES
from musiclstm.score import DRUMS

if TYPE_CHECKING:
    from musiclstm.generation.controls.compiling import Compiler
    from musiclstm.generation.controls.tables import Tables


def rule_out(compiler: Compiler, tables: Tables) -> None:
    """Takes from `tables.meters` what cannot be. Raises UserError where a bar would have no meter or no note left."""
    for segment in range(len(compiler.values)):
        _density(compiler, tables, segment)
        _close_onsets(compiler, tables, segment)
    _first_bars(compiler, tables)
    for segment in range(len(compiler.values)):
        _repeats(compiler, tables, segment)
    if compiler.controls.get("ending") is not None:
        _ending(compiler, tables)


def _density(compiler: Compiler, tables: Tables, segment: int) -> None:
    """Bars need room for their notes."""
    value = compiler.values[segment]
    density, rhythm = value.get("density"), value.get("rhythm")
    if density is None:
        return
    fewest = density.low if density.average is None else density.average
    most = density.high if density.average is None else int(density.average)
    if rhythm is not None and sum(rhythm) > most:
        raise UserError(
            f"{compiler.said(segment, 'density', 'rhythm')}: the rhythm has {sum(rhythm)} notes a bar; allow as many"
        )
    at_once = compiler.writer.at_once(
        value, int(tables.polyphony[segment]), tables.pitches[tables.base[segment]], rhythm is not None
    )
    lengths = tables.bars.lengths
    steps = lengths if rhythm is None else np.full(len(lengths), sum(rhythm))
    tables.meters[segment] &= steps * at_once >= fewest
    if not tables.meters[segment].any():
        settings = compiler.said(
            segment, "density", "rhythm", "polyphony", "instruments", "meter", "key", "pitch_range"
        )
        raise UserError(f"{settings}: no bar has room for so many notes; ask for fewer")


def _close_onsets(compiler: Compiler, tables: Tables, segment: int) -> None:
    """Where a pitch cannot begin at one step after another, one pitch alone cannot follow a quick rhythm."""
    pitches = tables.pitches[tables.base[segment]]
    if "rhythm" not in compiler.values[segment] or not compiler.writer.joins or pitches.sum() > 1:
        return
    for meter, gaps in _gaps(tables, segment):
        tables.meters[segment, meter] &= gaps.min() > 1
    if not tables.meters[segment].any():
        settings = compiler.said(segment, "rhythm", "meter", "key", "pitch_range")
        raise UserError(
            f"{settings}: notes begin step after step, which this model cannot say of a single pitch; allow another"
        )


def _first_bars(compiler: Compiler, tables: Tables) -> None:
    """A pickup has the meter of the bar that it leads to, and a first bar with a longer one behind it would be one,
    for those who read the MIDI file."""
    pickup, first, second = tables.segments(np.array([-1, 0, 1])).tolist()
    if pickup != first:
        tables.meters[pickup] = tables.meters[first]
    if first == second:
        return
    shortest = tables.bars.lengths[tables.meters[second]].min()
    tables.meters[first] &= tables.bars.lengths >= shortest
    if not tables.meters[first].any():
        raise UserError(
            f"{compiler.said(first, 'meter', 'rhythm')} in bar 1 and {compiler.said(second, 'meter', 'rhythm')} from "
            "bar 2 on: a MIDI file reads a shorter first bar as a pickup; give bar 1 the meter of bar 2"
        )


def _repeats(compiler: Compiler, tables: Tables, segment: int) -> None:
    """A rhythm leaves only so many bars that differ: each of its notes or chords is one of so many."""
    value, writer = compiler.values[segment], compiler.writer
    if not {"no_repeat", "rhythm"} <= value.keys() or writer.may_drum(value) or compiler.last_bar is None:
        return
    # The last bar is left out, for a pickup may shorten it, and a bar before another segment too.
    end = min([compiler.last_bar, *(start - 1 for start in compiler.starts[segment + 1 : segment + 2])])
    number = min(end - max(compiler.starts[segment], 0), value["no_repeat"] + 1)
    pitches = int(tables.pitches[tables.base[segment]].sum())
    at_once = min(int(tables.polyphony[segment]), writer.num_voices or pitches)
    each = (pitches + 1) ** at_once - 1  # at least one of so many sounds, or none in its place
    different = (each if writer.num_voices else min(each, 2**pitches - 1)) ** sum(value["rhythm"])
    if different < number:
        settings = compiler.said(segment, "no_repeat", "rhythm", "polyphony", "key", "pitch_range")
        raise UserError(f"{settings}: no more than {different} bars differ in what begins; ask for a smaller no_repeat")


def _gaps(tables: Tables, segment: int) -> list[tuple[int, np.ndarray]]:
    """The steps from each x of a segment's rhythm to the next one, for each meter that it may have."""
    found = []
    for meter in np.flatnonzero(tables.meters[segment]).tolist():
        length = int(tables.bars.lengths[meter])
        struck = np.flatnonzero(tables.struck_at[tables.rhythm_row[segment, length], :length])
        found.append((meter, np.diff(np.append(struck, struck[0] + length))))
    return found


def _ending(compiler: Compiler, tables: Tables) -> None:
    """The tonic has to be among the pitches that the last sonority may begin with."""
    last = compiler.last_bar
    assert last is not None
    segment = int(tables.segments(np.array(last)))
    value = compiler.values[segment]
    if compiler.writer.pitch_tokens is None or set(value.get("instruments", ())) == {DRUMS}:
        raise UserError("ending=tonic needs an instrument that has pitches, and there are only drums: leave it out")
    meter = np.flatnonzero(tables.meters[segment])
    length, here = tables.bars.lengths[meter], np.full(len(meter), segment)
    rhythm = tables.rhythm_row[segment, length] if "rhythm" in tables.asked else here * 0
    zone = np.where(rhythm > 0, tables.last_x[rhythm, length], tables.bars.last_beat[meter, length])
    row = tables.row_at(here, np.full(len(meter), last), zone, length, meter)
    if not (tables.pitches[row] & tables.tonic).any():
        raise UserError(
            f"ending=tonic asks for {NAMES[value['key'].tonic]} at the end, and "
            f"{compiler.said(segment, 'key', 'pitch_range', 'chords')} leave none there: change one of them"
        )
