"""Sheet music as MusicXML, by music21."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from musiclstm.files import whole_file
from musiclstm.general_midi import drum_name, program_name
from musiclstm.rendering.engraving.bars import Bar
from musiclstm.rendering.engraving.drums import on_staff
from musiclstm.rendering.engraving.parts import Part
from musiclstm.rendering.engraving.sheet import Item, Mark, Sheet, Tone, make_sheet
from musiclstm.rendering.engraving.spelling import Key, alteration, letter, octave
from musiclstm.score import DRUMS, Score

_TYPES = {Fraction(8): "breve", Fraction(4): "whole", Fraction(2): "half", Fraction(1): "quarter"}
_TYPES |= {Fraction(1, 2): "eighth"} | {Fraction(1, 2**n): f"{4 * 2**n}th" for n in (2, 4, 6)}
_TYPES |= {Fraction(1, 8): "32nd", Fraction(1, 32): "128th"}
_CLEFS = {
    "treble": "TrebleClef",
    "bass": "BassClef",
    "alto": "AltoClef",
    "treble8vb": "Treble8vbClef",
    "bass8vb": "Bass8vbClef",
    "treble8va": "Treble8vaClef",
    "percussion": "PercussionClef",
}


def write_musicxml(
    score: Score,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    key: Key | None = None,
    exact: bool | None = None,
) -> Path:
    """Write `score` to the MusicXML file `path`, which is whole or not there, and return the path.

    `make_sheet` says what becomes of the music. Raises UserError where it is too long.
    """
    with whole_file(path) as beside:
        beside.write_bytes(to_musicxml(score, title=title, key=key, exact=exact))
    return Path(path)


def to_musicxml(score: Score, *, title: str = "", key: Key | None = None, exact: bool | None = None) -> bytes:
    """`score` as a MusicXML file. The same score gives the same bytes."""
    return sheet_to_musicxml(make_sheet(score, key, exact), title)


def sheet_to_musicxml(sheet: Sheet, title: str = "") -> bytes:
    """`sheet` as a MusicXML file."""
    from music21 import layout, metadata, stream
    from music21.musicxml.m21ToXml import ScoreExporter

    score = stream.Score()
    score.metadata = metadata.Metadata(title=title or " ", composer=" ")
    staves: list[Any] = []
    groups: list[Any] = []
    for p, part in enumerate(sheet.parts):
        mine = [_staff(sheet, p, s) for s in range(len(part.staves))]
        if len(mine) > 1:
            groups.append(layout.StaffGroup(mine, name=part.name, symbol="brace", barTogether=True))
        staves += mine
    if len(sheet.parts) > 1 and len({part.program for part in sheet.parts}) == 1 and not groups:
        groups.append(layout.StaffGroup(staves, symbol="bracket", barTogether=True))
    for element in [*staves, *groups]:
        score.insert(0, element)
    exporter = ScoreExporter(score, makeNotation=False)
    root = exporter.parse()
    _name_parts(root, sheet, title)
    return bytes(exporter.asBytes())


def _staff(sheet: Sheet, p: int, s: int) -> Any:
    from music21 import bar as barline
    from music21 import clef, key, meter, stream

    part, bars = sheet.parts[p], sheet.bars
    kind = stream.PartStaff if len(part.staves) > 1 else stream.Part
    staff = kind(id=f"P{p + 1}" if s == 0 else f"P{p + 1}-{s + 1}")
    meter_before: tuple[int, int] | None = None
    measures = []
    for b, (bar, voices) in enumerate(zip(bars, sheet.measures[p][s], strict=True)):
        measure = stream.Measure(number=bar.number)
        if bar.lead:
            measure.paddingLeft = bar.lead / sheet.units
        if b == 0:
            measure.insert(0, getattr(clef, _CLEFS[part.staves[s].clef])())
            measure.insert(0, _signature(sheet.key) if part.program != DRUMS else key.KeySignature(0))
        if bar.meter != meter_before:
            measure.insert(0, meter.TimeSignature(f"{bar.numerator}/{bar.denominator}"))
            meter_before = bar.meter
        if p == s == 0:
            for mark in sheet.marks[b]:
                measure.insert(mark.at / sheet.units, _tempo(mark, bar))
        _fill(measure, voices, bar, sheet.units, drums=part.program == DRUMS)
        if b + 1 == len(bars):
            measure.rightBarline = barline.Barline("final")
        measures.append((bar.start / sheet.units, measure))
    for offset, measure in measures:
        staff.insert(offset, measure)
    return staff


def _signature(key: Key) -> Any:
    from music21 import key as keys

    if not key.name:
        return keys.KeySignature(key.signature)
    tonic, mode = key.name.split()
    return keys.Key(tonic.replace("b", "-"), mode)


def _tempo(mark: Mark, bar: Bar) -> Any:
    """A metronome mark that counts the beats of the bar."""
    from music21 import duration, tempo

    dotted = bar.denominator >= 8 and bar.numerator % 3 == 0
    quarters = 6 / bar.denominator * 2 if dotted else min(4 / bar.denominator, 2) if bar.denominator < 4 else 1
    return tempo.MetronomeMark(number=mark.tempo / quarters, referent=duration.Duration(quarters))


def _fill(measure: Any, voices: list[list[Item]], bar: Bar, units: int, *, drums: bool) -> None:
    from music21 import duration, note, stream

    if not voices:
        rest = note.Rest()
        rest.duration = duration.Duration("whole")
        rest.duration.linked = False
        rest.duration.quarterLength = Fraction(bar.end - bar.start, units)
        rest.fullMeasure = True
        measure.insert(0, rest)
        return
    for number, items in enumerate(voices, 1):
        voice = stream.Voice(id=str(number)) if len(voices) > 1 else measure
        at = Fraction(0)
        brackets = _brackets(items)
        for item, bracket in zip(items, brackets, strict=True):
            element = _element(item, units, bracket, drums=drums)
            if item.tones and (drums or len(voices) > 1):
                element.stemDirection = "up" if number % 2 else "down"
            voice.insert(at, element)
            at += Fraction(item.piece.length, units)
        if len(voices) > 1:
            measure.insert(0, voice)


def _brackets(items: list[Item]) -> list[bool]:
    """Whether the tuplet of each item needs a bracket: not where a beam joins it."""
    beamed: dict[tuple[int, int], bool] = {}
    for item in items:
        if item.piece.tuplet:
            span = (item.piece.tuplet.start, item.piece.tuplet.end)
            beamed[span] = beamed.get(span, True) and bool(item.beams)
    return [not (i.piece.tuplet and beamed[i.piece.tuplet.start, i.piece.tuplet.end]) for i in items]


def _element(item: Item, units: int, bracket: bool, *, drums: bool) -> Any:
    from music21 import chord, note, percussion

    element: Any
    if not item.tones:
        element = note.Rest()
        element.style.hideObjectOnPrint = item.hidden
    elif len(item.tones) == 1:
        element = _head(item.tones[0], drums=drums)
    else:
        heads = [_head(tone, drums=drums) for tone in item.tones]
        element = percussion.PercussionChord(heads) if drums else chord.Chord(heads)
    element.duration = _duration(item, units, bracket)
    for beam in item.beams:
        element.beams.append(*beam.split())
    return element


def _head(tone: Tone, *, drums: bool) -> Any:
    from music21 import note, pitch, tie

    if drums:
        place = on_staff(tone.pitch)
        head = note.Unpitched(displayName=f"{place.step}{place.octave}")
        head.notehead = place.head
        return head
    raised = alteration(tone.name)
    named = pitch.Pitch(f"{letter(tone.name)}{octave(tone.pitch, tone.name)}")
    if raised or tone.accidental:
        named.accidental = pitch.Accidental(raised)
        named.accidental.displayStatus = tone.accidental
    pitched = note.Note(named)
    if tone.tie:
        pitched.tie = tie.Tie(tone.tie)
    return pitched


def _duration(item: Item, units: int, bracket: bool) -> Any:
    from music21 import duration

    length = Fraction(item.piece.length, units)
    triplet = item.piece.tuplet
    if triplet:
        length *= Fraction(3, 2)
    dots = 0 if length in _TYPES else 1
    written = duration.Duration(type=_TYPES[length / (Fraction(3, 2) if dots else 1)], dots=dots)
    if triplet:
        one: Any = duration.Tuplet(3, 2, _TYPES[Fraction(triplet.length, 2 * units)])
        one.type = item.tuplet or None
        one.bracket = bracket
        if item.hidden:
            one.tupletActualShow = None
            one.bracket = False
        written.appendTuplet(one)
    return written


def _name_parts(root: Element, sheet: Sheet, title: str) -> None:
    """Complete what music21 says of who plays, and take out what would differ from day to day."""
    encoding = root.find("identification/encoding")
    assert encoding is not None
    for element in [e for e in encoding if e.tag == "encoding-date" or e.get("element") == "stem"]:
        encoding.remove(element)
    identification = root.find("identification")
    assert identification is not None
    for creator in identification.findall("creator"):
        identification.remove(creator)
    if title:
        credit = Element("credit", page="1")
        words = SubElement(credit, "credit-words", {"justify": "center", "valign": "top", "font-size": "20"})
        words.text = title
        root.insert([child.tag for child in root].index("part-list"), credit)
    else:
        for element in root.findall("movement-title"):
            root.remove(element)
    for measure in root.iter("measure"):
        if measure.get("number") == "0":  # a pickup, which is not counted
            measure.set("implicit", "yes")
    for minute in root.iter("per-minute"):
        minute.text = f"{float(minute.text or 0):.0f}"
    listed = root.findall("part-list/score-part")
    for p, (part, element, music) in enumerate(zip(sheet.parts, listed, root.findall("part"), strict=True)):
        element.clear()
        element.set("id", f"P{p + 1}")
        music.set("id", f"P{p + 1}")
        SubElement(element, "part-name").text = part.name
        if part.abbreviation:
            SubElement(element, "part-abbreviation").text = part.abbreviation
        _name_instruments(element, music, part, p, sheet)


def _name_instruments(element: Element, music: Element, part: Part, p: int, sheet: Sheet) -> None:
    number = f"P{p + 1}-I"
    if part.program != DRUMS:
        SubElement(SubElement(element, "score-instrument", id=number), "instrument-name").text = program_name(
            part.program
        )
        channel = p % 15 + 1
        midi = SubElement(element, "midi-instrument", id=number)
        SubElement(midi, "midi-channel").text = str(channel + (channel > 9))
        SubElement(midi, "midi-program").text = str(part.program + 1)
        return
    strokes = list(_strokes(sheet, p))
    drums = sorted(set(strokes))
    for pitch in drums:
        drum = SubElement(element, "score-instrument", id=f"{number}{pitch}")
        SubElement(drum, "instrument-name").text = drum_name(pitch)
    for pitch in drums:
        midi = SubElement(element, "midi-instrument", id=f"{number}{pitch}")
        SubElement(midi, "midi-channel").text = "10"
        SubElement(midi, "midi-unpitched").text = str(pitch + 1)
    heads = [note for note in music.iter("note") if note.find("unpitched") is not None]
    for head, pitch in zip(heads, strokes, strict=True):
        duration = head.find("duration")
        assert duration is not None
        head.insert(list(head).index(duration) + 1, Element("instrument", id=f"{number}{pitch}"))


def _strokes(sheet: Sheet, p: int) -> Iterator[int]:
    """The drums of a part as they are written down, one after another."""
    for voices in sheet.measures[p][0]:
        for items in voices:
            for item in items:
                yield from (tone.pitch for tone in item.tones)
