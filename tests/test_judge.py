"""The judge of `benchmarks` on files made by hand: what keeps to each setting, and what does not."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import mido
import pytest

from benchmarks.judge import judge
from benchmarks.judge_reading import Piece, read
from benchmarks.judge_terms import Spell, chord_bars, numbers, programs, scale, tonic_triad

TICKS = 24
Made = tuple[float, float, int]  # onset and end in quarters, pitch


def midi(
    *tracks: list[Made],
    meters: dict[float, tuple[int, int]] | None = None,
    tempos: dict[float, float] | None = None,
    velocity: int = 80,
    programs: tuple[int, ...] = (),
) -> bytes:
    """A file with a track for each list of notes; `programs` of 128 are drums."""
    file = mido.MidiFile(ticks_per_beat=TICKS)
    timing: list[tuple[float, int, Any]] = []
    for at, (numerator, denominator) in (meters or {0: (4, 4)}).items():
        message = mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator)
        timing.append((at, 0, message))
    for at, tempo in (tempos or {}).items():
        timing.append((at, 1, mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo))))
    file.tracks.append(events(timing))
    for number, notes in enumerate(tracks):
        program = programs[number] if number < len(programs) else 0
        channel = 9 if program == 128 else number
        played = [(0.0, 0, mido.Message("program_change", channel=channel, program=program % 128))]
        for onset, end, pitch in notes:
            played.append((end, 1, mido.Message("note_off", channel=channel, note=pitch)))
            played.append((onset, 2, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        file.tracks.append(events(played))
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def events(timed: list[tuple[float, int, Any]]) -> Any:
    track, before = mido.MidiTrack(), 0
    for at, _, message in sorted(timed, key=lambda event: event[:2]):
        tick = round(at * TICKS)
        track.append(message.copy(time=tick - before))
        before = tick
    return track


def line(*pitches: int, start: float = 0, length: float = 1) -> list[Made]:
    return [(start + i * length, start + (i + 1) * length, pitch) for i, pitch in enumerate(pitches)]


def violations(content: bytes, tokenizer: str = "remi", **settings: Any) -> list[str]:
    piece = read(content)
    assert piece.problems == []
    return [said for found in judge(piece, settings, tokenizer).values() for said in found]


KEPT_AND_BROKEN: list[tuple[dict[str, Any], bytes, bytes, str]] = [
    (
        {"key": "C major"},
        midi(line(60, 62, 64)),
        midi(line(60, 61)),
        "bar 1, 1 quarters in, pitch 61 is not in C",
    ),
    ({"key": "A minor"}, midi(line(57, 66, 68, 67, 65)), midi(line(57, 61)), "pitch 61"),
    ({"key": "C major"}, midi(line(61), programs=(128,)), midi(line(61)), "pitch 61"),
    (
        {"key": "C major", "sections": [{"bars": "2-", "key": "A minor"}]},
        midi(line(60, 62, 64, 65, 68)),
        midi(line(60, 62, 64, 68, 69)),
        "bar 1, 3 quarters in, pitch 68",
    ),
    ({"pitch_range": "C3-C5"}, midi(line(48, 72)), midi(line(47, 72)), "pitch 47 is not within C3-C5"),
    ({"pitch_range": "48-72"}, midi(line(48, 72)), midi(line(48, 73)), "pitch 73"),
    (
        {"instruments": ["violin", 19, "drums"]},
        midi(line(60), line(60), line(60), programs=(40, 19, 128)),
        midi(line(60), line(60), programs=(40, 18)),
        "is played by 18",
    ),
    (
        {"polyphony": 2},
        midi([(0, 2, 60), (1, 3, 64), (2, 3, 67)]),
        midi([(0, 2, 60), (1, 3, 64), (1.5, 2, 67)]),
        "bar 1, 3/2 quarters in, pitch 67: 3 notes sound, at most 2 may",
    ),
    (  # held into the section, and nothing begins
        {"sections": [{"bars": "2", "polyphony": 1}]},
        midi([(0, 8, 60), (0, 8, 64), (8, 9, 60)]),
        midi([(0, 8, 60), (4, 8, 64), (8, 9, 60)]),
        "bar 2",
    ),
    ({"density": "2-4"}, midi(line(*[60] * 4, *[62] * 4, 60)), midi(line(*[60] * 5, start=3)), "bar 1: 1 notes begin"),
    ({"density": "0-3"}, midi(line(60, 62, 64)), midi(line(60, 62, 64, 65)), "bar 1: 4 notes begin, not 0-3"),
    (
        {"density": 2},
        midi(line(60, 62, 64) + line(60, start=4) + line(60, 62, start=8)),
        midi(line(60, 62, 64) + line(60, 62, 64, start=4)),
        "bar 2: 6 notes in 2 bars, not 2 a bar",
    ),
    ({"density": 4}, midi(line(*[60] * 9)), midi(line(*[60] * 9, length=2)), "bar 2: 4 notes in 2 bars"),
    ({"velocity": "40-90"}, midi(line(60), velocity=40), midi(line(60), velocity=91), "has velocity 91, not 40-90"),
    (
        {"tempo": 90, "sections": [{"bars": "2-", "tempo": 133}]},
        midi(line(60, 62, length=4), tempos={0: 90, 4: 133}),
        midi(line(60, 62, length=4), tempos={0: 90, 5: 133}),
        "bar 2: the tempo is 90.000, 133.000, not 133",
    ),
    ({"tempo": 120}, midi(line(60)), midi(line(60), tempos={0: 121}), "bar 1: the tempo is 121.000"),
    (
        {"meter": "4/4", "sections": [{"bars": "3-", "meter": "3/4"}]},
        midi(line(60, 62, 64, length=4), meters={0: (4, 4), 8: (3, 4)}),
        midi(line(60, 62, 64, length=4), meters={0: (4, 4), 7: (3, 4)}),
        "bar 2: 4/4 cut off",
    ),
    ({"meter": "6/8"}, midi(line(60), meters={0: (6, 8)}), midi(line(60), meters={0: (3, 4)}), "bar 1: 3/4, not 6/8"),
    ({"bars": 2}, midi(line(60, 62, length=4)), midi(line(60, 62, 64, length=4)), "begins in bar 3, not in bar 2"),
    ({"bars": 2}, midi(line(60, 62, length=4)), midi([(0, 1, 60), (4, 9, 62)]), "sounds to quarter 9: the end is at 8"),
    (  # a pickup of a quarter shortens the last bar
        {"bars": 2, "meter": "4/4"},
        midi([*line(60, start=0), (5, 8, 62)], meters={0: (1, 4), 1: (4, 4)}),
        midi([*line(60, start=0), (5, 9, 62)], meters={0: (1, 4), 1: (4, 4)}),
        "sounds to quarter 9: the end is at 8",
    ),
    (
        {"chords": "C Am"},
        midi([*line(60, 64, 67, 72, 69, 60), (0.5, 1, 61)]),
        midi(line(60, 64, 67, 72, 67, 60)),
        "bar 2, 0 quarters in, pitch 67 is not in the chord Am",
    ),
    (
        {"chords": "C Am | F | N"},
        midi(line(60, 64, 69, 64, 65, 65, 65, 65, 61, 61, 61, 61, 60)),
        midi(line(60, 64, 67)),
        "bar 1, 2 quarters in, pitch 67 is not in the chord Am",
    ),
    (
        {"chords": "C", "sections": [{"bars": "2-", "chords": "F G"}]},
        midi(line(60, 65, 67, 65, length=4)),
        midi(line(60, 67, 65, length=4)),
        "bar 2",
    ),
    (  # beats of dotted quarters
        {"chords": "C"},
        midi(line(60, 61, 61, 64, length=0.5), meters={0: (6, 8)}),
        midi(line(60, 61, 61, 62, length=0.5), meters={0: (6, 8)}),
        "3/2 quarters in, pitch 62",
    ),
    (
        {"rhythm": "x..x..x."},
        midi([(0, 1, 60), (1.5, 2, 62), (3, 4, 60), (4, 5, 60)]),
        midi([(0, 1, 60), (1.5, 2, 62), (4, 5, 60)]),
        "bar 1: no note begins 3 quarters in",
    ),
    ({"rhythm": "x.x."}, midi(line(60, 62, length=2)), midi(line(60, 62)), "bar 1: a note begins 1 quarters in"),
    ({"rhythm": "x.x.", "bars": 1}, midi(line(60, 62, length=2)), midi(line(60, length=2)), "no note begins 2"),
    ({"no_repeat": 1}, midi(line(60, 62, 60, length=4)), midi(line(60, 60, length=4)), "bar 2 is bar 1 over again"),
    ({"no_repeat": 2}, midi(line(60, 62, 64, length=4)), midi(line(60, 62, 60, length=4)), "bar 3 is bar 1 over"),
    ({"no_repeat": 1}, midi(line(60, start=0) + line(62, start=12)), midi(line(*[60] * 12)), "bar 2 is bar 1"),
    (
        {"key": "A minor", "bars": 1, "ending": "tonic"},
        midi([*line(60, 62), (2, 4, 57), (3, 4, 64)]),
        midi([*line(60, 62), (2, 4, 60), (3, 4, 57), (3, 4, 52)]),
        "the last sonority is [52, 57, 60]",
    ),
    (
        {"key": "C major", "bars": 1, "ending": "tonic", "sections": [{"bars": "1-", "key": "G major"}]},
        midi(line(67)),
        midi(line(60)),
        "triad of G major",
    ),
]


@pytest.mark.parametrize(("settings", "kept", "broken", "said"), KEPT_AND_BROKEN)
def test_each_constraint(settings: dict[str, Any], kept: bytes, broken: bytes, said: str) -> None:
    assert violations(kept, **settings) == []
    found = violations(broken, **settings)
    assert any(said in violation for violation in found), found


def test_what_ends_by_itself_owes_nothing_in_its_last_bar() -> None:
    piece = midi(line(60, 62, 64, 65, 60))
    assert violations(piece, density="3-4") == []
    assert violations(piece, rhythm="xxxx") == []
    assert violations(piece, density="0-3") == ["bar 1: 4 notes begin, not 0-3"]
    held = midi([*line(60, 62, 64, 65), (4, 16, 60)])
    assert violations(held, density="3-4") == []


def test_silence_before_the_last_bar_counts() -> None:
    piece = midi(line(60, 62, 64, 65))
    assert violations(piece, density="3-4", bars=2) == ["the last note begins in bar 1, not in bar 2"]
    assert "bar 2: 0 notes begin, not 3-4" in violations(piece, density="3-4", bars=3)


def test_a_pickup_is_bar_0() -> None:
    piece = read(midi(line(61, 60, 62), meters={0: (1, 4), 1: (3, 4)}))
    assert [(bar.number, int(bar.start), int(bar.end)) for bar in piece.bars] == [(0, 0, 1), (1, 1, 4)]
    assert piece.pickup == 1
    assert judge(piece, {"sections": [{"bars": "1-", "key": "C major"}]}) == {"key": []}
    assert judge(piece, {"key": "C major"})["key"] == ["bar 0, 0 quarters in, pitch 61 is not in C major"]
    assert judge(piece, {"meter": "3/4", "rhythm": "xxx", "density": "0-2"}) == {
        "density": [],
        "meter": [],
        "rhythm": [],
    }
    longer = read(midi(line(60, 60, 62), meters={0: (3, 4), 3: (2, 4)}))
    assert longer.bars[0].number == 1


def test_chords_hold_for_every_note_of_a_performance() -> None:
    piece = midi([(0, 1, 60), (0.5, 1, 62)])
    assert violations(piece, chords="C") == []
    assert len(violations(piece, "performance", chords="C")) == 1


def test_voices_take_the_instruments_in_order() -> None:
    piece = midi(line(72), line(67), line(60), programs=(73, 40, 40))
    assert violations(piece, "voices", instruments=["flute", "violin"]) == []
    assert len(violations(piece, "voices", instruments=["violin", "flute"])) == 1


def test_given_notes(tmp_path: Path) -> None:
    given = tmp_path / "given.mid"
    given.write_bytes(midi(line(60, 64, length=2), programs=(40,)))
    settings = {"notes": str(given)}
    assert violations(midi(line(60, 64, length=2), line(67), programs=(40, 0)), **settings) == []
    assert len(violations(midi(line(60, 64, length=2)), **settings)) == 2
    assert violations(midi(line(60, 64, length=2)), "frames", **settings) == []
    assert violations(midi(line(60, 65, length=2)), "frames", **settings) == [
        "quarter 2 to 4: pitch 64 was given and is not there"
    ]
    assert (
        "beyond the given bars" in violations(midi(line(60, 64, length=2), line(67, start=4)), "voices", **settings)[0]
    )


def test_a_given_voice(tmp_path: Path) -> None:
    given = tmp_path / "given.mid"
    given.write_bytes(midi(line(60, 64)))
    settings = {"notes": str(given), "voice": 2}
    assert violations(midi(line(72), line(60, 64)), "voices", **settings) == []
    assert len(violations(midi(line(72), line(60, 64, 65)), "voices", **settings)) == 1
    assert len(violations(midi(line(72), line(60), line(60, 64)), "voices", **settings)) == 1


def broken_file(*messages: mido.Message) -> Piece:
    file = mido.MidiFile(ticks_per_beat=TICKS)
    file.tracks.append(mido.MidiTrack(messages))
    content = io.BytesIO()
    file.save(file=content)
    return read(content.getvalue())


def on(pitch: int, time: int = 0) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=80, time=time)


def off(pitch: int, time: int = 0) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=0, time=time)


def test_files_that_are_not_whole() -> None:
    assert broken_file(on(60), off(60, 24)).problems == []
    assert "left hanging" in broken_file(on(60), on(61), off(61, 24)).problems[0]
    assert "begins while it sounds" in broken_file(on(60), on(60, 12), off(60, 12), off(60, 12)).problems[0]
    assert "ends and does not sound" in broken_file(on(60), off(60, 24), off(60, 24)).problems[0]
    assert "lasts no time" in broken_file(on(60), off(60)).problems[0]
    assert broken_file().problems == ["empty: not one note"]
    assert "does not parse" in read(b"MThd and then nothing").problems[0]
    assert "does not parse" in read(b"").problems[0]


def test_times_are_exact() -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([on(60, 160), off(60, 160)]))
    content = io.BytesIO()
    file.save(file=content)
    (note,) = read(content.getvalue()).notes
    assert (note.onset, note.end) == (Fraction(1, 3), Fraction(2, 3))


def test_terms() -> None:
    assert scale("F# dorian") == {6, 8, 9, 11, 1, 3, 4}
    assert scale("Bb major") == {10, 0, 2, 3, 5, 7, 9}
    assert scale("A harmonic minor") == {9, 11, 0, 2, 4, 5, 8}
    assert tonic_triad("B locrian") == (11, {11, 2, 5})
    assert tonic_triad("C whole tone") == (0, {0, 4, 8})
    assert numbers("C-1-G9", Spell.PITCH) == (0, 127)
    assert numbers("Bb2-F#5", Spell.PITCH) == (46, 78)
    assert numbers([40, 90], Spell.PLAIN) == (40, 90)
    assert programs("violin, 3") == [40, 3]
    assert chord_bars("| C/D Bbm7b5 | - |") == [
        [("C/D", {0, 4, 7, 2}), ("Bbm7b5", {10, 1, 4, 8})],
        [("-", None)],
    ]
    for make in (lambda: scale("H major"), lambda: chord_bars("Cx"), lambda: numbers("low", Spell.PLAIN)):
        with pytest.raises(ValueError, match="no "):
            make()


def test_settings_without_a_rule() -> None:
    with pytest.raises(ValueError, match="no rule for"):
        violations(midi(line(60)), mood="sad")
    with pytest.raises(ValueError, match="may vary"):
        violations(midi(line(60)), sections=[{"bars": 1, "notes": "x.mid"}])
