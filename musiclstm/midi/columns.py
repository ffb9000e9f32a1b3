"""What symusic reads in the bytes of a MIDI file, as a `Score`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from musiclstm.errors import FileError
from musiclstm.midi.check import MARK
from musiclstm.midi.events import LAST_TICK, LONGEST, MAX_NOTES
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
    bar_ticks,
    make_notes,
    sort_notes,
)

MAX_LINES = int(np.iinfo(NOTE["track"]).max)  # tracks and programs with notes
MAX_QUARTERS = 200_000  # over a day at 120 a minute: what is longer is damage, not music
MAX_SECONDS = 24 * 3600
SUSTAIN = 64  # the controller number of the pedal


class Refused(Exception):
    """symusic does not read these bytes, and says why."""


class Columns(NamedTuple):
    """A score, how many of its notes have no length or begin while their pitch sounds in their track, and how many
    tempos, meters and pedals were left out that stand where no music can be."""

    score: Score
    without_length: int
    overlapping: int
    far: int


def read_columns(data: bytes, marks: int = 0) -> Columns | None:
    """The score in a MIDI file's bytes, with `track` counted over the tracks and programs that have notes.

    None where there are not so many marks (see `check.with_marks`), or one so late that 32 bits leave no room for
    what follows it, or where there are notes of `LONGEST` ticks or more. Raises Refused, and FileError for what cannot
    be used though it can be read.
    """
    import symusic

    try:
        midi: Any = symusic.Score.from_midi(data)  # its own types know of no attribute
    except MemoryError:
        raise
    except Exception as error:  # its parser lets through whatever the standard library throws
        why = str(error).removeprefix("MiniMidi: ").removeprefix("Invaild midi file! ").removesuffix(": iostream error")
        raise Refused(why.rstrip("!. ")) from None
    if marks:
        keys = midi.key_signatures.numpy()
        found = keys["time"][keys["key"] == MARK]
        if len(found) != marks or found.min() < 0 or found.max() > LAST_TICK - LONGEST:
            return None
    tracks, lengths = [], []
    for track in midi.tracks:
        if length := len(track.notes):
            tracks.append(track)
            lengths.append(length)
    if not tracks:
        raise FileError("no notes in it", kind="empty")
    if len(tracks) > MAX_LINES:
        raise FileError(f"{len(tracks):,} tracks with notes, more than {MAX_LINES:,}", kind="limit")
    if sum(lengths) > MAX_NOTES:
        raise FileError(f"{sum(lengths):,} notes, more than {MAX_NOTES:,}", kind="limit")

    parts = [track.notes.numpy() for track in tracks]
    start, duration, pitch, velocity = (
        parts[0][name] if len(parts) == 1 else np.concatenate([part[name] for part in parts])
        for name in ("time", "duration", "pitch", "velocity")
    )
    if duration.max() >= LONGEST:
        return None
    end = start + duration
    if start.min() < 0 or (end < start).any():  # symusic counts in 32 bits and wraps around
        raise FileError(f"a tick beyond {LAST_TICK:,}", kind="limit")
    programs = [DRUMS if track.is_drum else track.program for track in tracks]
    if len(tracks) == 1:
        number, program = np.zeros(1, np.int64), np.array(programs)
    else:
        number, program = np.repeat(np.arange(len(tracks)), lengths), np.repeat(programs, lengths)
    columns = [start, end, pitch, velocity, program, number]
    key = (start * np.int64(len(tracks)) + number) * 128 + pitch
    if (key[1:] < key[:-1]).any():
        order = np.argsort(key, kind="stable")
        key, columns = key[order], [column[order] if len(column) > 1 else column for column in columns]
    notes = make_notes(*columns, ordered=True)
    if (key[1:] == key[:-1]).any():
        notes = sort_notes(notes)

    latest = min(MAX_QUARTERS * midi.ticks_per_quarter, LAST_TICK)
    pedals, far = [], 0
    for i, track in enumerate(tracks):
        # not `track.pedals`, which has been seen to begin a pedal at tick 0 that the file begins later
        controls = track.controls.numpy()
        sustain = np.flatnonzero(controls["number"] == SUSTAIN)
        if len(sustain):
            ticks, values = controls["time"][sustain], controls["value"][sustain]
            if ticks.min() < 0 or ticks.max() > latest:
                near = np.flatnonzero((ticks <= latest) & (ticks >= 0))
                ticks, values = ticks[near], values[near]
                far += len(sustain) - len(near)
            if len(ticks):
                last = int((parts[i]["time"] + parts[i]["duration"]).max())
                pedals.append(pedal_spans(ticks, values, last, i))
    tempos, meters = midi.tempos.numpy(), midi.time_signatures.numpy()
    near_tempos = _rows(latest, tempos, "time", "mspq")
    near_meters = _rows(latest, meters, "time", "numerator", "denominator")
    far += len(tempos["time"]) - len(near_tempos) + len(meters["time"]) - len(near_meters)
    score = assemble(notes, pedals, midi.ticks_per_quarter, near_tempos, near_meters)
    _refuse_endless(score)
    start, end, pitch, *_, number = columns
    overlapping = _count_overlapping(start, end, pitch if len(tracks) == 1 else number * 128 + pitch)
    return Columns(score, int(np.count_nonzero(duration == 0)), overlapping, far)


def _refuse_endless(score: Score) -> None:
    quarters = score.end / score.ticks_per_quarter
    at_most = quarters * int(score.tempos["microseconds"].max()) / 1e6  # seconds
    if quarters > MAX_QUARTERS or (at_most > MAX_SECONDS and score.duration > MAX_SECONDS):
        raise FileError(
            f"its last note ends after {quarters:,.0f} quarter notes and {score.duration / 3600:,.1f} hours, which no "
            f"music does (at most {MAX_QUARTERS:,} and {MAX_SECONDS // 3600})",
            kind="limit",
        )


def _count_overlapping(start: np.ndarray, end: np.ndarray, voice: np.ndarray) -> int:
    """How many notes, in order, begin while the one before them in their voice still sounds."""
    if voice.itemsize > 2 and voice.max() < 2**16:
        voice = voice.astype(np.uint16)  # which is sorted in no time
    order = np.argsort(voice, kind="stable")
    held = np.flatnonzero(np.take(start, order[1:]) < np.take(end, order[:-1]))
    return int(np.count_nonzero(voice[order[held + 1]] == voice[order[held]]))


def pedal_spans(ticks: np.ndarray, values: np.ndarray, last: int, track: int) -> np.ndarray:
    """The pedals that controller `values` in 0..127 make; one that is never lifted is held until `last`."""
    down = np.zeros(len(values) + 2, bool)  # it is up before the first and after the last
    down[1:-1] = values >= 64
    events = np.flatnonzero(down[1:] != down[:-1])
    if not len(events):
        return np.empty(0, PEDAL)
    turns = np.take(ticks, events, mode="clip")
    if events[-1] == len(ticks):
        turns[-1] = max(last, int(ticks.max()))
    starts, ends = turns[::2], turns[1::2]
    if (starts >= ends).any():
        some = np.flatnonzero(starts < ends)
        starts, ends = starts[some], ends[some]
    pedals = np.empty(len(starts), PEDAL)
    pedals["start"], pedals["end"], pedals["track"] = starts, ends, track
    return pedals


def _rows(latest: int, columns: dict[str, np.ndarray], *names: str) -> list[tuple[int, ...]]:
    """What symusic has sorted by time, up to the `latest` tick."""
    rows: list[tuple[int, ...]] = list(zip(*(columns[name].tolist() for name in names), strict=True))
    beyond = rows and (rows[0][0] < 0 or rows[-1][0] > latest)
    return [row for row in rows if 0 <= row[0] <= latest] if beyond else rows


def assemble(
    notes: np.ndarray,
    pedals: Sequence[np.ndarray],
    ticks_per_quarter: int,
    tempos: Sequence[tuple[int, ...]],
    meters: Sequence[tuple[int, ...]],
) -> Score:
    """A score of sorted notes, with pedals in any order, tempos (tick, microseconds) and meters (tick, numerator,
    denominator).

    A first meter that lasts for one bar, shorter than those of the next meter, becomes a pickup. Raises FileError for
    a tempo or a meter that cannot be.
    """
    for tick, microseconds in tempos:
        if tick < 0 or not 1 <= microseconds <= MAX_TEMPO:
            raise FileError(f"a tempo of {microseconds} microseconds per quarter note at tick {tick:,}", kind="damaged")
    for tick, numerator, denominator in meters:
        if tick < 0 or not 1 <= numerator <= 255 or denominator not in DENOMINATORS:
            raise FileError(f"a meter of {numerator}/{denominator} at tick {tick:,}", kind="damaged")
    meter = np.array(_changes([(0, 4, 4), *meters]), METER)
    first_bar = 0
    if len(meter) > 1 and meter["tick"][1] * int(meter["denominator"][0]) == (
        4 * ticks_per_quarter * int(meter["numerator"][0])
    ):
        following = bar_ticks(int(meter["numerator"][1]), int(meter["denominator"][1]), ticks_per_quarter)
        if meter["tick"][1] < following:
            first_bar, meter = int(meter["tick"][1]), meter[1:]
            meter["tick"][0] = 0
    tempo = np.array(_changes([(0, DEFAULT_TEMPO), *tempos]), TEMPO)
    held = pedals[0] if len(pedals) == 1 else np.concatenate([np.zeros(0, PEDAL), *pedals])
    if len(pedals) > 1:
        held = np.take(held, np.lexsort([held["track"], held["end"], held["start"]]))
    return Score(notes, ticks_per_quarter, tempo, meter, held, first_bar)


def _changes(rows: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What `score.changes` makes of them; there are few in most files, and an array takes longer."""
    at = {row[0]: row for row in sorted(rows, key=itemgetter(0))}
    kept: list[tuple[int, ...]] = []
    for row in at.values():
        if not kept or row[1:] != kept[-1][1:]:
            kept.append(row)
    return kept
