"""`Score` to pretty_midi objects and MIDI files, and pretty_midi objects to `Score`."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np

from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.midi.columns import SUSTAIN, assemble, pedal_spans
from musiclstm.score import (
    DRUMS,
    MAX_TEMPO,
    METER,
    NOTE,
    Score,
    as_meter,
    changes,
    cut_overlaps,
    make_notes,
    sort_notes,
)

if TYPE_CHECKING:
    import pretty_midi

MAX_TICKS_PER_QUARTER = 32_767  # 15 bits in the header of a MIDI file
MAX_TICK = 10_000_000  # pretty_midi keeps a table of this many ticks at most


def to_pretty_midi(score: Score) -> pretty_midi.PrettyMIDI:
    """`score` as a PrettyMIDI object with one instrument per track and program, exact to the tick.

    MIDI pairs a note-off with the note-on before it. So a note ends where its pitch begins again in the same
    instrument, of notes of one pitch that begin together one is kept, and every note lasts a tick at least. A
    pickup becomes a first bar with a meter of its own. Raises UserError where MIDI has no room for the score.
    """
    import mido
    import pretty_midi

    _check_room(score)
    timing = mido.MidiTrack()
    before = 0
    for tick, microseconds in changes(score.tempos).tolist():
        event = mido.MetaMessage("set_tempo", tempo=microseconds, time=tick - before)
        # PrettyMIDI.write cuts its quotients to whole microseconds; this little keeps them from falling below
        vars(event)["tempo"] = microseconds + 1e-5
        timing.append(event)
        before = tick
    file = mido.MidiFile(ticks_per_beat=score.ticks_per_quarter)
    file.tracks.append(timing)
    midi = pretty_midi.PrettyMIDI(mido_object=file)
    midi.tick_to_time(score.end + 1)  # lengthens its table once, and not note by note
    for tick, numerator, denominator in _meters_with_pickup(score).tolist():
        midi.time_signature_changes.append(pretty_midi.TimeSignature(numerator, denominator, midi.tick_to_time(tick)))

    notes = score.notes.copy()
    notes["end"] = np.maximum(notes["end"], notes["start"] + 1)
    notes = cut_overlaps(notes, by_track=True)
    for track, program in np.unique(notes[["track", "program"]]).tolist():
        drums = program == DRUMS
        name = "Drums" if drums else pretty_midi.program_to_instrument_name(program)
        instrument = pretty_midi.Instrument(0 if drums else program, drums, name)
        mine = notes[(notes["track"] == track) & (notes["program"] == program)]
        instrument.notes = [
            pretty_midi.Note(velocity, pitch, midi.tick_to_time(start), midi.tick_to_time(end))
            for start, end, pitch, velocity in mine[["start", "end", "pitch", "velocity"]].tolist()
        ]
        for start, end in _merged(score.pedals[score.pedals["track"] == track]):
            for tick, value in ((start, 127), (end, 0)):
                instrument.control_changes.append(pretty_midi.ControlChange(SUSTAIN, value, midi.tick_to_time(tick)))
        midi.instruments.append(instrument)
    return midi


def _check_room(score: Score) -> None:
    if not 1 <= score.ticks_per_quarter <= MAX_TICKS_PER_QUARTER:
        raise UserError(
            f"{score.ticks_per_quarter} ticks per quarter note: a MIDI file holds 1 to {MAX_TICKS_PER_QUARTER:,}"
        )
    if score.tempos["microseconds"].min() < 1 or score.tempos["microseconds"].max() > MAX_TEMPO:
        raise UserError(
            f"a tempo of {score.tempos['microseconds'].max():,} microseconds per quarter note: "
            f"a MIDI file holds 1 to {MAX_TEMPO:,}"
        )
    events = (score.notes["end"], score.pedals["end"], score.tempos["tick"], score.meters["tick"])
    last = max(int(ticks.max(initial=0)) for ticks in events)
    if last >= MAX_TICK - 2:
        raise UserError(
            f"a score of {last:,} ticks: pretty_midi writes {MAX_TICK:,} at most; write it in parts, "
            "or with fewer ticks per quarter note"
        )


def _meters_with_pickup(score: Score) -> np.ndarray:
    meters = changes(score.meters)
    pickup = as_meter(score.first_bar, score.ticks_per_quarter, int(meters["denominator"][0]))
    if pickup is None or (meters["tick"][1:] <= score.first_bar).any():
        return meters
    meters["tick"][0] = score.first_bar
    return np.concatenate([np.array([(0, *pickup)], METER), meters])


def _merged(pedals: np.ndarray) -> list[tuple[int, int]]:
    """Spans of ticks in which the pedal is down: pedals that overlap are one, those without length are gone."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(pedals[["start", "end"]].tolist()):
        if end <= start:
            continue
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def from_pretty_midi(midi: pretty_midi.PrettyMIDI) -> Score:
    """The notes of a PrettyMIDI object, in ticks of its resolution, with one track per instrument with notes."""
    notes, pedals = [], []
    for number, instrument in enumerate(instrument for instrument in midi.instruments if instrument.notes):
        columns = [
            (midi.time_to_tick(note.start), midi.time_to_tick(note.end), note.pitch, note.velocity)
            for note in instrument.notes
        ]
        start, end, pitch, velocity = np.array(columns, np.int64).T
        program = DRUMS if instrument.is_drum else instrument.program
        notes.append(make_notes(start, end, pitch, velocity, program, number, ordered=True))
        # where the pedal is lifted and pressed at one time, it is lifted first
        changes = sorted((c.time, c.value) for c in instrument.control_changes if c.number == SUSTAIN)
        ticks = np.array([midi.time_to_tick(time) for time, _ in changes], np.int64)
        pedals.append(pedal_spans(ticks, np.array([value for _, value in changes]), int(end.max()), number))
    times, rates = midi.get_tempo_changes()
    tempos = [(midi.time_to_tick(time), round(6e7 / rate)) for time, rate in zip(times, rates, strict=True)]
    meters = [(midi.time_to_tick(m.time), m.numerator, m.denominator) for m in midi.time_signature_changes]
    return assemble(
        sort_notes(np.concatenate([np.zeros(0, NOTE), *notes])),
        pedals,
        midi.resolution,
        tempos,
        meters,
    )


def write_midi(score: Score, path: str | os.PathLike[str]) -> None:
    """Write `score` as a MIDI file, through pretty_midi (see `to_pretty_midi`); folders are made as needed.

    The file is complete or not there. Raises UserError where MIDI has no room for the score.
    """
    midi = to_pretty_midi(score)
    content = io.BytesIO()
    midi.write(content)
    with whole_file(path) as beside:
        beside.write_bytes(content.getvalue())
