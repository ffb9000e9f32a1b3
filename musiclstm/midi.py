"""MIDI files and pretty_midi objects to `Score` and back: the one place that knows symusic and pretty_midi."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.score import (
    DEFAULT_TEMPO,
    DENOMINATORS,
    DRUMS,
    MAX_TEMPO,
    METER,
    NOTE,
    PEDAL,
    TEMPO,
    Score,
    as_meter,
    bar_ticks,
    changes,
    cut_overlaps,
    make_notes,
    sort_notes,
)

if TYPE_CHECKING:
    import pretty_midi

MIDI_EXTENSIONS = (".mid", ".midi", ".kar")
NOTATION_EXTENSIONS = (".xml", ".musicxml", ".mxl", ".abc", ".krn")
EXTENSIONS = (*MIDI_EXTENSIONS, *NOTATION_EXTENSIONS)

MAX_TICKS_PER_QUARTER = 32_767  # 15 bits in the header of a MIDI file
MAX_TICK = 10_000_000  # pretty_midi keeps a table of this many ticks at most
MAX_QUARTERS = 200_000  # over a day at 120 a minute: what is longer is damage, not music
MAX_SECONDS = 24 * 3600
SUSTAIN = 64  # the controller number of the pedal


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
        return _parse(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _parse(data: bytes) -> Score:
    import symusic

    try:
        midi: Any = symusic.Score.from_midi(data)  # its own types know of no attribute
    except Exception as error:  # its parser lets through whatever the standard library throws
        why = str(error).removeprefix("MiniMidi: ").removeprefix("Invaild midi file! ").removesuffix(": iostream error")
        raise UserError(f"not a sound MIDI file ({why.rstrip('!. ')})") from None
    if midi.ticks_per_quarter < 1:
        raise UserError("its header says zero ticks per quarter note")
    tracks = [track for track in midi.tracks if len(track.notes)]
    if not tracks:
        raise UserError("no notes in it")
    if len(tracks) > np.iinfo(NOTE["track"]).max:
        raise UserError(f"{len(tracks)} tracks, more than {np.iinfo(NOTE['track']).max}")

    notes, pedals = [], []
    for number, track in enumerate(tracks):
        program = DRUMS if track.is_drum else track.program
        columns = track.notes.numpy()
        start, end = _span(columns)
        notes.append(make_notes(start, end, columns["pitch"], columns["velocity"], program, number, ordered=True))
        # not `track.pedals`, which has been seen to begin a pedal at tick 0 that the file begins later
        controls = track.controls.numpy()
        sustain = controls["number"] == SUSTAIN
        pedals.append(_pedals(controls["time"][sustain], controls["value"][sustain], int(end.max()), number))
    score = _assemble(
        notes,
        pedals,
        midi.ticks_per_quarter,
        [(event.time, event.mspq) for event in midi.tempos],
        [(event.time, event.numerator, event.denominator) for event in midi.time_signatures],
    )
    if score.end > MAX_QUARTERS * score.ticks_per_quarter or score.duration > MAX_SECONDS:
        raise UserError(
            f"its last note ends after {score.end / score.ticks_per_quarter:,.0f} quarter notes and "
            f"{score.duration / 3600:,.1f} hours, which no music does (at most {MAX_QUARTERS:,} and "
            f"{MAX_SECONDS // 3600})"
        )
    return score


def _span(columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    start = columns["time"].astype(np.int64)
    end = start + columns["duration"]
    # symusic counts in 32 bits and wraps around
    if len(start) and (start.min() < 0 or (end < start).any() or end.max() > np.iinfo(np.int32).max):
        raise UserError(f"a tick beyond {np.iinfo(np.int32).max:,}")
    return start, end


def _pedals(ticks: np.ndarray, values: np.ndarray, last: int, track: int) -> np.ndarray:
    """The pedals that controller `values` in 0..127 make; one that is never lifted is held until `last`."""
    down = np.append(values >= 64, False)
    turns = np.flatnonzero(np.diff(down, prepend=False))
    spans = np.append(ticks, max(last, int(ticks.max(initial=0))))[turns].reshape(-1, 2)
    spans = spans[spans[:, 0] < spans[:, 1]]
    pedals = np.zeros(len(spans), PEDAL)
    pedals["start"], pedals["end"], pedals["track"] = spans[:, 0], spans[:, 1], track
    return pedals


def _assemble(
    notes: list[np.ndarray],
    pedals: list[np.ndarray],
    ticks_per_quarter: int,
    tempos: list[tuple[int, int]],
    meters: list[tuple[int, int, int]],
) -> Score:
    for tick, microseconds in tempos:
        if tick < 0 or not 1 <= microseconds <= MAX_TEMPO:
            raise UserError(f"a tempo of {microseconds} microseconds per quarter note at tick {tick}")
    for tick, numerator, denominator in meters:
        if tick < 0 or not 1 <= numerator <= 255 or denominator not in DENOMINATORS:
            raise UserError(f"a meter of {numerator}/{denominator} at tick {tick}")
    meter = changes(np.array([(0, 4, 4), *meters], METER))
    first_bar = 0
    if len(meter) > 1 and meter["tick"][1] * int(meter["denominator"][0]) == (
        4 * ticks_per_quarter * int(meter["numerator"][0])
    ):
        following = bar_ticks(int(meter["numerator"][1]), int(meter["denominator"][1]), ticks_per_quarter)
        if meter["tick"][1] < following:
            first_bar, meter = int(meter["tick"][1]), meter[1:]
            meter["tick"][0] = 0
    held = np.concatenate([np.zeros(0, PEDAL), *pedals])
    return Score(
        sort_notes(np.concatenate([np.zeros(0, NOTE), *notes])),
        ticks_per_quarter,
        changes(np.array([(0, DEFAULT_TEMPO), *tempos], TEMPO)),
        meter,
        held[np.lexsort([held["track"], held["end"], held["start"]])],
        first_bar,
    )


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
        notes.append(make_notes(start, end, pitch, velocity, program, number))
        # where the pedal is lifted and pressed at one time, it is lifted first
        changes = sorted((c.time, c.value) for c in instrument.control_changes if c.number == SUSTAIN)
        ticks = np.array([midi.time_to_tick(time) for time, _ in changes], np.int64)
        pedals.append(_pedals(ticks, np.array([value for _, value in changes]), int(end.max()), number))
    times, rates = midi.get_tempo_changes()
    return _assemble(
        notes,
        pedals,
        midi.resolution,
        [(midi.time_to_tick(time), round(6e7 / rate)) for time, rate in zip(times, rates, strict=True)],
        [(midi.time_to_tick(meter.time), meter.numerator, meter.denominator) for meter in midi.time_signature_changes],
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
