"""Notation files (MusicXML, ABC, Humdrum kern) to `Score`, read by music21."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from musiclstm.errors import FileError, UserError
from musiclstm.score import (
    DEFAULT_TEMPO,
    DENOMINATORS,
    DRUMS,
    MAX_TEMPO,
    METER,
    TEMPO,
    Score,
    as_meter,
    bar_ticks,
    changes,
    make_notes,
)

TICKS_PER_QUARTER = 480  # exact for 128th notes, triplets and quintuplets
VELOCITY = 80

_FORMATS = {".abc": "abc", ".krn": "humdrum"}  # all others are MusicXML


def read_notation(path: str | os.PathLike[str]) -> Score:
    """The one piece in a notation file, as `read_scores` gives it. Raises UserError where there are several."""
    scores = read_scores(path)
    if len(scores) > 1:
        raise UserError(f"{path}: holds {len(scores)} pieces where one is wanted; put it into a file of its own")
    return scores[0]


def read_scores(path: str | os.PathLike[str]) -> list[Score]:
    """The pieces in a notation file, those without notes left out: an ABC file can hold many.

    Times are in ticks of 1/480 quarter, to the nearest. Each part that has notes is a track, the top part first.
    Repeats are not played out, notes that are tied are one, a chord is its notes, and grace notes, chord symbols
    and percussion of which no MIDI key is stated are left out. Pitches are as they sound. `program` is that of
    the part's instrument, or 0. Raises FileError ("file: why") for what cannot be read or has no notes.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    from music21 import stream

    format = _FORMATS.get(Path(path).suffix.lower(), "musicxml")
    try:
        with _no_collection(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about engraving: what no MIDI file could hold either
            parsed = _parse(Path(path), format)
            pieces = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
            scores = [score for piece in pieces if len(score := _score(piece))]
    except Exception as error:  # music21 lets through whatever its parsers meet
        if isinstance(error, MemoryError):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        raise FileError(f"{path}: not sound {format} ({why[:200]})", kind="damaged") from error
    if not scores:
        raise FileError(f"{path}: no notes in it", kind="empty")
    return scores


def _parse(path: Path, format: str) -> Any:
    from music21 import converter

    if path.suffix.lower() == ".mxl":  # which music21 knows by its lower case alone
        return converter.parseData(converter.ArchiveManager(path).getData(), format=format)
    return converter.parseFile(path, format=format, forceSource=True, storePickle=False)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection in the block: music21 makes objects by the hundred thousand, and none is garbage yet.

    It takes a quarter off the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass
class _Part:
    """What one part says, times in ticks."""

    notes: list[tuple[int, int, int, str]] = field(default_factory=list)  # start, end, pitch, tie
    programs: list[tuple[int, int]] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    meters: list[tuple[int, int, int]] = field(default_factory=list)
    measures: list[int] = field(default_factory=list)


def _score(piece: Any) -> Score:
    parts = [_read_part(part) for part in (piece.parts if hasattr(piece, "parts") else ()) or [piece]]
    columns = []
    track = 0
    for part in parts:
        notes = np.array(_merge_ties(part.notes), np.int64).reshape(-1, 3)
        if len(notes) == 0:
            continue
        since, program = np.array([(-1, 0), *sorted(part.programs)]).T
        programs = program[np.searchsorted(since, notes[:, 0], "right") - 1]
        columns.append(np.column_stack([notes, programs, np.full(len(notes), track)]))
        track += 1
    start, end, pitch, programs, tracks = np.concatenate([np.zeros((0, 5), np.int64), *columns]).T
    tempos = sorted(row for part in parts for row in part.tempos)
    meters = next((part.meters for part in parts if part.meters), [])
    first_bar = 0
    measures = next((part.measures for part in parts if part.measures), [])
    if meters and meters[0][0] == 0 and len(measures) > 1:
        # the second bar line tells the length of the first measure, whatever is written in it
        first_bar = measures[1] if measures[1] < bar_ticks(*meters[0][1:], TICKS_PER_QUARTER) else 0
    return Score(
        make_notes(start, end, pitch, VELOCITY, programs, tracks),
        TICKS_PER_QUARTER,
        changes(np.array([(0, DEFAULT_TEMPO), *tempos], TEMPO)),
        _with_short_bars(changes(np.array([(0, 4, 4), *meters], METER)), measures, first_bar),
        first_bar=first_bar,
    )


def _with_short_bars(meters: np.ndarray, measures: list[int], first_bar: int) -> np.ndarray:
    """`meters`, and one for each bar that is shorter or longer than they say.

    Without it the bar lines after such a bar would be displaced. Measures that only together fill a bar, as
    around a repeat sign, are one bar.
    """
    lines = set(measures)
    rows: list[tuple[int, int, int]] = []
    for i, (tick, numerator, denominator) in enumerate(meters.tolist()):
        rows.append((tick, numerator, denominator))
        length = bar_ticks(numerator, denominator, TICKS_PER_QUARTER)
        until = int(meters["tick"][i + 1]) if i + 1 < len(meters) else measures[-1] if measures else 0
        bar = tick if i else first_bar
        for line in measures:
            if not bar < line < until:
                continue
            bar += (line - bar) // length * length
            if line == bar or bar + length in lines:
                continue
            short = as_meter(line - bar, TICKS_PER_QUARTER, denominator)
            if short is not None:
                rows += [(bar, *short), (line, numerator, denominator)]
                bar = line
    return changes(np.array(rows, METER))


def _read_part(part: Any) -> _Part:
    from music21 import chord, harmony, instrument, meter, note, stream, tempo

    if any(i.transposition is not None for i in part.getElementsByClass(instrument.Instrument)):
        part.toSoundingPitch(inPlace=True)
    read = _Part()
    key: int | None = None  # that percussion sounds, or None where the instrument has pitches
    drums = False
    for offset, element in _walk(part, 0.0):
        tick = _ticks(offset)
        if isinstance(element, note.NotRest):
            if isinstance(element, harmony.Harmony) or element.duration.isGrace:
                continue
            end = _ticks(offset + element.duration.quarterLength)
            for single in element.notes if isinstance(element, chord.ChordBase) else (element,):
                pitch = single.pitch.midi if isinstance(single, note.Note) else key
                if pitch is not None and 0 <= pitch <= 127 and end > tick:
                    read.notes.append((tick, end, pitch, single.tie.type if single.tie else ""))
        elif isinstance(element, instrument.Instrument):
            key = getattr(element, "percMapPitch", None)
            drums = key is not None or element.midiChannel == 9
            read.programs.append((tick, DRUMS if drums else element.midiProgram or 0))
        elif isinstance(element, tempo.MetronomeMark):
            rate = element.getQuarterBPM()
            if rate:
                read.tempos.append((tick, min(max(round(6e7 / rate), 1), MAX_TEMPO)))
        elif isinstance(element, meter.TimeSignature):
            numerator, denominator = element.numerator, element.denominator
            if not (1 <= numerator <= 255 and denominator in DENOMINATORS):
                raise UserError(f"a meter of {numerator}/{denominator}")
            read.meters.append((tick, numerator, denominator))
        elif isinstance(element, stream.Measure):
            read.measures.append(tick)
    return read


def _walk(container: Any, offset: float) -> Iterator[tuple[float, Any]]:
    """Every element under `container`, depth first, with its offset in quarters."""
    for element in container.elements:
        at = offset + float(container.elementOffset(element))
        yield at, element
        if element.isStream:
            yield from _walk(element, at)


def _ticks(quarters: float) -> int:
    # the little more decides for one side where a sum of thirds falls next to half a tick
    return int(quarters * TICKS_PER_QUARTER + 0.5 + 1e-6)


def _merge_ties(notes: list[tuple[int, int, int, str]]) -> list[tuple[int, int, int]]:
    merged: list[tuple[int, int, int]] = []
    tied: dict[int, int] = {}  # from pitch to where in `merged` the note stands that goes on
    for start, end, pitch, tie in sorted(notes):
        index = tied.pop(pitch, -1)
        if index >= 0 and merged[index][1] == start:  # files forget to mark the other end of a tie
            merged[index] = (merged[index][0], end, pitch)
        else:
            index = len(merged)
            merged.append((start, end, pitch))
        if tie in ("start", "continue"):
            tied[pitch] = index
    return merged
