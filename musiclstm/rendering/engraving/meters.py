"""How a bar divides: into halves and beats, and how what sounds in it is written in notes that show them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

UNITS = 24  # a quarter: 32nds and 16th triplets are whole numbers of them
LONGEST = 8  # quarters: a breve


@dataclass(frozen=True)
class Span:
    """A part of a bar from `start` to `end`, in units, and the parts into which it falls."""

    start: int
    end: int
    parts: tuple[Span, ...] = ()
    tuplet: bool = False  # three are written in the time of two

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def binary(self) -> bool:
        return len(self.parts) == 2 and all(len(part.parts) in (0, 2) for part in self.parts)


@dataclass(frozen=True)
class Piece:
    """A stretch of time, in units from the bar line, that one note or rest can fill; in a tuplet, which one."""

    start: int
    end: int
    tuplet: Span | None = None

    @property
    def length(self) -> int:
        return self.end - self.start


@lru_cache(maxsize=256)
def bar_of(numerator: int, denominator: int, units: int) -> Span:
    """A bar of `numerator`/`denominator`, with `units` a quarter."""
    beat = 4 * units // denominator
    if denominator >= 4 and numerator % 3 == 0 and (numerator > 3 or denominator > 4):  # dotted beats
        return _list(0, [3] * (numerator // 3), beat)
    if denominator >= 8 and numerator > 4:
        if numerator == 8:
            return _list(0, [3, 3, 2], beat)
        threes = 1 if numerator % 2 else 0
        return _list(0, [2] * ((numerator - 3 * threes) // 2) + [3] * threes, beat)
    if numerator in (2, 4):
        return _halves(0, numerator * beat)
    if numerator == 5:
        return _list(0, [3, 2], beat)
    return _list(0, [1] * numerator, beat)


def _halves(start: int, length: int, least: int = 3) -> Span:
    """A span of halves of halves, down to odd lengths and to `least`."""
    end, half = start + length, length // 2
    if length % 2 or length <= least:
        return Span(start, end)
    return Span(start, end, (_halves(start, half, least), _halves(start + half, half, least)))


def _equal(start: int, length: int, count: int, least: int = 3) -> Span:
    """A span of `count` parts of `length`."""
    parts = tuple(_halves(start + i * length, length, least) for i in range(count))
    return Span(start, start + count * length, parts)


def _list(start: int, sizes: list[int], beat: int) -> Span:
    """Groups of `sizes` beats, each of which falls into its beats."""
    groups: list[Span] = []
    at = start
    for size in sizes:
        groups.append(_halves(at, beat) if size == 1 else _equal(at, beat, size))
        at = groups[-1].end
    if len(groups) == 4 and set(sizes) == {3}:  # 12/8: halves of two beats
        groups = [Span(start, groups[1].end, tuple(groups[:2])), Span(groups[2].start, at, tuple(groups[2:]))]
    return groups[0] if len(groups) == 1 else Span(start, at, tuple(groups))


def find_tuplets(span: Span, cuts: frozenset[int], units: int) -> list[Span]:
    """The triplets that a voice needs which begins and ends its notes at `cuts`, and at nothing else, in `span`."""
    inner = [cut - span.start for cut in cuts if span.start < cut < span.end]
    if all(cut % 3 == 0 for cut in inner):
        return []
    if span.binary or not span.parts:
        if all(cut * 3 % span.length == 0 for cut in inner):
            return [_triplet(span)]
        if span.length <= units and not _falls_apart(span, cuts):
            return [_triplet(span)]
    return [triplet for part in span.parts for triplet in find_tuplets(part, cuts, units)]


def _falls_apart(span: Span, cuts: frozenset[int]) -> bool:
    """Whether each half of a beat is plain or a triplet by itself, and no note lies across."""
    if not span.parts or span.parts[0].end not in cuts:
        return False
    for part in span.parts:
        inner = [cut - part.start for cut in cuts if part.start < cut < part.end]
        if any(cut % 3 for cut in inner) and any(cut * 3 % part.length for cut in inner):
            return False
    return True


def _triplet(span: Span) -> Span:
    thirds = _equal(span.start, span.length // 3, 3, least=1)
    return Span(span.start, span.end, thirds.parts, tuplet=True)


def notes_for(bar: Span, start: int, end: int, tuplets: list[Span], units: int, *, rest: bool = False) -> list[Piece]:
    """The notes, tied, or the rests that last from `start` to `end` in `bar`, so written that its beats are seen."""
    pieces: list[Piece] = []
    at = start
    for triplet in (t for t in tuplets if t.start < end and t.end > start):
        if triplet.start > at:
            pieces += _split(bar, at, triplet.start, units, rest, None)
        at = max(at, triplet.start)
        until = min(end, triplet.end)
        pieces += _split(triplet, at, until, units, rest, triplet)
        at = until
    if at < end:
        pieces += _split(bar, at, end, units, rest, None)
    return pieces


def _split(span: Span, start: int, end: int, units: int, rest: bool, tuplet: Span | None) -> list[Piece]:
    scale = 3 if tuplet else 2
    whole = start <= span.start and end >= span.end
    if (whole and _written(span.length * scale, units)) or not span.parts:
        return [Piece(start, end, tuplet)]
    among = [part for part in span.parts if part.start < end and part.end > start]
    if len(among) > 1 and not whole and _written((end - start) * scale, units):
        relative = (start - span.start, end - span.start)
        allowed = _rest_across(span, *relative, units) if rest else _note_across(span, *relative, units)
        if allowed:
            return [Piece(start, end, tuplet)]
    return [
        piece
        for part in among
        for piece in _split(part, max(start, part.start), min(end, part.end), units, rest, tuplet)
    ]


def _note_across(span: Span, start: int, end: int, units: int) -> bool:
    """Whether one note may stand across the parts of `span`."""
    length = span.length
    if len(span.parts) == 2:
        if not span.binary:
            return False
        return (start, end) in ((0, 3 * length // 4), (length // 4, length), (length // 4, 3 * length // 4))
    part = span.parts[0].length
    if any(p.length != part for p in span.parts):
        return False
    on_start, on_end = start % part == 0, end % part == 0
    if on_start and on_end:
        return True
    if part > units or any(len(p.parts) == 3 for p in span.parts):
        return False
    if 2 * (end - start) == 3 * part:
        return on_start or on_end
    return end - start == part and 2 * start % part == 0


def _rest_across(span: Span, start: int, end: int, units: int) -> bool:
    """Whether one rest may: the first two of three eighths."""
    part = span.parts[0].length
    return len(span.parts) == 3 and part < units and start == 0 and end == 2 * part


def _written(doubled: int, units: int) -> bool:
    """Whether one note, dotted or not, lasts half of `doubled` units."""
    if doubled > 2 * LONGEST * units:
        return False
    quarter = 2 * units
    for dotted in (1, 3):
        value = doubled / dotted * (1 if dotted == 1 else 2) / quarter
        if value > 0 and (value.is_integer() or (1 / value).is_integer()):
            power = int(value) if value >= 1 else int(1 / value)
            if power & (power - 1) == 0:
                return True
    return False


def beats(bar: Span, units: int) -> list[Span]:
    """The spans of `bar` under one beam: beats, dotted beats, and all of a bar that is no longer."""
    if bar.length <= units or (bar.parts and not bar.binary and bar.length <= 3 * units // 2):
        return [bar]
    if len(bar.parts) == 3 and all(part.length < units for part in bar.parts):
        return [bar]
    return [beat for part in bar.parts for beat in beats(part, units)] if bar.parts else [bar]
