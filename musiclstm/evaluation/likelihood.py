"""How well a model foretells a collection, in units that compare across tokenizers.

Natural logarithms, exact and joint: every token is foretold from what came before it and nothing else, from the first
of a piece to its end token, pieces are whole, and the state is carried from end to end. Notes, seconds and bars are
those of the pieces themselves and not of what a tokenizer keeps of them, so that two models of different tokenizers
compare over the pieces that both can say: each says what its tokenizer keeps, and one that keeps less (no velocity, a
coarser grid) has less to foretell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from musiclstm.evaluation.reading import ReadPiece, token_types, type_names
from musiclstm.tokenizers.base import Tokenizer

POSITIONS = (30, 60, 120, 300, 600)  # seconds: the first 30 s, from there to a minute, and so on
GROUPS = {
    "pitch": ("Pitch", "PitchDrum", "NoteOn", "Drum", "PitchIntervalTime", "PitchIntervalChord"),
    "time": ("NoteOff", "TimeShift", "Position", "Bar", "Duration", "Frame", "Hold", "Rest", "MicroTiming"),
    "velocity": ("Velocity",),
    "instrument": ("Program",),
    "meter and tempo": ("TimeSig", "TimeSignature", "Pickup", "Tempo"),
}


@dataclass(frozen=True)
class Mean:
    """Nats a symbol: over all symbols together, the mean of the pieces' means, and how many symbols there are."""

    all: float
    of_pieces: float
    count: float


@dataclass(frozen=True)
class Position:
    """Nats a token of those that stand from `start` on and before `end`, in seconds; None is the end of the piece."""

    start: float
    end: float | None
    nats_per_token: float
    tokens: int
    pieces: int

    @property
    def span(self) -> str:
        """In words."""
        return f"{self.start:.0f} s on" if self.end is None else f"{self.start:.0f} to {self.end:.0f} s"


@dataclass(frozen=True)
class TypeShare:
    """What tokens of one type cost, a note of the whole collection: to know that one comes, and which value it has."""

    type: str
    group: str
    tokens: int
    type_nats_per_note: float
    value_nats_per_note: float

    @property
    def name(self) -> str:
        """The type, and what it is about where that is known."""
        return self.type if self.group in ("end", "other") else f"{self.type} ({self.group})"


@dataclass(frozen=True)
class Likelihood:
    """What a model makes of a set of pieces; the fields are those of the JSON that `evaluate` writes."""

    pieces: int
    nats: float
    per_token: Mean
    per_note: Mean
    per_second: Mean
    per_bar: Mean
    per_unit: Mean | None
    """Of what published figures count: a voice and step, a frame; None where the tokenizer names none."""
    per_unit_skip_first: Mean | None
    """Likewise without all that stands at the first step of each piece, as some papers have it: None also where no
    piece is longer."""
    unit: str | None
    positions: list[Position]
    types: list[TypeShare]

    @property
    def means(self) -> list[tuple[str, Mean]]:
        """Each mean by what it is per, without that of the tokenizer's unit."""
        return [("note", self.per_note), ("second", self.per_second), ("bar", self.per_bar), ("token", self.per_token)]

    @property
    def unit_means(self) -> list[tuple[str, Mean]]:
        """Likewise those of the tokenizer's unit, where it names one."""
        units = [(str(self.unit), self.per_unit), (f"{self.unit}, skip first", self.per_unit_skip_first)]
        return [(name, mean) for name, mean in units if mean is not None]

    def to_dict(self) -> dict[str, object]:
        """Numbers, lists and strings, fit for JSON."""
        return asdict(self)


def likelihood(pieces: Sequence[ReadPiece], tokenizer: Tokenizer) -> Likelihood:
    """Sums up what a model said of pieces, at least one."""
    nats = np.array([piece.nats.sum() for piece in pieces])
    unit = tokenizer.unit
    counted = np.zeros(len(tokenizer.vocabulary), bool)
    for kind in unit[1] if unit else ():
        counted[list(tokenizer.vocabulary.range(kind))] = True

    def mean(counts: Sequence[float], nats: np.ndarray = nats) -> Mean:
        count = np.array(counts, np.float64)
        some = count > 0
        each = nats[some] / count[some]
        return Mean(float(nats.sum() / count.sum()), float(each.mean()), float(count.sum()))

    units = [counted[piece.tokens] for piece in pieces]
    later = [piece.seconds > 0 for piece in pieces]
    skip_first = [int(is_unit[here].sum()) for is_unit, here in zip(units, later, strict=True)]
    later_nats = np.array([piece.nats[here].sum() for piece, here in zip(pieces, later, strict=True)])

    return Likelihood(
        pieces=len(pieces),
        nats=float(nats.sum()),
        per_token=mean([len(piece.nats) for piece in pieces]),
        per_note=mean([piece.notes for piece in pieces]),
        per_second=mean([piece.duration for piece in pieces]),
        per_bar=mean([piece.bars for piece in pieces]),
        per_unit=mean([int(is_unit.sum()) for is_unit in units]) if unit else None,
        per_unit_skip_first=mean(skip_first, later_nats) if sum(skip_first) else None,
        unit=unit[0] if unit else None,
        positions=_positions(pieces),
        types=_types(pieces, tokenizer),
    )


def _positions(pieces: Sequence[ReadPiece]) -> list[Position]:
    found = []
    for start, end in zip((0, *POSITIONS), (*POSITIONS, None), strict=True):
        inside = [(piece.seconds >= start) & (piece.seconds < (math.inf if end is None else end)) for piece in pieces]
        tokens = sum(int(here.sum()) for here in inside)
        if tokens:
            nats = sum(float(piece.nats[here].sum()) for piece, here in zip(pieces, inside, strict=True))
            found.append(Position(start, end, nats / tokens, tokens, sum(bool(here.any()) for here in inside)))
    return found


def _types(pieces: Sequence[ReadPiece], tokenizer: Tokenizer) -> list[TypeShare]:
    names, of_token = type_names(tokenizer), token_types(tokenizer)
    kinds = of_token[np.concatenate([piece.tokens for piece in pieces])]
    whole, for_type = (np.concatenate(parts) for parts in zip(*((p.nats, p.type_nats) for p in pieces), strict=True))
    notes = sum(piece.notes for piece in pieces)
    tokens = np.bincount(kinds, minlength=len(names))
    type_nats = np.bincount(kinds, for_type, len(names))
    value_nats = np.bincount(kinds, np.maximum(whole - for_type, 0), len(names))
    return [
        TypeShare(name, group_of(name), int(tokens[i]), float(type_nats[i] / notes), float(value_nats[i] / notes))
        for i, name in enumerate(names)
        if tokens[i]
    ]


def group_of(kind: str) -> str:
    """What a type of token is about: one of `GROUPS`, or "end"."""
    return next((group for group, kinds in GROUPS.items() if kind in kinds), "end" if kind == "EOS" else "other")
