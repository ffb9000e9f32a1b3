"""What the grammar of MidiTok's tokenizers allows is what MidiTok writes, and what it counts no error in."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest

from musiclstm.score import DRUMS, METER, TEMPO, Score, cut_overlaps, make_notes, sort_notes
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD
from tests.tokenizers.checks import beside, check_grammar, check_states, draw

pytest.importorskip("miditok", reason="the miditok extra is not installed")

from musiclstm.tokenizers.miditok_adapter import MidiTok
from musiclstm.tokenizers.miditok_grammar import MidiTokGrammar, MidiTokState

EVERYTHING = {"use_tempos": True, "use_sustain_pedals": True, "use_rests": True, "use_chords": True}
PIANO = {"use_programs": False}
NO_DRUM_LENGTHS = {"use_note_duration_programs": list(range(128))}
CASES: list[tuple[str, dict[str, Any], int | None]] = [
    ("REMI", {}, None),
    ("REMI", {}, 700),
    ("REMI", PIANO, 700),
    ("REMI", EVERYTHING, None),
    ("REMI", NO_DRUM_LENGTHS, 700),
    ("REMI", {"use_bar_end_tokens": True, "add_trailing_bars": True, "use_time_signatures": False}, None),
    ("REMI", {"program_changes": True, "use_velocities": False}, None),
    ("TSD", {}, None),
    ("TSD", {}, 700),
    ("TSD", EVERYTHING, None),
    ("TSD", {**PIANO, "use_time_signatures": False}, None),
    ("MIDILike", {}, None),
    ("MIDILike", {}, 800),
    ("MIDILike", PIANO, 700),
    ("MIDILike", EVERYTHING, 1000),
    ("Structured", {}, None),
    ("Structured", {}, 700),
    ("Structured", PIANO, 700),
    ("BEAT", {}, None),
    ("BEAT", {}, 700),
    ("MMM", {}, 700),
    ("MMM", {"base_tokenizer": "MIDILike"}, None),
    ("PerTok", {}, 700),
    ("PerTok", {"use_microtiming": True}, None),
    ("PerTok", {"use_position_toks": True}, None),
]
NOTES = ("Pitch", "PitchDrum", "NoteOn", "DrumOn")


def music(seed: int, bars: int = 8) -> Score:
    """Three instruments on a grid of eighths, one of them drums, with rests, changes of meter and tempo."""
    random = np.random.default_rng(seed)
    parts = []
    for track, program in enumerate((0, 40, DRUMS)):
        start = np.flatnonzero(random.random(8 * bars) < 0.4).repeat(2) * 240
        length = random.integers(1, 6, len(start)) * 240
        pitch = 36 + random.integers(0, 4, len(start)) if program == DRUMS else random.integers(50, 75, len(start))
        parts.append(make_notes(start, start + length, pitch, random.integers(1, 127, len(start)), program, track))
    notes = cut_overlaps(sort_notes(np.concatenate(parts)))
    meters = np.array([(0, 4, 4), (1920 * 3, 3, 4), (1920 * 3 + 1440 * 2, 6, 8)], METER)
    return Score(notes, 480, np.array([(0, 500_000), (1920, 400_000)], TEMPO), meters)


@cache
def scores() -> list[Score]:
    return [music(seed) for seed in range(3)]


@cache
def made(case: int) -> MidiTok:
    name, config, bpe = CASES[case]
    config = {"use_programs": True, **config}
    made = MidiTok.fit(scores(), tokenizer=name, config=config, bpe=bpe)
    assert isinstance(made, MidiTok)
    return made


def told(tokenizer: MidiTok, ids: np.ndarray) -> list[str]:
    """MidiTok's own tokens."""
    return [token for i in ids for token in tokenizer.pieces[i] if i > EOS]


def walks(tokenizer: MidiTok, seed: int, length: int = 70, batch: int = 8) -> list[np.ndarray]:
    """Sequences that the grammar allows: every first type as likely as another; in the end notes are closed."""
    grammar, random = tokenizer.grammar(), np.random.default_rng(seed)
    first = [piece[0].partition("_")[0] if piece else "" for piece in tokenizer.pieces]
    count = Counter(first)
    weights = np.array([1 / count[kind] for kind in first])
    opens = np.array([any(token.startswith(("NoteOn", "DrumOn")) for token in piece) for piece in tokenizer.pieces])
    closes = np.array([any(token.startswith(("NoteOff", "DrumOff")) for token in piece) for piece in tokenizer.pieces])
    weights[closes] *= 10
    state = grammar.start(batch)
    drawn = [np.full(batch, BOS)]
    for i in range(20 * length):
        allowed = grammar.allowed(state)
        ways: np.ndarray = np.any(allowed, axis=1)
        assert ways.all(), told(tokenizer, np.stack(drawn, 1)[ways.argmin()])[-20:]
        wanted = np.repeat(weights[None], batch, 0)
        wanted[:, EOS] = 1e-9 if i < length else 1e9
        if i >= length and closes.any():
            wanted[:, opens] *= 1e-6
            prefer_held(tokenizer, grammar, state, wanted)
        drawn.append(draw(allowed * wanted, random))
        state = grammar.advance(state, drawn[-1])
        if np.isin(drawn[-1], (EOS, PAD)).all():
            return [row[row != PAD] for row in np.stack(drawn, 1)]
    raise AssertionError("no end was reached")


def prefer_held(tokenizer: MidiTok, grammar: MidiTokGrammar, state: MidiTokState, wanted: np.ndarray) -> None:
    """Makes the programs likely of which notes sound."""
    held: np.ndarray = np.any(state.held.reshape(len(wanted), -1, 128), axis=2)
    for i, piece in enumerate(tokenizer.pieces):
        if len(piece) == 1 and piece[0].startswith("Program_"):
            wanted[:, i] *= np.where(held[:, grammar.types.programs.index(int(piece[0][8:]))], 100, 1e-3)


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: "-".join(map(str, CASES[i])))
def test_what_is_allowed_is_said_without_error(case: int) -> None:
    tokenizer = made(case)
    name, config, _ = CASES[case]
    for ids in walks(tokenizer, case):
        tokens, score = told(tokenizer, ids), tokenizer.decode(ids)
        assert (score.notes["end"] > score.notes["start"]).all()
        if name == "BEAT":  # which goes on only with what sounds
            assert len(score) > 0
        else:
            assert len(score) == sum(token.partition("_")[0] in NOTES for token in tokens)
        if config is not NO_DRUM_LENGTHS:  # which MidiTok counts as errors, though it writes them
            assert tokenizer.miditok._tokens_errors(tokens) == 0


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: "-".join(map(str, CASES[i])))
def test_what_miditok_writes_is_allowed(case: int) -> None:
    tokenizer = made(case)
    check_grammar(tokenizer, [tokenizer.encode(score) for score in [*scores(), music(9)]])


@pytest.mark.parametrize("name", ["REMI", "TSD", "MIDILike", "Structured"])
def test_doubled_notes_are_written_once(name: str) -> None:
    notes = scores()[0].notes
    doubled = notes.copy()
    doubled["track"] += 3
    doubled["end"] += 60
    tokenizer = MidiTok(name)
    check_grammar(
        tokenizer, [tokenizer.encode(scores()[0].replace(notes=sort_notes(np.concatenate([notes, doubled]))))]
    )


@pytest.mark.parametrize("case", [0, 1, 11, 12, 18, 19, 20, 21])
def test_states(case: int) -> None:
    tokenizer = made(case)
    check_states(tokenizer, [tokenizer.encode(score) for score in scores()], longest=60)


@pytest.mark.parametrize("name", ["REMI", "TSD", "MIDILike"])
def test_a_program_of_which_all_pitches_are_struck_leaves_a_way_on(name: str) -> None:
    tokenizer = MidiTok(name, {"pitch_range": (60, 62), "use_pitchdrum_tokens": False, "programs": [0]})
    walks(tokenizer, 0, length=300, batch=4)


def allowed_after(tokenizer: MidiTok, *said: str) -> set[str]:
    """The base tokens that may follow some of them."""
    ids = [BOS, *(tokenizer.miditok.vocab[token] for token in said)]
    grammar = tokenizer.grammar()
    state = grammar.start(1)
    for token in beside([np.array(ids)], len(ids))[0, 1:]:
        state = grammar.advance(state, np.array([token]))
    return {tokenizer.vocabulary.tokens[i] for i in np.flatnonzero(grammar.allowed(state)[0])}


def kinds(tokens: set[str]) -> set[str]:
    return {token.partition("_")[0] for token in tokens}


def test_positions_ascend_and_stay_in_the_bar() -> None:
    remi = made(0)
    header = ("Bar_None", "TimeSig_3/4", "Position_6")
    note = ("Program_0", "Pitch_60", "Velocity_63", "Duration_1.0.8")
    assert kinds(allowed_after(remi)) == {"Bar"}
    assert kinds(allowed_after(remi, *header[:2])) == {"Bar", "Position"}
    assert kinds(allowed_after(remi, *header)) == {"Program"}
    assert kinds(allowed_after(remi, *header, "Program_-1")) == {"PitchDrum"}
    after = allowed_after(remi, *header, *note)
    assert {token for token in after if token.startswith("Position")} == {f"Position_{i}" for i in range(7, 24)}
    assert kinds(after) == {"Program", "Position", "Bar", "EOS"}
    assert "Pitch_60" not in allowed_after(remi, *header, *note, "Program_0")
    assert "Pitch_60" in allowed_after(remi, *header, *note, "Program_40")
    assert "Pitch_60" in allowed_after(remi, *header, *note, "Position_9", "Program_0")


def test_notes_are_ended_only_while_they_sound() -> None:
    like = made(11)
    on = ("TimeSig_4/4", "Program_40", "NoteOn_60", "Velocity_63")
    assert kinds(allowed_after(like, *on)) == {"Program", "TimeShift"}
    assert kinds(allowed_after(like, *on, "Program_40")) == {"NoteOn"}  # not at the time at which it began
    later = allowed_after(like, *on, "TimeShift_1.0.8", "Program_40")
    assert {token for token in later if token.startswith("NoteOff")} == {"NoteOff_60"}
    assert kinds(allowed_after(like, *on, "TimeShift_1.0.8", "Program_0")) == {"NoteOn"}
    off = (*on, "TimeShift_1.0.8", "Program_40", "NoteOff_60")
    assert "EOS" in allowed_after(like, *off)
    assert "NoteOn_60" in allowed_after(like, *off, "Program_40")
    assert "EOS" not in allowed_after(like, *off, "Program_40")


def test_a_track_ends_with_a_note_in_it() -> None:
    mmm = made(20)
    assert allowed_after(mmm) >= {"Track_Start"}
    begun = ("Track_Start", "Program_0", "TimeSig_4/4")
    assert "Track_End" not in allowed_after(mmm, *begun)
    note = ("Pitch_60", "Velocity_63", "Duration_1.0.8")
    after = allowed_after(mmm, *begun, *note)
    assert "Track_End" in after
    assert "EOS" not in after
    assert allowed_after(mmm, *begun, *note, "Track_End") >= {"EOS", "Track_Start"}


def test_micro_timing_does_not_lead_before_the_beginning() -> None:
    tokenizer = made(23)
    early = min(
        (token for token in tokenizer.miditok.vocab if token.startswith("MicroTiming")), key=lambda t: int(t[12:])
    )
    said = ("TimeSig_4/4", "Program_0", early, "Pitch_60", early, "Velocity_63", "Duration_1.0.320")
    score = tokenizer.decode(np.array([BOS, *(tokenizer.miditok.vocab[token] for token in said)]))
    assert score.notes[["start", "end"]].tolist() == [(0, 320 + int(early[12:]))]


@pytest.mark.parametrize(("plain", "paired"), [(0, 1), (7, 8), (11, 12), (15, 16), (18, 19)])
def test_an_id_may_follow_where_all_its_tokens_may(plain: int, paired: int) -> None:
    tokenizer, slow, grammar = made(paired), made(plain).grammar(), made(paired).grammar()
    random = np.random.default_rng(0)
    found = Counter[bool]()
    for ids in [*walks(tokenizer, 3, batch=2), tokenizer.encode(scores()[0])[:200]]:
        state, steps = grammar.start(1), slow.start(1)
        for i in ids[1:-1].tolist():
            if random.random() < 0.3:
                allowed = grammar.allowed(state)[0]
                for candidate in [i, *random.integers(3, len(tokenizer.vocabulary), 20).tolist()]:
                    part = [tokenizer.miditok.vocab[token] for token in tokenizer.pieces[candidate]]
                    if part:
                        possible = may_follow(slow, steps, part)
                        assert allowed[candidate] == possible, (told(tokenizer, ids), tokenizer.pieces[candidate])
                        found[possible] += 1
            state = grammar.advance(state, np.array([i]))
            for token in tokenizer.pieces[i]:
                steps = slow.advance(steps, np.array([tokenizer.miditok.vocab[token]]))
    assert min(found.values()) > 20


def may_follow(grammar: MidiTokGrammar, state: MidiTokState, tokens: list[int]) -> bool:
    for token in tokens:
        if not grammar.allowed(state)[0, token]:
            return False
        state = grammar.advance(state, np.array([token]))
    return True
