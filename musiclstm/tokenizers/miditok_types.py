"""Which types of token may follow which in what MidiTok writes, from its own graph of them.

The graph of MidiTok lets pass what its encoding never writes. Taken away here are: notes beside a time signature and
not at a position, a bar without the end of the one before where ends are told, and endings anywhere. Added is what its
encoding writes against the graph: programs of which notes have no duration, tracks of MMM, and all of PerTok,
which has no graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SPECIALS = ("PAD", "BOS", "EOS")
NONE = "none"  # a token that is not there
START, ENDED = "start", "ended"
TIMED = ", timed"  # what stands after the MicroTiming of a token
PITCHED, DRUMMED = {"Pitch", "NoteOn", "NoteOff"}, {"PitchDrum", "DrumOn", "DrumOff"}
NOT_AN_END = ("Program", "Chord")
MICROTIMED = ("Pitch", "PitchDrum", "Pedal", "PedalOff", "PitchBend", "ControlChange", "Chord", "Program")


def kind_of(token: str) -> str:
    """The type of one of MidiTok's tokens, where what begins and what ends are two."""
    return token if token.startswith("Track_") or token == "Bar_End" else token.partition("_")[0]


def is_time(token: str) -> bool:
    """Whether a token moves the time on."""
    kind, _, value = token.partition("_")
    if kind in ("TimeShift", "Rest"):  # BEAT has a Rest_None, Structured a shift of nothing
        return "." in value and any(map(int, value.split(".")[:2]))
    return kind in ("Bar", "Position", "Beat") or token == "Track_Start"


class TypeGraph:
    """An automaton of the types: `follows` says what may come, `leads_to` where it leads.

    Both are by the class of the program in force, which `class_of` gives: whether it is drums, with tokens of their
    own, and whether its notes have neither durations nor ends.
    """

    def __init__(self, tokenizer: Any) -> None:
        tokens = [token for token in tokenizer.vocab if kind_of(token) not in SPECIALS]
        self.kinds = [NONE, "EOS", *dict.fromkeys(map(kind_of, tokens))]
        self.kind = {kind: i for i, kind in enumerate(self.kinds)}
        times = {kind_of(token) for token in tokens if is_time(token)} | {"Bar_End"}
        graph = self._graph = _graph(tokenizer, set(self.kinds) - {NONE, "EOS"})
        first = _first(tokenizer, graph)
        if "Track_Start" in graph:
            graph["Program"] = first
            first = {"Track_Start"}
        self.states = [START, ENDED, *graph]
        self.state = {state: i for i, state in enumerate(self.states)}
        trailing = {"Bar"} if tokenizer.config.additional_params.get("add_trailing_bars") else set()
        complete = {state for state, after in graph.items() if after & times and state not in times - trailing}
        complete -= {name + suffix for name in NOT_AN_END for suffix in ("", TIMED)}
        if "Track_Start" in graph:
            for state in complete:
                graph[state].add("Track_End")
            complete = {"Track_End"}
        self.complete = np.array([state in complete for state in self.states])

        self.programs = [int(token.partition("_")[2]) for token in tokens if token.startswith("Program_")] or [0]
        own_drums = bool(DRUMMED & set(self.kinds))
        timed = set(tokenizer.config.use_note_duration_programs)
        drums = [own_drums and program == -1 for program in self.programs]
        bare = [program not in timed for program in self.programs]
        self.bare = np.array(bare)
        self.class_of = np.array([2 * drum + untimed for drum, untimed in zip(drums, bare, strict=True)])
        states, kinds = len(self.states), len(self.kinds)
        self.follows = np.zeros((4, states, kinds), bool)
        self.leads_to = np.zeros((4, states, kinds), np.int64)
        for kind in set(self.kinds) & set(graph):  # what was said by mistake leads somewhere too
            self.leads_to[:, :, self.kind[kind]] = self.state[kind]
        for state, after in [(START, first), *graph.items()]:
            for kind in after:
                self._add(state, kind, own_drums)
        self.leads_to[:, :, self.kind["EOS"]] = self.state[ENDED]
        self.leads_to[:, :, self.kind[NONE]] = np.arange(states)

    def _add(self, state: str, kind: str, own_drums: bool) -> None:
        to = state + TIMED if kind == "MicroTiming" else kind
        for drum in (0, 1):
            for bare in (0, 1):
                at = (2 * drum + bare, self.state[state], self.kind[kind])
                self.leads_to[at] = self.state[to]
                self.follows[at] = not own_drums or kind not in (PITCHED if drum else DRUMMED)
                if bare and self._graph.get(to) == {"Duration"} and not to.startswith("Pedal"):
                    self.leads_to[at] = self.state["Duration"]


def _graph(tokenizer: Any, present: set[str]) -> dict[str, set[str]]:
    """Of each type those that may follow."""
    raw = {kind: set(after) for kind, after in tokenizer.tokens_types_graph.items()}
    name = type(tokenizer).__name__
    if name == "PerTok":
        raw = _pertok(tokenizer, present)
    graph = {
        kind: after & present
        for kind, after in raw.items()
        if kind.removesuffix(TIMED) in present and kind not in SPECIALS
    }
    if name != "PerTok" and {"Bar", "Position"} <= present:
        for kind in ("TimeSig", "Rest"):
            if kind in graph:
                graph[kind] &= {"Bar", "Position", "Rest", "TimeSig"}
        graph.get("TimeSig", set()).discard("TimeSig")
    if "Bar_End" in present:
        for after in graph.values():
            if "Bar" in after:
                after.remove("Bar")
                after.add("Bar_End")
        graph["Bar_End"] = {"Bar"}
        if "TimeSig" in graph["Bar"]:
            graph["Bar"] = {"TimeSig"}
    if "Track_Start" in present:  # the program of a track is told once, when it begins
        for after in graph.values():
            after.discard("Program")
        graph |= {"Track_Start": {"Program"}, "Track_End": {"Track_Start"}}
    return graph


def _first(tokenizer: Any, graph: dict[str, set[str]]) -> set[str]:
    """The types with which a sequence, or in MMM a track, begins."""
    if "Bar" in graph and type(tokenizer).__name__ != "PerTok":
        return {"Bar"} if "TimeSig" in graph or "Rest" not in graph else {"Bar", "Rest"}
    if "TimeSig" in graph:
        return {"TimeSig"}
    if "TimeShift" in graph and "TimeShift" not in graph["TimeShift"]:
        return {"TimeShift"}  # Structured
    return (graph["TimeShift"] | {"TimeShift", "Rest"} & set(graph)) - {"NoteOff", "DrumOff", "PedalOff"}


def _pertok(tokenizer: Any, present: set[str]) -> dict[str, set[str]]:
    """A graph for PerTok, from what its encoding writes."""
    config = tokenizer.config
    pitches = {"Pitch", "PitchDrum"}
    shift = {"TimeShift", "Position"} & present
    played = ({"Program"} if config.use_programs else pitches) | {"Pedal", "PedalOff", "PitchBend", "ControlChange"}
    after = shift | {"Bar", "TimeSig", "Tempo", "KeySig"} | played
    note = {"Velocity"} if config.use_velocities else {"Duration"} if config.using_note_duration_tokens else after
    graph = {
        "Program": pitches | shift | {"Chord"},
        "Chord": played | pitches,
        "Velocity": {"Duration"} if config.using_note_duration_tokens else after,
        "Pedal": {"Duration"} if config.sustain_pedal_duration else after,
        **dict.fromkeys(pitches, note),
        **{kind: played | pitches | {"Chord"} for kind in shift},
        **dict.fromkeys(("Duration", "Bar", "TimeSig", "Tempo", "KeySig", "PedalOff", "PitchBend"), after),
        "ControlChange": after,
    }
    if "MicroTiming" in present:
        for kind in MICROTIMED:
            graph[kind + TIMED], graph[kind] = graph[kind], {"MicroTiming"}
    return graph
