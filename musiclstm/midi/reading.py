"""MIDI files to `Score`: read by symusic, mended where that is certain, and given to other readers where it is not."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from musiclstm.errors import FileError, UserError
from musiclstm.midi.check import plain_tracks, with_marks
from musiclstm.midi.columns import Columns, Refused, read_columns
from musiclstm.midi.events import LONGEST
from musiclstm.midi.repair import count, mend
from musiclstm.midi.writing import from_pretty_midi
from musiclstm.score import Score

MIDI_EXTENSIONS = (".mid", ".midi", ".kar")
NOTATION_EXTENSIONS = (".xml", ".musicxml", ".mxl", ".abc", ".krn")
EXTENSIONS = (*MIDI_EXTENSIONS, *NOTATION_EXTENSIONS)

MAX_BYTES = 16 * 2**20
MAX_TWICE_READ = 2**18  # bytes of a mended file above which no second reader is asked: they take milliseconds a kB


def read_score(path: str | os.PathLike[str]) -> Score:
    """The piece in a MIDI or notation file, by its extension.

    Raises UserError where the extension is none of `EXTENSIONS`, or the file cannot be read or has no notes.
    """
    extension = Path(path).suffix.lower()
    if extension in MIDI_EXTENSIONS:
        return read_midi(path)
    if extension in NOTATION_EXTENSIONS:
        from musiclstm.notation import read_notation

        return read_notation(path)
    raise UserError(f"{path}: not a file that can be read; give one that ends in {', '.join(EXTENSIONS)}")


class Reading(NamedTuple):
    """What a file gives: its score, what was mended in it, and what else there is to say of it, in sentences."""

    score: Score
    repairs: tuple[str, ...]
    remarks: tuple[str, ...]


def read_midi(path: str | os.PathLike[str]) -> Score:
    """The notes of a MIDI file, in its own ticks, with `track` counted over the tracks that have notes.

    Notes are as the file has them: they may overlap or last no time at all. A first meter that lasts for one
    bar, shorter than those of the next meter, is read as a pickup. Raises UserError ("file: why").
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    try:
        return read_midi_bytes(data).score
    except FileError as error:
        raise FileError(f"{path}: {error}", kind=error.kind) from None


def read_midi_bytes(data: bytes) -> Reading:
    """The music in the bytes of a MIDI file, mended where it is certain (see `read_midi`).

    `repairs` is empty where the bytes are sound; what is odd and allowed is in `remarks`. Raises FileError, with the
    reason in one clause, where bytes are lost, where there is no note, and where the file is beyond all music.
    """
    if len(data) > MAX_BYTES:
        raise FileError(f"{len(data) / 2**20:,.0f} MB, more than {MAX_BYTES // 2**20}", kind="limit")
    tracks = plain_tracks(data)
    if tracks is not None:
        with suppress(Refused):
            columns = read_columns(with_marks(data, tracks), len(tracks))
            if columns is not None:
                return Reading(columns.score, (), _oddities(columns))
    mended = mend(data)
    try:
        columns = read_columns(mended.data)
    except Refused as error:
        for name, score in _opinions(mended.data):
            return Reading(score, mended.repairs, (*mended.remarks, f"read with {name}: symusic refuses it ({error})"))
        raise FileError(f"no reader can make sense of it ({error})", kind="damaged") from None
    if columns is None:
        raise FileError(f"a note of more than {LONGEST:,} ticks", kind="limit")
    remarks = [*mended.remarks, *_oddities(columns)]
    if mended.altered and len(data) <= MAX_TWICE_READ:
        remarks += _disagreement(columns.score, data, mended.data)
    return Reading(columns.score, mended.repairs, tuple(remarks))


def _oddities(columns: Columns) -> tuple[str, ...]:
    said = []
    if columns.without_length:
        said.append(f"{count(columns.without_length, 'note')} without length")
    if columns.overlapping:
        said.append(f"{count(columns.overlapping, 'note')} of a pitch that still sounds")
    if columns.far:
        said.append(f"{count(columns.far, 'event')} far behind the end of all music left out")
    return tuple(said)


def _disagreement(score: Score, data: bytes, mended: bytes) -> list[str]:
    """What another reader says of a file as it stands, or else of the file mended."""
    for name, other in chain(_opinions(data), _opinions(mended)):
        ours, theirs = (np.sort(notes[["start", "pitch"]]) for notes in (score.notes, other.notes))
        if len(ours) != len(theirs):
            return [f"{name} reads {count(len(theirs), 'note')} in it, and not {len(ours):,}"]
        if different := int(np.count_nonzero(ours != theirs)):
            return [f"{name} reads {different:,} of its notes at another time or pitch"]
        break
    return []


def _opinions(data: bytes) -> Iterator[tuple[str, Score]]:
    """What readers make of these bytes: those that can read them, each with its name."""
    for name, read in (("symusic", _by_symusic), ("pretty_midi", _by_pretty_midi), ("mido", _by_mido)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = read(data)
        except Exception:  # they throw whatever happens to them
            continue
        if score is not None and len(score):
            yield name, score


def _by_symusic(data: bytes) -> Score | None:
    columns = read_columns(data)
    return columns and columns.score


def _by_pretty_midi(data: bytes) -> Score:
    import pretty_midi

    return from_pretty_midi(pretty_midi.PrettyMIDI(io.BytesIO(data)))


def _by_mido(data: bytes) -> Score | None:
    """mido's events, paired by symusic."""
    import mido

    content = io.BytesIO()
    mido.MidiFile(file=io.BytesIO(data)).save(file=content)
    return _by_symusic(content.getvalue())
