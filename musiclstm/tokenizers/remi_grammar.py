"""Which token may follow in a sequence of bars, positions and notes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from musiclstm.score import DRUMS
from musiclstm.tokenizers.grammar import Grammar
from musiclstm.tokenizers.metre import BarState, Metre, MetreGrammar
from musiclstm.tokenizers.vocabulary import SPECIALS, Vocabulary


def phases(tempos: bool) -> dict[str, dict[str, str]]:
    """Of each phase of a sequence the types of token that may follow, and the phase that each leads to."""
    note = {"Pitch": "pitch", "Drum": "note"}
    notes = {"Program": "program", "Velocity": "velocity", **note}
    bar = {"Position": "position", "Bar": "bar line"}
    header = {"Tempo": "bar"} if tempos else bar
    return {
        "start": {"Bar": "first bar"},
        "first bar": {"TimeSignature": "first meter"},
        "first meter": {"Pickup": "header", **header},
        "header": header,
        "bar line": {"TimeSignature": "bar", **bar},
        "bar": bar,
        "position": {"Tempo": "tempo", **notes},
        "tempo": {**notes, **bar},
        "program": {"Velocity": "velocity", **note},
        "velocity": note,
        "pitch": {"Duration": "note"},
        "note": {**notes, **bar, "EOS": "ended"},
        "ended": {"PAD": "ended"},
    }


class RemiState(NamedTuple):
    phase: torch.Tensor  # index of `phases`, (B,)
    bar: BarState  # its origin is the present bar line
    position: torch.Tensor  # in the bar, -1 before its first, (B,)
    program: torch.Tensor  # in force, -1 for none, (B,)
    velocity: torch.Tensor  # the token in force, -1 for none, (B,)
    tempo: torch.Tensor  # likewise, (B,)
    struck: torch.Tensor  # program * 128 + pitch of the last note at this position, -1 for none, (B,)
    voices: torch.Tensor  # program * 128 + pitch of K notes, those that sound among them, (B, K)
    until: torch.Tensor  # the steps at which they end, (B, K)
    floor: torch.Tensor  # the first step at which anything may begin, (B,)


class RemiGrammar(Grammar[RemiState]):
    """`phases` says what may stand beside what. Positions ascend within a bar; nothing is stated that holds
    already, nor a Program or a Velocity that leaves no note to follow; at one position notes ascend by (program,
    pitch); a pitch that sounds in a program does not begin there again.

    The K of a state grows with the notes that sound at once.
    """

    def __init__(self, vocabulary: Vocabulary, metre: Metre, durations: np.ndarray) -> None:
        self.metre = MetreGrammar(metre)
        spans = {name: range(i, i + 1) for i, name in enumerate(SPECIALS)}
        spans |= {kind: vocabulary.range(kind) for kind in vocabulary.types}
        table = phases(tempos=len(spans["Tempo"]) > 0)
        self.spans, self.phase = spans, {name: i for i, name in enumerate(table)}
        self.kind = {kind: i for i, kind in enumerate(spans)}
        kind, value = torch.zeros(2, len(vocabulary), dtype=torch.int64)
        for name, span in spans.items():
            kind[span.start : span.stop] = self.kind[name]
            value[span.start : span.stop] = torch.arange(len(span))
        value[spans["Duration"].start : spans["Duration"].stop] = torch.from_numpy(durations)
        follows = torch.zeros(len(table), len(vocabulary), dtype=torch.bool)
        leads_to = torch.zeros(len(table), len(spans), dtype=torch.int64)
        for phase, kinds in enumerate(table.values()):
            for name, after in kinds.items():
                follows[phase] |= kind == self.kind[name]
                leads_to[phase, self.kind[name]] = self.phase[after]
        self.tables: dict[torch.device, tuple[torch.Tensor, ...]] = {
            torch.device("cpu"): (follows, leads_to, kind, value, torch.arange(len(vocabulary)))
        }

    def _on(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        if device not in self.tables:
            self.tables[device] = tuple(table.to(device) for table in self.tables[torch.device("cpu")])
        return self.tables[device]

    def start(self, batch: int, device: torch.device | str = "cpu") -> RemiState:
        zero = torch.zeros(batch, dtype=torch.int64, device=device)
        notes, none = zero[:, None].expand(-1, 16), zero - 1
        return RemiState(zero, self.metre.start(batch, device), none, none, none, none, none, notes, notes, zero)

    def allowed(self, state: RemiState) -> torch.Tensor:
        follows, _, _, _, count = self._on(state.phase.device)
        spans, floor, program = self.spans, state.floor[:, None], state.program[:, None]
        mask = follows.index_select(0, state.phase)
        self.metre.allow(mask, state.bar, mask[:, spans["TimeSignature"].start], mask[:, spans["Pickup"].start])

        def restrict(kind: str, condition: torch.Tensor) -> None:
            mask[:, spans[kind].start : spans[kind].stop] &= condition

        def differs(kind: str, present: torch.Tensor) -> torch.Tensor:
            return count[spans[kind].start : spans[kind].stop] != present[:, None]

        ahead, origin = count[: len(spans["Position"])], state.bar.origin[:, None]
        free = (ahead > state.position[:, None]) & (ahead < self.metre.length(state.bar)[:, None])
        restrict("Position", free & (origin + ahead >= floor))
        step = origin + state.position[:, None]
        restrict(
            "Tempo", differs("Tempo", state.tempo) & ((state.phase != self.phase["position"])[:, None] | (step > 0))
        )

        # A position that a prompt has opened is held back, but not one just stated: something has to follow there.
        opened = (state.phase == self.phase["tempo"]) | (state.phase == self.phase["note"])
        held = opened[:, None] & (step < floor)
        sounding, of_program = state.until > step, state.voices >> 7
        taken = torch.where(sounding & (of_program == program), state.voices & 127, 128)
        silent = torch.ones(len(step), 129, dtype=torch.bool, device=step.device).scatter(1, taken, False)[:, :128]
        pitches = silent & (program * 128 + count[:128] > state.struck[:, None]) & (program >= 0) & ~held
        restrict("Velocity", differs("Velocity", state.velocity) & pitches.any(1, keepdim=True))
        if spans["Velocity"]:
            pitches = pitches & (state.velocity >= 0)[:, None]
        restrict("Pitch", pitches & (program < DRUMS))
        restrict("Drum", pitches & (program == DRUMS))
        crowd = torch.zeros(len(step), DRUMS + 1, dtype=torch.int64, device=step.device)
        crowd = crowd.scatter_add(1, of_program, sounding.long())
        programs = count[: DRUMS + 1]
        restrict("Program", (crowd < 128) & (programs > state.struck[:, None] >> 7) & (programs != program) & ~held)
        return mask

    def advance(self, state: RemiState, tokens: torch.Tensor) -> RemiState:
        _, leads_to, kinds, values, _ = self._on(tokens.device)
        kind, value = kinds[tokens], values[tokens]
        is_bar, is_position = kind == self.kind["Bar"], kind == self.kind["Position"]
        completed = torch.where(is_bar & (state.bar.meter >= 0), self.metre.length(state.bar), 0)
        origin = state.bar.origin + completed
        bar = self.metre.advance(BarState(state.bar.meter, origin), tokens, origin)
        position = torch.where(is_position, value, torch.where(is_bar, -1, state.position))
        program = torch.where(kind == self.kind["Program"], value, state.program)
        is_note = (kind == self.kind["Pitch"]) | (kind == self.kind["Drum"])
        struck = torch.where(is_note, program * 128 + value, torch.where(is_position, -1, state.struck))

        lasting, step = (kind == self.kind["Duration"])[:, None], (origin + position)[:, None]
        voices, until = state.voices, state.until
        place = until.argmin(1, keepdim=True)
        if (
            lasting & (until.gather(1, place) > step)
        ).any():  # all K notes of a row sound: there is no place for one more
            place = torch.full_like(place, until.shape[1])
            voices, until = (torch.cat([notes, torch.zeros_like(notes)], 1) for notes in (voices, until))
        return RemiState(
            leads_to[state.phase, kind],
            bar,
            position,
            program,
            torch.where(kind == self.kind["Velocity"], tokens, state.velocity),
            torch.where(kind == self.kind["Tempo"], tokens, state.tempo),
            struck,
            voices.scatter(1, place, torch.where(lasting, struck[:, None], voices.gather(1, place))),
            until.scatter(1, place, torch.where(lasting, step + value[:, None], until.gather(1, place))),
            state.floor,
        )

    def hold_back(self, state: RemiState, step: int) -> RemiState:
        return state._replace(floor=state.floor.clamp(min=step))
