"""Which token may follow in a sequence of MidiTok's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from musiclstm.tokenizers.grammar import Clock, Grammar, row_starts
from musiclstm.tokenizers.miditok_clock import ClockState, MidiTokClock
from musiclstm.tokenizers.miditok_pieces import PITCHES, UNLIMITED, Fact, Pieces
from musiclstm.tokenizers.miditok_types import ENDED, TypeGraph
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD

MOST_HELD = 200  # times that a pitch may sound at once in a program


class MidiTokState(NamedTuple):
    time: ClockState
    kind: np.ndarray
    """Index of `TypeGraph.states`: the type of the last token, in the main; (B,)."""
    program: np.ndarray
    """Index of `TypeGraph.programs`: that in force; (B,)."""
    place: np.ndarray
    """The last position in the bar, -1 before the first; in BEAT how many beats have begun; (B,)."""
    room: np.ndarray
    """How many of them a bar has; (B,)."""
    above: np.ndarray
    """In BEAT the pitch from which the next is counted down, -1 for none; (B,)."""
    noted: np.ndarray
    """Whether there was a note, in this track where tracks are told: bool, (B,)."""
    idle: np.ndarray
    """Whether the last id said nothing: bool, (B,)."""
    struck: np.ndarray
    """program * 128 + pitch: which notes have begun at this time: bool, (B, notes)."""
    held: np.ndarray
    """Where notes are ended by a token, how many sound: uint8, (B, notes)."""


class MidiTokGrammar(Grammar[MidiTokState]):
    """`TypeGraph` says what may stand beside what. Positions ascend within a bar and stay in it; a pitch does
    not begin twice at one time in a program; where notes are ended by a token, it ends only while it sounds and
    not as it begins, and the sequence ends when none sounds.

    With byte pair encoding an id may follow where all its tokens may. Where pitches are told as intervals
    (`use_pitch_intervals`), and in PerTok, notes are not watched, and after a Rest of REMI any position may follow.
    """

    def __init__(self, miditok: Any, pieces: Sequence[Sequence[str]], clock: MidiTokClock, steps: int) -> None:
        """`pieces` are the tokens that each id stands for, `steps` those of the tokenizer in a quarter note."""
        self.types = TypeGraph(miditok)
        self.pieces = Pieces(miditok, self.types, pieces)
        self.time, self.steps = clock, steps
        self.relative = type(miditok).__name__ == "BEAT"
        facts = self.pieces.facts
        watched = bool((facts.on >= 0).any())
        self.notes = len(self.types.programs) * PITCHES if watched else 0
        self.counted = self.notes if self.pieces.ends_notes else 0
        per_beat = 1 if self.relative else miditok.config.max_num_pos_per_beat
        self.room = UNLIMITED if type(miditok).__name__ == "PerTok" else 4 * per_beat
        self.first_program = self.types.programs.index(0) if 0 in self.types.programs else 0
        self.placed = np.flatnonzero((self.pieces.first_place < UNLIMITED) | (self.pieces.last_place >= 0))
        self.lengths = np.array([len(piece) for piece in pieces])
        self.silent = [i for i, piece in enumerate(pieces) if not piece]  # with byte pairs, where a bar begins
        self.tracks = bool(self.pieces.closes.any())

    def start(self, batch: int) -> MidiTokState:
        zero = np.zeros(batch, np.int64)
        place = zero if self.relative else zero - 1
        no, struck, held = zero > 0, np.zeros((batch, self.notes), bool), np.zeros((batch, self.counted), np.uint8)
        program, room = zero + self.first_program, zero + self.room
        return MidiTokState(self.time.begin(batch), zero, program, place, room, zero - 1, no, no, struck, held)

    def allowed(self, state: MidiTokState) -> np.ndarray:
        pieces = self.pieces
        kind = self.types.class_of.take(state.program) * len(self.types.states) + state.kind
        by_types = pieces.rows.reshape(-1, pieces.size).take(kind, 0)
        mask = by_types.copy()
        if len(self.placed):
            first, last = pieces.first_place[self.placed], pieces.last_place[self.placed]
            mask[:, self.placed] &= (first > state.place[:, None] - pieces.again) & (last < state.room[:, None])
        if self.relative:
            self._narrow_beats(state, mask)
        if self.notes:
            free = ~state.struck
            pieces.never.refuse(mask, None, state.program)
            if self.counted:
                free &= state.held < MOST_HELD
                pieces.ending.refuse(mask, state.held > state.struck, state.program)
                pieces.sounding.refuse(mask, state.held > 0, state.program)
            pieces.free.refuse(mask, free, state.program)
        silent: np.ndarray = np.logical_not(np.any(state.held, axis=1))
        if self.tracks:
            may_close = (state.noted[:, None] | pieces.closes_own) & silent[:, None]
            mask &= may_close | ~pieces.closes
        mask[:, EOS] = self.types.complete.take(state.kind) & state.noted & silent
        lost: np.ndarray = np.logical_not(np.any(mask, axis=1))
        if np.count_nonzero(lost):  # all pitches of a program have been struck, and one has to follow
            mask[lost] = by_types[lost]
        ended = state.kind == self.types.state[ENDED]
        mask[:, self.silent] = ~(ended | state.idle)[:, None]
        mask[:, PAD], mask[:, BOS] = ended, False
        return mask

    def _narrow_beats(self, state: MidiTokState, mask: np.ndarray) -> None:
        pieces, above = self.pieces, state.above[:, None]
        lower = (pieces.sinks <= above) & (pieces.first_drum < above)
        mask &= np.where(above < 0, pieces.may_be_first, lower)

    def advance(self, state: MidiTokState, tokens: np.ndarray) -> MidiTokState:
        facts, parts = self.pieces.facts, self.pieces.parts.take(tokens, 0)
        time = self.time.advance(state.time, tokens)
        state = state._replace(time=time, idle=np.isin(tokens, self.silent))
        if self.notes:
            touched = (np.maximum(facts.moves, facts.sounds) > 0) | (facts.off >= 0)
            if np.count_nonzero(touched.take(parts)):
                state = state._replace(struck=state.struck.copy(), held=state.held.copy())
        for column in range(int(self.lengths.take(tokens).max())):
            state = self._advance(state, Fact(*(fact.take(parts[:, column]) for fact in facts)))
        return state

    def _advance(self, state: MidiTokState, said: Fact) -> MidiTokState:
        """The state after one of MidiTok's own tokens a row. `struck` and `held` are changed in place."""
        types = self.types
        kind = types.leads_to[types.class_of.take(state.program), state.kind, said.kind]
        program = np.where(said.program >= 0, said.program, state.program)
        place = np.where(said.place >= -1, said.place, state.place) + said.beats
        room = np.where(said.room > 0, said.room, state.room)
        above = state.above
        if self.relative:
            counted = np.where((above < 0) | (said.drum > 0), said.code, above - said.code)
            above = np.where(said.resets > 0, -1, np.where(said.code >= 0, counted, above))
        noted = (state.noted & (said.track == 0)) | (said.sounds > 0)
        if self.notes:
            moved = said.moves > 0
            if np.count_nonzero(moved):
                state.struck[moved] = False
            self._strike(state, program, said)
        return state._replace(kind=kind, program=program, place=place, room=room, above=above, noted=noted)

    def _strike(self, state: MidiTokState, program: np.ndarray, said: Fact) -> None:
        begins, ends = said.on >= 0, said.off >= 0
        place = row_starts(len(program), self.notes) + program * PITCHES
        if np.count_nonzero(begins):
            at = (place + said.on)[begins]
            state.struck.put(at, True)
            if self.counted:
                state.held.put(at, state.held.take(at) + ~self.types.bare.take(program[begins]))
        if np.count_nonzero(ends) and self.counted:
            at = (place + said.off)[ends]
            count = state.held.take(at)
            state.held.put(at, count - (count > 0))

    def features(self, state: MidiTokState) -> np.ndarray:
        return np.zeros((len(state.kind), 0), np.int64)

    def clock(self, state: MidiTokState) -> Clock:
        return self.time.clock(state.time, self.steps)
