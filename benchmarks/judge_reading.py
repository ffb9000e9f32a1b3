"""What stands in a MIDI file, read with mido alone, and what is wrong with it as a file.

Times are exact fractions of a quarter note.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from typing import Any, NamedTuple

import mido

DRUMS = 128  # the program of notes on the percussion channel


class Note(NamedTuple):
    onset: Fraction  # quarter notes since the beginning
    end: Fraction
    pitch: int
    velocity: int
    program: int  # 0 to 127, or DRUMS
    channel: int  # 0 to 15
    track: int  # among the tracks that have notes


class Bar(NamedTuple):
    number: int  # from 1; a pickup is 0
    start: Fraction
    end: Fraction
    meter: tuple[int, int]
    whole: bool  # whether it is as long as its meter says


@dataclass
class Piece:
    """What stands in a file. `problems` says what is wrong with it as a file."""

    notes: list[Note] = field(default_factory=list)  # by onset
    bars: list[Bar] = field(default_factory=list)  # up to the end of the last note
    meters: list[tuple[Fraction, tuple[int, int]]] = field(default_factory=list)
    tempos: list[tuple[Fraction, int]] = field(default_factory=list)  # microseconds per quarter note
    problems: list[str] = field(default_factory=list)

    @property
    def end(self) -> Fraction:
        return max((note.end for note in self.notes), default=Fraction(0))

    @property
    def pickup(self) -> Fraction:
        """The length of a first bar that is not full; 0 without one."""
        return self.bars[0].end if self.bars and self.bars[0].number == 0 else Fraction(0)

    def bar_at(self, time: Fraction) -> Bar:
        return self.bars[bisect_right(self.bars, time, key=lambda bar: bar.start) - 1]


def read(content: bytes) -> Piece:
    """The piece in a MIDI file. What is wrong with the file stands in its `problems`."""
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
    except Exception as error:  # mido raises whatever its parser runs into
        return Piece(problems=[f"does not parse: {error!r}"])
    piece = Piece()
    meters: dict[int, tuple[int, int]] = {0: (4, 4)}
    tempos: dict[int, int] = {0: 500_000}
    for number, track in enumerate(file.tracks):
        _read_track(piece, number, track, file.ticks_per_beat, meters, tempos)
    piece.notes.sort()
    if not piece.notes:
        piece.problems.append("empty: not one note")
    piece.meters = [(Fraction(tick, file.ticks_per_beat), meter) for tick, meter in sorted(meters.items())]
    piece.tempos = [(Fraction(tick, file.ticks_per_beat), tempo) for tick, tempo in sorted(tempos.items())]
    piece.bars = list(takewhile(lambda bar: bar.start < piece.end, all_bars(piece.meters)))
    return piece


def _read_track(
    piece: Piece, number: int, track: Any, division: int, meters: dict[int, tuple[int, int]], tempos: dict[int, int]
) -> None:
    tick = 0
    programs: dict[int, int] = {}
    open_notes: dict[tuple[int, int], tuple[int, int]] = {}
    for message in track:
        tick += message.time
        where = f"track {number}, quarter {tick / division:g}"
        if message.type == "time_signature":
            if message.numerator > 0:
                meters[tick] = (message.numerator, message.denominator)
            else:
                piece.problems.append(f"{where}: a meter of {message.numerator}/{message.denominator}")
        elif message.type == "set_tempo":
            tempos[tick] = message.tempo
        elif message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            if message.type == "note_on" and message.velocity > 0:
                if key in open_notes:
                    piece.problems.append(f"{where}: pitch {message.note} begins while it sounds")
                open_notes[key] = (tick, message.velocity)
            elif key not in open_notes:
                piece.problems.append(f"{where}: pitch {message.note} ends and does not sound")
            else:
                begun, velocity = open_notes.pop(key)
                if begun == tick:
                    piece.problems.append(f"{where}: pitch {message.note} lasts no time")
                program = DRUMS if message.channel == 9 else programs.get(message.channel, 0)
                times = Fraction(begun, division), Fraction(tick, division)
                piece.notes.append(Note(*times, message.note, velocity, program, message.channel, number))
    for (_, pitch), (begun, _) in open_notes.items():
        piece.problems.append(f"track {number}: pitch {pitch} of quarter {begun / division:g} is left hanging")


def all_bars(meters: list[tuple[Fraction, tuple[int, int]]]) -> Iterator[Bar]:
    """The bars from the beginning on, without end. A first one shorter than the second meter's is a pickup."""
    number = 1
    if len(meters) > 1 and meters[1][0] == bar_length(meters[0][1]) < bar_length(meters[1][1]):
        number = 0
    for i, (start, meter) in enumerate(meters):
        until = meters[i + 1][0] if i + 1 < len(meters) else None
        while until is None or start < until:
            stop = start + bar_length(meter)
            cut = until is not None and stop > until
            yield Bar(number, start, until if cut and until is not None else stop, meter, not cut)
            number, start = number + 1, stop


def bar_length(meter: tuple[int, int]) -> Fraction:
    return Fraction(4 * meter[0], meter[1])
