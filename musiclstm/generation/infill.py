"""Bars between others written anew: a model that reads forward, made to mind what comes after.

What the hole is filled with is drawn from what the model, at a lower temperature, would write given both sides,
q(middle | left, right). It begins with importance resampling: of several middles that the model writes after the left
side, one is chosen in proportion to how likely it then finds the right side. After that each bar of the hole in turn is
written anew in the same way, with the present bar among those to choose from and the rest of the hole a part of the
right side. That leaves q(middle | left, right) as it is, however few there are to choose from (the conditional form of
Andrieu, Doucet & Holenstein 2010, "Particle Markov chain Monte Carlo methods"), and lets a hole of many bars find its
way to the right side bar by bar. Two things are left out of that: `top_k`, `top_p` and `min_p` keep what they cut off
from being written, and the weights do not know of it; nor do they of a note that is shortened where it would sound into
what is kept.

Lower is the temperature because conditioning alone does not make the middle likelier: a model's draws at temperature 1
are less likely to itself than what people wrote. To sharpen whole middles instead, p(middle, right | left) to a power,
comes to the same likelihood with fewer and longer notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.controls import Controls
from musiclstm.generation.job import Generated
from musiclstm.generation.likelihood import token_log_likelihoods
from musiclstm.generation.limits import Limits
from musiclstm.generation.opening import Opening
from musiclstm.generation.particles import shares
from musiclstm.generation.player import Player
from musiclstm.generation.prompt import prompt_before
from musiclstm.generation.sampling import Sampling
from musiclstm.generation.writing import Writing
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import Score, sort_notes
from musiclstm.tokenizers.voices import Voices

SWEEPS = 1  # times that each bar of the hole is written anew
COOLER = 0.5  # of the temperature asked for
COLDEST = 1e-3  # by which a temperature of 0 is weighed
NO_LIMIT = Limits(max_tokens=1 << 20)
GO_WITH = ("key", "pitch_range", "velocity", "chords")  # constraints that hold whatever stands before and after


@dataclass(frozen=True)
class InfillJob:
    """`n` ways to fill bars `first` to `last` (from 1) of `score`; each is written by `particles` rows at a time."""

    model: MusicLSTM
    player: Player
    score: Score
    first: int
    last: int
    n: int
    seed: int
    sampling: Sampling
    particles: int

    def run(
        self, on_end: Callable[[int], None] | None = None, on_tokens: Callable[[int], None] | None = None
    ) -> list[Generated]:
        """Writes them; `on_end` hears of each that is done, `on_tokens` of each number of tokens."""
        pieces = []
        with self.player.engine.threads(self.particles):
            for number in range(self.n):
                pieces.append(self._piece(number, on_tokens))
                if on_end is not None:
                    on_end(1)
        return pieces

    def _piece(self, number: int, on_tokens: Callable[[int], None] | None) -> Generated:
        lines = _bar_lines(self.score)
        begin, end = int(lines[self.first - 1]), int(lines[self.last])
        random = np.random.default_rng([self.seed, number, 1 << 33])
        piece, tokens = self.score, 0
        masked: list[float] = []
        spans = [(begin, end)]
        if self.last > self.first:
            spans += [(int(lines[bar - 1]), int(lines[bar])) for bar in range(self.first, self.last + 1)] * SWEEPS
        for turn, (start, stop) in enumerate(spans):
            middles, drawn, share = self.middles(piece, start, stop, int(random.integers(1 << 62)))
            tokens += drawn
            if on_tokens is not None:
                on_tokens(drawn)
            masked.append(share)
            if turn > 0:
                middles[0] = piece
            weights = self.right_side(middles, stop)
            piece = middles[int(random.choice(len(middles), p=shares(weights)))]
        ids = self.player.tokenizer.encode(piece)
        return Generated(piece, None, ids, tokens, True, float(np.mean(masked)), new=(begin, end))

    def middles(self, piece: Score, start: int, stop: int, seed: int) -> tuple[list[Score], int, float]:
        """`piece` with other music between ticks `start` and `stop`, `particles` times, as the model writes it after
        what comes before; the tokens drawn, and the share of probability that the grammar removed."""
        tokenizer = self.player.tokenizer
        prompt = prompt_before(piece, tokenizer, start)
        writing = Writing(
            self.player,
            replace(self.sampling, temperature=COOLER * self.sampling.temperature),
            NO_LIMIT,
            Opening(prompt.ids, prompt.step),
            seed=seed,
            pieces=range(self.particles),
            stop=tokenizer.to_step(piece, stop),
        )
        written = writing.run()
        made = []
        for each in written:
            score = tokenizer.decode(each.ids)
            if self.player.plan:
                score = self.player.plan.finish(score, prompt.step)
            made.append(self._joined(piece, prompt.continued_by(score), start, stop))
        return made, sum(each.tokens for each in written), float(np.mean([each.masked for each in written]))

    def right_side(self, pieces: list[Score], stop: int) -> np.ndarray:
        """The natural log of the probability of what begins at tick `stop` or later, for each piece: (N,).

        At the temperature at which middles are written.
        """
        tokenizer = self.player.tokenizer
        told = [tokenizer.events(piece) for piece in pieces]
        temperature = max(COOLER * self.sampling.temperature, COLDEST)
        found = token_log_likelihoods(self.model, tokenizer, [ids for ids, _ in told], temperature)
        step = tokenizer.to_step(pieces[0], stop)
        return np.array([float(each[steps[1:] >= step].sum()) for each, (_, steps) in zip(found, told, strict=True)])

    def _joined(self, piece: Score, written: Score, start: int, stop: int) -> Score:
        """`piece` with the notes of `written` that begin from `start` on and before `stop`."""
        old, new = piece.notes, written.notes
        inside = (old["start"] >= start) & (old["start"] < stop)
        kept, gone = old[~inside], old[inside]
        new = new[(new["start"] >= start) & (new["start"] < stop)].copy()
        alone = isinstance(self.player.tokenizer, Voices)  # one note at a time in each track
        for i in np.flatnonzero(new["end"] >= stop).tolist():
            later = kept[(kept["start"] >= stop) & _same(kept, new[i], alone)]["start"]
            end = int(new["end"][i])
            if alone:  # it would have been held as long as what it takes the place of
                end = max(end, int(gone["end"][gone["track"] == new["track"][i]].max(initial=0)))
            new["end"][i] = max(min(end, int(later.min(initial=end))), new["start"][i] + 1)
        for note in kept[(kept["start"] < start) & (kept["end"] > start)]:
            early = np.flatnonzero(_same(new, note, alone) & (new["start"] < note["end"]))
            if len(early):  # what was kept sounds on: of what begins meanwhile the last comes after it
                new["start"][early[-1]] = note["end"]
                new = np.delete(new, early if self.player.plan else early[:-1])  # a chord may forbid it there
        new = new[new["end"] > new["start"]]
        return piece.replace(notes=sort_notes(np.concatenate([kept, new])))


def _same(notes: np.ndarray, note: np.void, alone: bool) -> np.ndarray:
    """Which of `notes` cannot sound while `note` does: those of its track, or of its pitch in it."""
    same: np.ndarray = notes["track"] == note["track"]
    return same if alone else same & (notes["program"] == note["program"]) & (notes["pitch"] == note["pitch"])


def check_controls(controls: Controls, infill: str) -> None:
    """Raises UserError for what cannot be asked of bars between others."""
    others = [name for name in controls.asked() if name not in GO_WITH]
    if others:
        raise UserError(
            f"{others[0]}= does not go with infill={infill}, which keeps the bars around it as they are: ask for "
            f"{', '.join(GO_WITH)} there"
        )


def parse_bars(text: str, score: Score) -> tuple[int, int]:
    """The first and last bar of `5-8` or `5`. UserError where these are no bars of `score` with music after them."""
    count = len(_bar_lines(score)) - 1
    first, _, last = str(text).partition("-")
    if not (first.isdigit() and (last or first).isdigit()):
        raise UserError(f"infill={text} is no range of bars: write it as 5-8, or 5 for one bar")
    begin, end = int(first), int(last or first)
    earliest = 1 if score.first_bar > 0 else 2
    if not earliest <= begin <= end < count:
        raise UserError(
            f"infill={text}: the prompt has {count} bars, and something has to stand before and after what is filled; "
            f"give bars from {earliest} to {count - 1}"
        )
    return begin, end


def _bar_lines(score: Score) -> np.ndarray:
    """The tick at which each full bar begins, and one more."""
    lines = score.bar_starts()
    lines = lines[1:] if score.first_bar > 0 else lines
    return np.append(lines, score.end)
