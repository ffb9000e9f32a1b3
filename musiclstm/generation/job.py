"""Pieces to be written, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.beside import write_beside
from musiclstm.generation.engines.workers import parts_of
from musiclstm.generation.joining import follow, pieces_of
from musiclstm.generation.limits import Limits, close_hanging, cut_at, drop_before, refine
from musiclstm.generation.opening import Opening, Written
from musiclstm.generation.player import Player
from musiclstm.generation.prompt import Prompt
from musiclstm.generation.sampling import Sampling
from musiclstm.generation.state import MusicState
from musiclstm.generation.turns import Turn
from musiclstm.generation.writing import Writing
from musiclstm.midi import to_pretty_midi
from musiclstm.score import Score

if TYPE_CHECKING:
    import pretty_midi


@dataclass(frozen=True)
class Generated:
    """A piece that was generated."""

    score: Score
    prompt_end: int | None
    """The tick at which the model took over from a prompt; None without one."""
    ids: np.ndarray
    """int32, (T,): what the score was made of, the prompt's tokens among them."""
    tokens: int
    """How many tokens were drawn."""
    ended: bool
    """Whether the piece ended by itself; else it was stopped at a limit."""
    masked: float
    """The probability that the model gave to tokens which the grammar forbids, on average over the tokens."""
    remarks: list[str] = field(default_factory=list)
    """What went wrong on the way and was written anew, with the bar."""
    state: MusicState | None = None
    """What it takes to go on from the end of the tokens."""
    new: tuple[int, int] | None = None
    """Of an infill the ticks between which the music is new; what stands around them is the prompt's."""

    @property
    def seconds(self) -> float:
        """The length of the music, a prompt included."""
        return self.score.duration

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        return to_pretty_midi(self.score)


@dataclass(frozen=True)
class Job:
    """`n` pieces to be written. `opening` is what they begin with, `continued` the prompt that it was made from."""

    player: Player
    n: int
    seed: int
    sampling: Sampling
    limits: Limits
    opening: Opening
    continued: Prompt | None
    particles: int
    rescue: bool
    counts: np.ndarray
    fingerprint: str

    def run(
        self, on_end: Callable[[int], None] | None = None, on_tokens: Callable[[int], None] | None = None
    ) -> list[Generated]:
        """Writes them; `on_end` hears of each number of pieces that end, `on_tokens` of each number of tokens."""
        pieces: list[Generated] = []
        size = max(1, self.player.engine.rows // self.particles)
        for first in range(0, self.n, size):
            numbers = range(first, min(first + size, self.n))
            rows = len(numbers) * self.particles
            with self.player.engine.threads(rows):
                written = write_beside(self.writings(numbers, rows), on_end, on_tokens)
            pieces += [self._piece(each) for each in written]
        return pieces

    def writings(self, numbers: range, rows: int) -> list[Writing]:
        """The pieces of these numbers, in as many parts as the engine had better have threads for `rows` rows."""
        engine = self.player.engine
        parts = min(engine.writers(rows), len(numbers))
        turn = Turn() if parts > 1 and engine.in_turns else None
        return [self.writing(numbers[part], turn=turn) for part in parts_of(len(numbers), parts)]

    def writing(self, numbers: range, limits: Limits | None = None, **arguments: Any) -> Writing:
        """The pieces of these numbers, ready to be written; `arguments` are further ones of `Writing`."""
        return Writing(
            self.player,
            self.sampling,
            limits or self.limits,
            self.opening,
            seed=self.seed,
            pieces=numbers,
            particles=self.particles,
            rescue=self.rescue,
            counts=self.counts,
            **arguments,
        )

    def _piece(self, written: Written) -> Generated:
        limits, opening, continued, plan = self.limits, self.opening, self.continued, self.player.plan
        scores = [self.player.tokenizer.decode(ids) for ids in pieces_of(written.ids)]
        if not written.ended:
            scores[-1] = close_hanging(scores[-1], (opening.step or 0) if len(scores) == 1 else 0)
        if plan:
            begins = [opening.step or 0] + [0] * (len(scores) - 1)
            scores = [plan.finish(*each) for each in zip(scores, begins, strict=True)]
        score, *others = scores
        begin, prompt_end = 0, 0
        if continued is not None:
            begin = prompt_end = continued.cut
            score = continued.continued_by(score)
        else:
            before = score.ticks_per_quarter
            score = refine(score)
            if opening.step is not None:
                begin = prompt_end = opening.step * score.ticks_per_quarter // before
            elif opening.drawn:
                prompt_end = round(float(score.ticks(written.drawn_seconds)))
            if len(score) == 0:
                remedy = "loosen what is asked of its notes, or give another seed" if plan else "give another seed"
                raise UserError(
                    f"the model wrote {written.tokens} tokens without a note: {remedy}, or a higher temperature"
                )
        for other in others:
            score = follow(score, other) if len(other) else score
        limit = limits.last_tick(score, begin)
        first = int(score.notes["start"][0])
        if begin == 0 and limit is not None and first >= limit:
            if plan:  # its bars are counted from the beginning, so they stay: one of them more
                lines = score.bar_starts(score.end)
                limit = int(np.append(lines[lines > first], score.end)[0])
            else:  # so long a silence leaves no room for music
                score = drop_before(score, first, room=(limits.last_tick(score, first) or limit) - first)
                prompt_end = max(prompt_end - first + int(score.notes["start"][0]), 0)
                limit = limits.last_tick(score)
        ended = written.ended and (limit is None or score.end <= limit)
        if limit is not None:
            score = cut_at(score, limit, keep=begin)
        return Generated(
            score,
            min(prompt_end, score.end) if begin or opening.drawn else None,
            written.ids,
            written.tokens,
            ended,
            written.masked,
            written.remarks,
            MusicState(self.player, written.last, written.moment, self.fingerprint),
        )
