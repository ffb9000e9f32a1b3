"""Notes in a MIDI track that are never ended: where they end."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from musiclstm.midi.events import CONTROL, NOTE_OFF, NOTE_ON, Track

ON, OFF, QUIET = range(3)  # what an event means for a note of its pitch
QUIETING = {120, *range(123, 128)}  # controllers that end all notes of their channel


def end_notes(track: Track, bar: int) -> int:
    """Add the note-offs that are missing; returns how many notes were never ended.

    A note-off ends the first of the notes of its pitch and channel that sound. Where that leaves one unended, those
    before it, back to where the pitch was last at rest, may have been given the wrong note-offs: then each of them ends
    at the first note-off or where its pitch begins again. A note that is not followed by a note-off ends after a `bar`
    (ticks), or with the track, if that comes before.
    """
    unended = _unended(track)
    added = []
    for key, events in unended.items():
        note_off = bytes([NOTE_OFF << 4 | key >> 7, key & 0x7F, 0])
        added += [(place, tick, note_off) for place, tick in _missing(track, events, bar)]
    added.sort()
    ticks: list[int] = []
    messages: list[bytes] = []
    done = 0
    for place, tick, note_off in added:
        ticks += [*track.ticks[done:place], tick]
        messages += [*track.messages[done:place], note_off]
        done = place
    track.ticks[:done], track.messages[:done] = ticks, messages
    meanings = [meaning for events in unended.values() for _, meaning in events]
    return meanings.count(ON) - meanings.count(OFF)


def _unended(track: Track) -> dict[int, list[tuple[int, int]]]:
    """For each channel and pitch with a note that is never ended: what happened to it since it was last at rest, the
    index of each event and what it means."""
    sounding: dict[int, list[tuple[int, int]]] = {}
    depths: dict[int, int] = {}
    begun: list[set[int]] = [set() for _ in range(16)]  # in each channel, since it was last quieted
    for i, message in enumerate(track.messages):
        kind, channel = message[0] >> 4, message[0] & 0xF
        if kind == NOTE_ON and message[2]:
            key = channel << 7 | message[1]
            sounding.setdefault(key, []).append((i, ON))
            depths[key] = depths.get(key, 0) + 1
            begun[channel].add(key)
        elif kind in (NOTE_OFF, NOTE_ON):
            key = channel << 7 | message[1]
            if key in sounding:
                depths[key] -= 1
                sounding[key].append((i, OFF))
                if not depths[key]:
                    del sounding[key]
        elif kind == CONTROL and message[1] in QUIETING:
            for key in begun[channel] & sounding.keys():
                sounding[key].append((i, QUIET))
            begun[channel].clear()
    return sounding


def _missing(track: Track, events: Sequence[tuple[int, int]], bar: int) -> list[tuple[int, int]]:
    """Where note-offs are missing: before which event, and at which tick."""
    found = []
    begun = None
    for i, meaning in [*events, (len(track.ticks), ON)]:
        if begun is not None and meaning != OFF:
            place, tick = i, track.ticks[i] if i < len(track.ticks) else track.end
            latest = track.ticks[begun] + bar
            if meaning == ON and tick > latest:
                place, tick = bisect_left(track.ticks, latest, begun + 1, i), latest
            found.append((place, tick))
        begun = i if meaning == ON else None
    return found
