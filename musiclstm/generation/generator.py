"""A trained model that writes music: what `musiclstm.load` gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.controls import CONTROLS, Controls, Plan, read_controls
from musiclstm.generation.controls.fixed import in_meters_of
from musiclstm.generation.engines import Engine, make_engine
from musiclstm.generation.infill import InfillJob, check_controls, parse_bars
from musiclstm.generation.job import Generated, Job
from musiclstm.generation.lengths import Lengths
from musiclstm.generation.limits import Limits
from musiclstm.generation.opening import Opening
from musiclstm.generation.player import Player, met
from musiclstm.generation.prompt import Prompt, PromptSource, keeps_seconds, read_prompt, whole_prompt
from musiclstm.generation.sampling import Sampling, check_whole
from musiclstm.generation.state import MusicState, fingerprint, load_state
from musiclstm.generation.stream import Stream
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.vocabulary import BOS, EOS

if TYPE_CHECKING:
    import pretty_midi

RANDOM = "random"  # a prompt that is no file
DEFAULT_PROMPT_TOKENS = 16
PARTICLES = 16  # where constraints ask for look-ahead and nothing is said
WANT_PARTICLES = ("notes", "ending")
STREAM_BARS = 3  # that a stream under constraints is behind what is written


class MusicGenerator:
    """A model with the tokenizer that it was trained with, and where it came from.

    engine: how steps are computed, see `make_engine`; made when it is first needed.
    """

    def __init__(
        self,
        model: MusicLSTM,
        tokenizer: Tokenizer,
        provenance: Mapping[str, Any] | None = None,
        path: str | os.PathLike[str] | None = None,
        engine: str = "auto",
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.provenance = dict(provenance or {})
        self.path = path
        self._engine_kind = engine
        self._engine: Engine | None = None
        self._fingerprint: str | None = None

    @property
    def engine(self) -> Engine:
        """What computes the steps. Made, and checked against the model, when it is first asked for."""
        if self._engine is None:
            self._engine = make_engine(self.model, self._engine_kind)
        return self._engine

    def generate(self, **arguments: Any) -> pretty_midi.PrettyMIDI:
        """One piece: the same seed and arguments give the same notes. `arguments` are those of `prepare` but `n`.

        Raises UserError for values that are not possible, for prompts that the tokenizer cannot say, and for
        constraints that cannot be kept together.
        """
        return self.prepare(1, **arguments).run()[0].to_pretty_midi()

    def generate_scores(
        self, n: int, *, on_end: Callable[[int], None] | None = None, **arguments: Any
    ) -> list[Generated]:
        """`n` pieces, written side by side, of which `generate` gives the first. `arguments` are those of `prepare`.

        on_end: called with 1 or more whenever so many pieces have come to their end.
        """
        return self.prepare(n, **arguments).run(on_end)

    def prepare(
        self,
        n: int,
        *,
        seed: int = 0,
        temperature: float = Sampling.temperature,
        top_k: int | None = Sampling.top_k,
        top_p: float | None = Sampling.top_p,
        min_p: float | None = Sampling.min_p,
        max_tokens: int | None = None,
        max_bars: int | None = None,
        max_seconds: float | None = None,
        endless: bool = False,
        prompt: PromptSource | None = None,
        prompt_bars: int | None = None,
        prompt_seconds: float | None = None,
        prompt_tokens: int | None = None,
        state: MusicState | None = None,
        infill: str | None = None,
        particles: int | None = None,
        rescue: bool = True,
        control: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        **constraints: Any,
    ) -> Job | InfillJob:
        """What `generate_scores` runs: all arguments are checked and the prompt is read, but nothing is written yet.

        temperature, top_k, top_p, min_p: see `Sampling`.
        max_tokens, max_bars, max_seconds: see `Limits`. They count what is generated, not a prompt from a file.
        endless: where a piece ends the next begins, up to the limit.
        prompt: a MIDI or notation file, Score or PrettyMIDI to go on from; what is taken of it stays note for
            note. "random": tokens drawn as often as each was seen in training, and then the model goes on.
        prompt_bars, prompt_seconds: how much of the prompt is taken; without either, all.
        prompt_tokens: how many tokens a random prompt has, 16 by default.
        state: what `read`, `begin` or an earlier piece gave, to go on from instead of a prompt.
        infill: bars of the prompt (`5-8`) that are written anew between those that stay; see `InfillJob`.
        particles: how many rows write each piece together, see `Particles`; by default 16 where `notes`, `ending` or
            `infill` ask for looking ahead, and otherwise 1.
        rescue: a piece that has lost its way goes back some bars and tries again, see `Watch`.
        control, constraints: what a musician asks for (`key="C major", bars=16`), in a control file or by name, see
            `read_controls`.
        """
        check_whole("n", n)
        check_whole("seed", seed, least=0)
        sampling = Sampling(temperature, top_k, top_p, min_p)
        if particles is not None:
            check_whole("particles", particles)
        limits = Limits(max_tokens, max_bars, max_seconds)
        unknown = sorted(constraints.keys() - set(CONTROLS))
        if unknown:
            raise TypeError(f"{unknown[0]} is no argument of generate: constraints are {', '.join(CONTROLS)}")
        controls = read_controls(control, **constraints)
        if infill is not None:
            check_controls(controls, infill)
            around = whole_prompt(prompt, self.tokenizer, infill)
            if "chords" in controls.asked() and not keeps_seconds(self.tokenizer):
                controls = in_meters_of(controls, self.tokenizer.quantise(around))  # a bar of one chord is one of its
        plan = controls.plan(self.tokenizer, met(self._counts))
        unlimited = max_tokens is None and max_bars is None and max_seconds is None and not endless
        if plan and plan.bars is not None and unlimited:
            limits = Limits(max_bars=plan.bars + 1)  # the plan sees to the end itself
        if particles is None:
            particles = PARTICLES if infill is not None or not set(WANT_PARTICLES).isdisjoint(controls.asked()) else 1
        if state is not None and prompt is not None:
            raise UserError("state= and prompt= exclude each other: a state holds what it was read from")
        begun = prompt is not None or (state is not None and len(state.ids) > 1)
        free = not begun and (not plan or plan.bars is None) and controls.get("notes") is None
        player = self._player(plan, endless, self.lengths if free else None)
        if infill is not None:
            for name, value in (("prompt_bars", prompt_bars), ("prompt_seconds", prompt_seconds), ("state", state)):
                if value is not None:
                    raise UserError(
                        f"{name}={value} says where to go on from, and infill={infill} what to fill: give one"
                    )
            bars = parse_bars(infill, around)
            return InfillJob(self.model, player, around, *bars, n, seed, sampling, particles)
        if state is not None:
            opening, continued = self._opening_of(state), None
        else:
            opening, continued = self._opening(prompt, prompt_bars, prompt_seconds, prompt_tokens)
        if plan:
            _check_opening(controls, player, opening)
        return Job(
            player,
            n,
            seed,
            sampling,
            limits,
            opening,
            continued,
            particles=particles,
            rescue=rescue,
            counts=self._counts,
            fingerprint=self.fingerprint,
        )

    def begin(self) -> MusicState:
        """The state before the first note, to go on from with `stream` or `generate_scores(state=...)`."""
        player = self._player()
        ids = np.array([BOS], np.int32)
        return MusicState(player, ids, player.read(ids), self.fingerprint)

    def read(self, music: PromptSource, bars: int | None = None, seconds: float | None = None) -> MusicState:
        """The state after `music` (a MIDI or notation file, Score or PrettyMIDI), or its first bars or seconds."""
        prompt = read_prompt(music, self.tokenizer, bars, seconds)
        player = self._player()
        return MusicState(player, prompt.ids, player.read(prompt.ids, prompt.step), self.fingerprint)

    def load_state(self, path: str | os.PathLike[str]) -> MusicState:
        """The state in a file that `MusicState.save` wrote. UserError where it is none, or another model's."""
        return load_state(path, self._player(), self.fingerprint)

    def stream(self, state: MusicState | None = None, **arguments: Any) -> Stream:
        """Notes without end, as they are decided: an iterator, that goes on from `state`, or from nothing.

        arguments: those of `prepare`, but for `prompt` and what belongs to it. Without a limit it never ends.
        """
        state = self.begin() if state is None else state
        limited = any(arguments.get(name) is not None for name in ("max_tokens", "max_bars", "max_seconds", "bars"))
        job = self.prepare(1, state=state, **{"endless": not limited, "rescue": False, **arguments})
        if isinstance(job, InfillJob) or job.particles > 1:
            raise UserError("a stream is written by one row that goes on: leave out infill= and particles=")
        writing = job.writing(
            range(1), limits=job.limits if limited else Limits(max_tokens=1 << 60), kept_bars=STREAM_BARS
        )
        return Stream(job.player, state, writing)

    @property
    def fingerprint(self) -> str:
        """A text that tells this model from others."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.model)
        return self._fingerprint

    @property
    def _counts(self) -> np.ndarray:
        counts: np.ndarray = self.model.token_counts.cpu().numpy()
        return counts

    @property
    def lengths(self) -> Lengths | None:
        """How long the pieces were that the model was trained on, where its bundle says so."""
        bars = self.provenance.get("bars")
        return None if bars is None else Lengths(*bars)

    def _player(self, plan: Plan | None = None, endless: bool = False, lengths: Lengths | None = None) -> Player:
        return Player(self.engine, self.tokenizer, self._counts, plan or None, endless, lengths)

    def _opening_of(self, state: MusicState) -> Opening:
        if state.fingerprint != self.fingerprint:
            raise UserError("state= belongs to another model: give one that this model made or loaded")
        clock = self._player().clock(state.moment)
        step = int(clock.step[0]) if len(state.ids) > 1 else None
        if state.ids[-1] == EOS:
            raise UserError("state= is that of a piece that has ended: take it back to a bar with `rewind`")
        return Opening(state.ids, step, moment=state.moment)

    def _opening(
        self, prompt: PromptSource | None, bars: int | None, seconds: float | None, tokens: int | None
    ) -> tuple[Opening, Prompt | None]:
        random = isinstance(prompt, str) and prompt == RANDOM
        if prompt is None or random:
            for name, value in (("prompt_bars", bars), ("prompt_seconds", seconds)):
                if value is not None:
                    raise UserError(f"{name}={value} says how much is taken of a file: name one with prompt=FILE")
        if tokens is not None and not random:
            raise UserError(f"prompt_tokens={tokens} is the length of a random prompt: it needs prompt=random")
        if prompt is None or random:
            drawn = DEFAULT_PROMPT_TOKENS if tokens is None else tokens
            check_whole("prompt_tokens", drawn)
            return Opening(np.array([BOS], np.int32), drawn=drawn if random else 0), None
        continued = read_prompt(prompt, self.tokenizer, bars, seconds)
        return Opening(continued.ids, continued.step, pace=continued.pace), continued


def _check_opening(controls: Controls, player: Player, opening: Opening) -> None:
    """Raises UserError where what a piece goes on from leaves constraints no room."""
    if opening.step is None:
        return
    if controls.get("notes") is not None:
        raise UserError(
            "notes= occur from the beginning of a piece, which prompt= or state= gives already: leave one out"
        )
    state = player.grammar.start(1)
    for token in opening.ids[1:].astype(np.int64):
        state = player.grammar.advance(state, np.array([token]))
    bar, bars = int(player.grammar.clock(state).bar[0]), controls.get("bars")
    if bars is not None and bar >= bars:
        raise UserError(f"bars={bars}, and what it goes on from has {bar} already: ask for more, or give less of it")
