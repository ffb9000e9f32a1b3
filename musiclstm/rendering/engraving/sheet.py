"""A score as it will be written: parts, staves, bars and voices, with every note named, tied and beamed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from musiclstm.rendering.engraving.bars import Bar, Gridded, to_grid
from musiclstm.rendering.engraving.meters import Piece, Span, bar_of, beats, find_tuplets, notes_for
from musiclstm.rendering.engraving.parts import Part, parts_of
from musiclstm.rendering.engraving.spelling import Key, alteration, key_of, letter, octave, spell
from musiclstm.rendering.engraving.voices import Chord, chords_of, readable, voices_of
from musiclstm.score import DRUMS, Score

_SAME_TEMPO = 0.03  # a change by a smaller share is not worth a mark


@dataclass(frozen=True)
class Tone:
    """A note head: MIDI pitch, name on the line of fifths, tie ("start", "continue", "stop" or ""), and whether its
    accidental is printed."""

    pitch: int
    name: int = 0
    tie: str = ""
    accidental: bool = False


@dataclass(frozen=True)
class Item:
    """A chord, or a rest where it has no tones; its place in beams and tuplets is "start", "continue", "stop" ...

    beams: what each of its beams does, the one nearest to the heads last.
    """

    piece: Piece
    tones: tuple[Tone, ...] = ()
    hidden: bool = False
    beams: tuple[str, ...] = ()
    tuplet: str = ""


@dataclass(frozen=True)
class Mark:
    """A tempo, in quarters a minute, `at` units into a bar."""

    at: int
    tempo: float


@dataclass(frozen=True)
class Sheet:
    """measures[part][staff][bar] is a list of voices, each a list of Items; without voices the bar is silent.

    marks: those of each bar.
    """

    units: int
    bars: list[Bar]
    key: Key
    parts: list[Part]
    measures: list[list[list[list[list[Item]]]]]
    marks: list[list[Mark]]


def make_sheet(score: Score, key: Key | None = None, exact: bool | None = None) -> Sheet:
    """`score` as sheet music in `key`, by default the one it is found to be in.

    What follows a grid of written notes is written exactly, but for how long drums sound; `to_grid` says what becomes
    of the rest, and what `exact` does. Raises UserError where there are too many bars.
    """
    grid = to_grid(score, exact)
    notes = grid.notes
    key = key or key_of(notes)
    names = np.zeros(len(notes), np.int64)
    pitched = notes["program"] != DRUMS
    names[pitched] = spell(notes[pitched], key)
    parts = parts_of(notes)
    measures = [
        [_staff_measures(grid, staff.notes, names, key, drums=part.program == DRUMS) for staff in part.staves]
        for part in parts
    ]
    return Sheet(grid.units, grid.bars, key, parts, measures, _marks(score, grid))


def _marks(score: Score, grid: Gridded) -> list[list[Mark]]:
    """The tempo that the piece begins with, and those that differ enough and stay for a bar at least."""
    marks: list[list[Mark]] = [[] for _ in grid.bars]
    starts = [bar.start for bar in grid.bars]
    ticks = score.tempos["tick"].astype(np.int64)
    places = np.rint(ticks * grid.units / score.ticks_per_quarter).astype(np.int64).tolist()
    tempos = (6e7 / score.tempos["microseconds"]).tolist()
    before = 0.0
    for i, (at, tempo) in enumerate(zip(places, tempos, strict=True)):
        if at >= grid.bars[-1].end or abs(tempo - before) <= _SAME_TEMPO * before:
            continue
        bar = int(np.searchsorted(starts, at, "right")) - 1
        left = next((places[j] for j in range(i, len(places)) if abs(tempos[j] - tempo) > _SAME_TEMPO * tempo), None)
        if before and left is not None and left < at + grid.bars[bar].end - grid.bars[bar].start:
            continue
        before = tempo
        marks[bar] = [mark for mark in marks[bar] if mark.at != at - starts[bar]] + [Mark(at - starts[bar], tempo)]
    return marks


def _staff_measures(
    grid: Gridded, index: np.ndarray, names: np.ndarray, key: Key, *, drums: bool
) -> list[list[list[Item]]]:
    notes = grid.notes
    if not grid.exact and not drums and len(index):
        notes = notes.copy()
        notes["end"][index] = readable(notes, index, grid.units)
    chords = _strokes(notes, index, grid) if drums else chords_of(notes, index)
    measures = []
    sounding: list[Chord] = []
    at = 0
    for bar in grid.bars:
        while at < len(chords) and chords[at].start < bar.end:
            sounding.append(chords[at])
            at += 1
        here = [chord for chord in sounding if chord.end > bar.start]
        sounding = [chord for chord in here if chord.end > bar.end]
        here.sort(key=lambda chord: (max(chord.start, bar.start), -chord.pitch))
        voices = voices_of([chord.cut(bar.start, bar.end) for chord in here])
        measures.append(_measure(bar, voices, notes, names, key, grid.units, drums))
    return measures


def _strokes(notes: np.ndarray, index: np.ndarray, grid: Gridded) -> list[Chord]:
    """Drums as chords that last to the next onset, and not beyond their beat: how long a drum sounds says nothing."""
    onsets = np.unique(notes["start"][index])
    after = np.append(onsets[1:], np.iinfo(np.int64).max)
    lasts = notes[index].copy()
    quarters = (onsets // grid.units + 1) * grid.units  # drums play in quarters, or their bars begin between
    lines = np.array([bar.end for bar in grid.bars])
    until = np.minimum(np.minimum(after, quarters), lines[np.searchsorted(lines, onsets, "right")])
    ends = notes.copy()
    ends["end"][index] = until[np.searchsorted(onsets, lasts["start"])]
    return chords_of(ends, index)


def _measure(
    bar: Bar, voices: list[list[Chord]], notes: np.ndarray, names: np.ndarray, key: Key, units: int, drums: bool
) -> list[list[Item]]:
    span = bar_of(*bar.meter, units)
    shift = bar.start - bar.lead  # so that a pickup stands at the end of its bar
    first, last = bar.lead, bar.end - shift
    if not voices and last - first != span.length:  # where a whole rest would be taken for all of a bar
        voices = [[]]
    written = []
    for number, voice in enumerate(voices):
        cuts = {first, last, *(edge - shift for chord in voice for edge in (chord.start, chord.end))}
        tuplets = find_tuplets(span, frozenset(cuts), units)
        items: list[Item] = []
        at = first
        for chord in voice:
            start, end = chord.start - shift, chord.end - shift
            if start > at:
                items += _rests(span, at, start, tuplets, units, voices, number, shift)
            pieces = notes_for(span, start, end, tuplets, units)
            if drums:  # a stroke and rests
                items.append(Item(pieces[0], tuple(Tone(int(notes["pitch"][i])) for i in chord.notes)))
                items += [Item(piece) for piece in pieces[1:]]
            else:
                items += [Item(piece, _tones(piece, shift, chord, notes, names)) for piece in pieces]
            at = end
        if at < last:
            items += _rests(span, at, last, tuplets, units, voices, number, shift)
        written.append(_beamed(_bracketed(items), span, units))
    return written if drums else _with_accidentals(written, key)


def _rests(
    span: Span, start: int, end: int, tuplets: list[Span], units: int, voices: list[list[Chord]], own: int, shift: int
) -> list[Item]:
    """Rests, hidden where another voice sounds all the while; of a silence of all voices the first shows them."""
    pieces = notes_for(span, start, end, tuplets, units, rest=True)
    others = [chord for number, voice in enumerate(voices) if number != own for chord in voice]
    items = []
    for piece in pieces:
        a, b = piece.start + shift, piece.end + shift
        sounds = sum(max(0, min(b, c.end) - max(a, c.start)) for c in others) >= b - a
        items.append(Item(piece, hidden=own > 0 or sounds))
    return items


def _tones(piece: Piece, shift: int, chord: Chord, notes: np.ndarray, names: np.ndarray) -> tuple[Tone, ...]:
    tones = []
    for i in chord.notes:
        before = piece.start + shift > int(notes["start"][i])
        after = piece.end + shift < int(notes["end"][i])
        tie = {(False, False): "", (False, True): "start", (True, True): "continue", (True, False): "stop"}
        tones.append(Tone(int(notes["pitch"][i]), int(names[i]), tie[before, after]))
    return tuple(tones)


def _bracketed(items: list[Item]) -> list[Item]:
    """`items` with the first and the last of every tuplet marked."""
    out = []
    for i, item in enumerate(items):
        triplet = item.piece.tuplet
        opens = triplet is not None and (i == 0 or items[i - 1].piece.tuplet != triplet)
        closes = triplet is not None and (i + 1 == len(items) or items[i + 1].piece.tuplet != triplet)
        role = "startStop" if opens and closes else "start" if opens else "stop" if closes else ""
        out.append(replace(item, tuplet=role))
    return out


def _flags(item: Item, units: int) -> int:
    """How many flags the note has: one for an eighth, two for a 16th. None for rests."""
    length = item.piece.length * (3 if item.piece.tuplet else 2)
    flags = 0
    while item.tones and length < 2 * units >> flags:
        flags += 1
    return flags


def _beamed(items: list[Item], span: Span, units: int) -> list[Item]:
    """`items` with beams over those of each beat."""
    out = list(items)
    for group in _groups(items, span, units):
        flags = [_flags(items[i], units) for i in group]
        for place, i in enumerate(group):
            before = flags[place - 1] if place else 0
            after = flags[place + 1] if place + 1 < len(group) else 0
            out[i] = replace(out[i], beams=tuple(_beam(level, before, after) for level in range(flags[place])))
    return out


def _beam(level: int, before: int, after: int) -> str:
    if before > level:
        return "continue" if after > level else "stop"
    if after > level:
        return "start"
    return "partial left" if before else "partial right"


def _groups(items: list[Item], span: Span, units: int) -> list[list[int]]:
    """The indices of the notes under each beam: neighbours with flags in one beat, or eighths in half a 4/4 bar."""
    spans = beats(span, units)
    halves = [part for part in span.parts if part.length == 2 * units] if span.binary else []
    if span.length == 2 * units and span.binary:
        halves = [span]
    for half in halves:
        here = [item for item in items if item.piece.start < half.end and item.piece.end > half.start]
        if here and all(item.tones and not item.piece.tuplet and 2 * item.piece.length == units for item in here):
            spans = [beat for beat in spans if not half.start <= beat.start < half.end] + [half]
    groups: list[list[int]] = []
    for beat in spans:
        run: list[int] = []
        for i, item in enumerate(items):
            if not beat.start <= item.piece.start < beat.end:
                continue
            if _flags(item, units):
                run.append(i)
                continue
            groups.append(run)
            run = []
        groups.append(run)
    return [group for group in groups if len(group) > 1]


def _with_accidentals(voices: list[list[Item]], key: Key) -> list[list[Item]]:
    """`voices` with the accidentals printed that the key and the bar so far do not imply."""
    in_force: dict[tuple[str, int], int] = {}
    shown: set[tuple[int, int, int]] = set()
    order = sorted((item.piece.start, v, i) for v, voice in enumerate(voices) for i, item in enumerate(voice))
    for _, v, i in order:
        item = voices[v][i]
        for t, tone in enumerate(item.tones):
            if tone.tie in ("stop", "continue"):
                continue  # the tie says what it is
            line = letter(tone.name), octave(tone.pitch, tone.name)
            usual = alteration(_in_signature(line[0], key.signature))
            if in_force.get(line, usual) != alteration(tone.name):
                shown.add((v, i, t))
            in_force[line] = alteration(tone.name)
    return [
        [
            replace(
                item, tones=tuple(replace(tone, accidental=(v, i, t) in shown) for t, tone in enumerate(item.tones))
            )
            for i, item in enumerate(voice)
        ]
        for v, voice in enumerate(voices)
    ]


def _in_signature(name: str, signature: int) -> int:
    """The place on the line of fifths that a letter has under `signature`."""
    return next(fifths for fifths in range(signature - 1, signature + 6) if letter(fifths) == name)
