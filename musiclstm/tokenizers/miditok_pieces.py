"""What each id of a MidiTok vocabulary says and needs, made once from the tokens that it stands for.

With byte pair encoding an id is several of MidiTok's own tokens. It may follow where all of them may, one after the
other; what that asks of the state before is gathered here, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

import numpy as np

from musiclstm.tokenizers.grammar import row_starts
from musiclstm.tokenizers.miditok_types import NONE, TypeGraph, is_time, kind_of

PITCHES = 128
CURRENT = -1  # the program in force, whichever it is
UNLIMITED = 1 << 40

Key = tuple[int, int]  # index of a program or CURRENT, pitch


class Fact(NamedTuple):
    """What one of MidiTok's own tokens says, whole numbers, or arrays of them for several; -1 where it says nothing."""

    kind: Any  # of TypeGraph.kinds
    program: Any  # index of it
    moves: Any  # 1 where time goes on
    place: Any  # the position in the bar that it sets, below -1 for none
    beats: Any  # how many more beats of the bar have begun
    room: Any  # positions, or beats, in the bars of a meter
    on: Any  # the pitch that begins
    off: Any  # the pitch that ends
    sounds: Any  # 1 where a note begins, 0 elsewhere
    code: Any  # the pitch as BEAT counts it
    drum: Any  # 1 where that is absolute
    resets: Any  # 1 where BEAT's next pitch is absolute
    track: Any  # 1 where a track begins


NOTHING = Fact(0, -1, 0, -2, 0, 0, -1, -1, 0, -1, 0, 0, 0)


def facts_of(tokenizer: Any, graph: TypeGraph) -> list[Fact]:
    """The facts of all of MidiTok's own tokens, in its order."""
    name = type(tokenizer).__name__
    per_beat = 1 if name == "BEAT" else tokenizer.config.max_num_pos_per_beat
    watched = name not in ("BEAT", "PerTok") and not tokenizer.config.use_pitch_intervals
    relative = name == "BEAT"
    facts = []
    for token in tokenizer.vocab:
        kind, value = kind_of(token), token.partition("_")[2]
        said: dict[str, int] = {"kind": graph.kind.get(kind, graph.kind[NONE]), "moves": int(is_time(token))}
        if kind == "EOS":
            said["kind"] = graph.kind["EOS"]
        elif kind == "Program":
            said["program"] = graph.programs.index(int(value))
        elif kind in ("Bar", "Track_Start", "Rest"):
            if not relative or kind != "Rest":
                said["place"] = 0 if relative else -1
        elif kind == "Position":
            said["place"] = int(value)
        elif kind == "TimeSig" and name != "PerTok":
            said["room"] = int(value.partition("/")[0]) * per_beat
        elif kind in ("Pitch", "NoteOn", "PitchDrum", "DrumOn"):
            said |= {"on": int(value), "sounds": 1} if watched else {"sounds": int(not relative)}
            if relative:
                said |= {"code": int(value), "drum": int(kind == "PitchDrum")}
        elif kind in ("NoteOff", "DrumOff") and watched:
            said["off"] = int(value)
        elif kind.startswith("PitchInterval"):
            said["sounds"] = 1
        elif kind == "Pattern":
            pattern = int(value)
            said["sounds"] = int(any(pattern // step % 3 == 1 for step in (27, 9, 3, 1)))
        said["beats"] = int(kind == "Beat")
        said["resets"] = int(relative and kind in ("Bar", "Beat", "Program"))
        said["track"] = int(kind == "Track_Start")
        facts.append(NOTHING._replace(**said))
    return facts


class Row(NamedTuple):
    """Notes that an id needs while some program is in force: `when`, or CURRENT for any other than `but`."""

    id: int
    when: int
    but: list[int]
    keys: list[Key]


class Needs:
    """Notes that have to be in some state before an id may follow."""

    def __init__(self, rows: Sequence[Row]) -> None:
        keys, others = max([1, *(len(row.keys) for row in rows)]), max([1, *(len(row.but) for row in rows)])
        self.ids = np.array([row.id for row in rows], np.int64)
        self.when = np.array([row.when for row in rows], np.int64)
        self.but = np.full((len(rows), others), -2)
        self.codes = np.zeros((len(rows), keys), np.int64)
        self.current = np.zeros((len(rows), keys), np.int64)
        for i, row in enumerate(rows):
            self.but[i, : len(row.but)] = row.but
            filled = [*row.keys, *[row.keys[0]] * (keys - len(row.keys))]
            self.codes[i] = [max(program, 0) * PITCHES + pitch for program, pitch in filled]
            self.current[i] = [(program == CURRENT) * PITCHES for program, _ in filled]

    def refuse(self, mask: np.ndarray, ready: np.ndarray | None, program: np.ndarray) -> None:
        """Takes from `mask` (B, V) the ids of which a note is not `ready` ((B, programs * 128) bool); None: all."""
        if not len(self.ids):
            return
        refused = self.when == program[:, None]
        refused |= (self.when == CURRENT) & ~(self.but == program[:, None, None]).any(2)
        if ready is not None:
            starts = row_starts(len(program), ready.shape[1])[:, None, None]
            at: np.ndarray = starts + self.codes + program[:, None, None] * self.current
            refused &= ~ready.take(at).all(2)
        rows, which = np.nonzero(refused)
        mask[rows, self.ids[which]] = False


class Pieces:
    """What all ids say and need."""

    def __init__(self, tokenizer: Any, graph: TypeGraph, pieces: Sequence[Sequence[str]]) -> None:
        """`pieces` are the tokens that each id stands for."""
        self.graph = graph
        facts = facts_of(tokenizer, graph)
        self.again = int(type(tokenizer).__name__ == "PerTok")  # the one that may tell a position twice
        index = {token: i for i, token in enumerate(tokenizer.vocab)}
        parts = [[index[token] for token in piece] for piece in pieces]
        longest = max(1, *map(len, parts))
        self.parts = np.array([[*part, *[len(facts)] * (longest - len(part))] for part in parts], np.int64)
        self.facts = Fact(*np.array([*facts, NOTHING], np.int64).T)
        self.ends_notes = any(fact.off >= 0 for fact in facts)
        self.size = len(parts)
        self.rows = np.zeros((4, len(graph.states), self.size), bool)
        """Which ids may come as far as types go, by class of the program and state."""
        self.first_place = np.full(self.size, UNLIMITED)
        """The first position told in the bar under way."""
        self.last_place = np.full(self.size, -1)
        """The last one told under the meter in force."""
        self.beats = np.zeros(self.size, np.int64)
        """How many beats begin in the bar under way."""
        self.sinks = np.zeros(self.size, np.int64)
        """In BEAT: how far the first pitches go down from the one before."""
        self.may_be_first = np.ones(self.size, bool)
        """Whether they may stand where there is none before."""
        self.first_drum = np.full(self.size, -1)
        """The first drum, where an id begins with drums."""
        self.closes = np.zeros(self.size, bool)
        """Which ids end a track; (V,)."""
        self.closes_own = np.zeros(self.size, bool)
        """Which of these have a note in it."""
        self._ways: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
        needs: list[list[Row]] = [[], [], [], []]
        for i, part in enumerate(parts):
            said = [facts[token] for token in part]
            if not said or said[0].kind == 0:
                continue
            if self._places(i, said) and self._codes(i, said) and self._notes(i, said, needs):
                self._types(i, said)
        self.free, self.ending, self.sounding, self.never = map(Needs, needs)

    def _types(self, i: int, said: list[Fact]) -> None:
        closing = [fact.kind == self.graph.kind.get("Track_End") for fact in said]
        if any(closing):
            self.closes[i] = True
            self.closes_own[i] = any(fact.sounds for fact in said[: closing.index(True)])
        classes = [int(self.graph.class_of[fact.program]) if fact.program >= 0 else -1 for fact in said]
        way = tuple(zip((fact.kind for fact in said), classes, strict=True))
        if way not in self._ways:
            self._ways[way] = self._walk_types(way)
        self.rows[:, :, i] = self._ways[way]

    def _walk_types(self, way: tuple[tuple[int, int], ...]) -> np.ndarray:
        """From which states some types may come, one after the other: bool, (classes, states)."""
        graph = self.graph
        works = np.zeros(self.rows.shape[:2], bool)
        for kind, state in np.argwhere(graph.follows[:, :, way[0][0]]).tolist():
            now, inside, valid = state, kind, True
            for said, after in way:
                valid = valid and bool(graph.follows[inside, now, said])
                now = int(graph.leads_to[inside, now, said])
                inside = after if after >= 0 else inside
            works[kind, state] = valid
        return works

    def _places(self, i: int, said: list[Fact]) -> bool:
        """Positions and beats in their bars; False where they go back or beyond within the id."""
        position = self.graph.kind.get("Position")
        place: int | None = None  # not known
        room: int | None = None
        for fact in said:
            room = fact.room or room
            if fact.kind == position and place is None:
                self.first_place[i] = fact.place
            if fact.kind == position and place is not None and fact.place <= place - self.again:
                return False
            if fact.beats and place is None:
                self.beats[i] += 1
            if fact.place >= -1:
                place = fact.place
            elif place is not None:
                place += fact.beats
            if fact.kind == position or (fact.beats and place is not None):
                last = fact.place if fact.kind == position else (place or 0) - 1
                if room is None:
                    self.last_place[i] = max(self.last_place[i], last)
                elif last >= room:
                    return False
        return True

    def _codes(self, i: int, said: list[Fact]) -> bool:
        """BEAT's pitches, which go down from each to the next; False where they do not within the id."""
        leading = list(takewhile(lambda fact: not fact.resets, said))
        codes = [fact.code for fact in leading if fact.code >= 0]
        if any(fact.drum for fact in leading):
            self.first_drum[i] = codes[0]
            if not _descends(codes):
                return False
        elif codes:
            self.sinks[i] = sum(codes) if min(codes) > 0 else UNLIMITED
            self.may_be_first[i] = sum(codes[1:]) <= codes[0] and min(codes[1:], default=1) > 0
        others: list[list[Fact]] = [[]]
        for fact in said[len(leading) :]:
            if fact.resets:
                others.append([])
            elif fact.code >= 0:
                others[-1].append(fact)
        for chain in others:
            codes = [fact.code for fact in chain]
            if chain and not (chain[0].drum or (sum(codes[1:]) <= codes[0] and min(codes[1:], default=1) > 0)):
                return False
            if chain and chain[0].drum and not _descends(codes):
                return False
        return True

    def _notes(self, i: int, said: list[Fact], needs: list[list[Row]]) -> bool:
        """Adds what an id needs of the notes; False where that is never possible."""
        own: set[int] = set()
        explicit: set[Key] = set()
        program = CURRENT
        for fact in said:
            program = fact.program if fact.program >= 0 else program
            for pitch in (fact.on, fact.off):
                if pitch >= 0 and program == CURRENT:
                    own.add(pitch)
                elif pitch >= 0:
                    explicit.add((program, pitch))
        alike = sorted({program for program, pitch in explicit if pitch in own})
        for when in (CURRENT, *alike):
            found = self._walk(said, when)
            if found is None and when == CURRENT:
                return False
            but = alike if when == CURRENT else []
            for rows, keys in zip(needs, (*found, set()) if found else (set(), set(), set(), {(0, 0)}), strict=True):
                if keys:
                    rows.append(Row(i, when, but, sorted(keys)))
        return True

    def _walk(self, said: list[Fact], program: int) -> tuple[set[Key], set[Key], set[Key]] | None:
        """The notes that have to be free, to sound from before, and to sound; None where that is impossible."""
        free: set[Key] = set()
        ending: set[Key] = set()
        sounding: set[Key] = set()
        now: set[Key] = set()
        earlier: Counter[Key] = Counter()
        moved = False
        for fact in said:
            program = fact.program if fact.program >= 0 else program
            if fact.moves:
                moved = True
                earlier.update(now)
                now.clear()
            key = (program, max(fact.on, fact.off))
            if fact.on >= 0:
                if key in now:
                    return None
                if not moved:
                    free.add(key)
                now.add(key)
            elif fact.off >= 0:
                if not earlier[key] and key in ending | sounding:
                    return None  # two from before would have to sound; it is not worth counting
                if not earlier[key]:
                    (sounding if moved else ending).add(key)
                earlier[key] = max(0, earlier[key] - 1)
        return free, ending, sounding


def _descends(codes: list[int]) -> bool:
    return all(after < before for before, after in pairwise(codes))
