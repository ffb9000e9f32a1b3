"""A trained model that writes music: what `musiclstm.load` gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.limits import Limits, close_hanging, cut_at, drop_before, refine
from musiclstm.generation.prompt import Prompt, read_prompt
from musiclstm.generation.sampling import Sampling, check_whole
from musiclstm.generation.writing import Opening, Writing, Written
from musiclstm.midi import to_pretty_midi
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import Score
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.vocabulary import BOS

if TYPE_CHECKING:
    import pretty_midi

PromptSource: TypeAlias = "str | os.PathLike[str] | Score | pretty_midi.PrettyMIDI"

BATCH = 64  # pieces written side by side
RANDOM = "random"  # a prompt that is no file
DEFAULT_PROMPT_TOKENS = 16


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

    @property
    def seconds(self) -> float:
        """The length of the music, a prompt included."""
        return self.score.duration

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        return to_pretty_midi(self.score)


@dataclass(frozen=True)
class Job:
    """`n` pieces to be written. `opening` is what they begin with, `continued` the prompt that it was made from."""

    model: MusicLSTM
    tokenizer: Tokenizer
    n: int
    seed: int
    sampling: Sampling
    limits: Limits
    opening: Opening
    continued: Prompt | None

    def run(self, on_end: Callable[[int], None] | None = None) -> list[Generated]:
        """Writes them; `on_end` is called with 1 or more whenever so many pieces have come to their end."""
        pieces: list[Generated] = []
        for first in range(0, self.n, BATCH):
            rows = range(first, min(first + BATCH, self.n))
            writing = Writing(
                self.model, self.tokenizer, self.sampling, self.limits, self.opening, seed=self.seed, rows=rows
            )
            pieces += [self._piece(written) for written in writing.run(on_end)]
        return pieces

    def _piece(self, written: Written) -> Generated:
        limits, opening, continued = self.limits, self.opening, self.continued
        score = self.tokenizer.decode(written.ids)
        if not written.ended:
            score = close_hanging(score, opening.step or 0)
        if continued is not None:
            begin, prompt_end = continued.cut, continued.cut
            score = continued.continued_by(score)
        else:
            score = refine(score)
            begin, prompt_end = 0, round(float(score.ticks(written.drawn_seconds)))
            if len(score) == 0:
                raise UserError(
                    f"the model wrote {written.tokens} tokens without a note: give another seed, or a higher "
                    "temperature"
                )
        limit = limits.last_tick(score, begin)
        first = int(score.notes["start"][0])
        if continued is None and limit is not None and first >= limit:
            score = drop_before(score, first)  # so long a silence leaves no room for music
            prompt_end = max(prompt_end - first, 0)
            limit = limits.last_tick(score)
        ended = written.ended and (limit is None or score.end <= limit)
        if limit is not None:
            score = cut_at(score, limit, keep=begin)
        return Generated(
            score,
            min(prompt_end, score.end) if continued or opening.drawn else None,
            written.ids,
            written.tokens,
            ended,
            written.masked,
        )


class MusicGenerator:
    """A model with the tokenizer that it was trained with, and where it came from."""

    def __init__(
        self,
        model: MusicLSTM,
        tokenizer: Tokenizer,
        provenance: Mapping[str, Any] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.provenance = dict(provenance or {})
        self.path = path

    def generate(
        self,
        *,
        seed: int = 0,
        temperature: float = Sampling.temperature,
        top_k: int | None = Sampling.top_k,
        top_p: float | None = Sampling.top_p,
        min_p: float | None = Sampling.min_p,
        max_tokens: int | None = None,
        max_bars: int | None = None,
        max_seconds: float | None = None,
        prompt: PromptSource | None = None,
        prompt_bars: int | None = None,
        prompt_seconds: float | None = None,
        prompt_tokens: int | None = None,
    ) -> pretty_midi.PrettyMIDI:
        """One piece: the same seed and arguments give the same notes.

        temperature, top_k, top_p, min_p: see `Sampling`.
        max_tokens, max_bars, max_seconds: see `Limits`. They count what is generated, not a prompt from a file.
        prompt: a MIDI or notation file, Score or PrettyMIDI to go on from; what is taken of it stays note for
            note. "random": tokens drawn as often as each was seen in training, and then the model goes on.
        prompt_bars, prompt_seconds: how much of the prompt is taken; without either, all.
        prompt_tokens: how many tokens a random prompt has, 16 by default.

        Raises UserError for values that are not possible and for prompts that the tokenizer cannot say.
        """
        job = self.prepare(
            1,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            max_tokens=max_tokens,
            max_bars=max_bars,
            max_seconds=max_seconds,
            prompt=prompt,
            prompt_bars=prompt_bars,
            prompt_seconds=prompt_seconds,
            prompt_tokens=prompt_tokens,
        )
        return job.run()[0].to_pretty_midi()

    def generate_scores(
        self, n: int, *, on_end: Callable[[int], None] | None = None, **arguments: Any
    ) -> list[Generated]:
        """`n` pieces, written side by side, of which `generate` gives the first. `arguments` are those of `generate`.

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
        prompt: PromptSource | None = None,
        prompt_bars: int | None = None,
        prompt_seconds: float | None = None,
        prompt_tokens: int | None = None,
    ) -> Job:
        """What `generate_scores` runs: all arguments are checked and the prompt is read, but nothing is written yet."""
        check_whole("n", n)
        check_whole("seed", seed, least=0)
        sampling = Sampling(temperature, top_k, top_p, min_p)
        limits = Limits(max_tokens, max_bars, max_seconds)
        opening, continued = self._opening(prompt, prompt_bars, prompt_seconds, prompt_tokens)
        return Job(self.model, self.tokenizer, n, seed, sampling, limits, opening, continued)

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
