"""A piece of music to go on from: how much of it is read, and how what is generated is joined to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.sampling import check_number, check_whole
from musiclstm.midi import from_pretty_midi, read_score
from musiclstm.midi.events import LAST_TICK
from musiclstm.score import DEFAULT_TEMPO, TEMPO, Score, make_notes, sort_notes
from musiclstm.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    import pretty_midi

PromptSource: TypeAlias = "str | os.PathLike[str] | Score | pretty_midi.PrettyMIDI"

LINE = ["track", "program"]
Line = tuple[int, int]  # of these


@dataclass(frozen=True)
class Prompt:
    """The opening of a piece, as it is and as tokens.

    opening: the notes that begin before tick `cut`, to the tick, and the tempos, meters and pedals up to there.
    ids, step: what a model reads of it, from BOS on, and the tokenizer's step at which it goes on.
    in_seconds: whether the tokenizer keeps seconds; else it keeps quarter notes.
    pace: how many seconds pass at the cut by the tokenizer's tempo while one passes by that of the opening.
    lines: for a line of what is generated, the line of the piece that it goes on with.
    free_track: the first track that the piece does not have.
    """

    opening: Score
    cut: int
    ids: np.ndarray
    step: int
    in_seconds: bool
    pace: float
    lines: dict[Line, Line]
    free_track: int

    def continued_by(self, written: Score) -> Score:
        """The opening, then what in `written`, the tokenizer's score of all tokens, begins at `step` or later.

        A note of the opening stays as it is, but that one which sounds on ends where its pitch begins again.
        """
        notes = written.notes[written.notes["start"] >= self.step]
        start = np.maximum(self._to_ticks(written, notes["start"]), self.cut)
        end = np.maximum(self._to_ticks(written, notes["end"]), start + 1)
        if end.max(initial=0) > LAST_TICK:
            raise UserError(
                f"what was written ends at tick {end.max():,} of the prompt, and a MIDI file has {LAST_TICK:,} at "
                "most: the prompt's last tempo is too fast to go on in seconds; give it a slower one"
            )
        tracks, programs = self._lines_of(notes)
        new = make_notes(start, end, notes["pitch"], notes["velocity"], programs, tracks, ordered=True)
        old = self.opening.notes.copy()
        old_keys, new_keys = _keys(old), _keys(new)
        step = int(np.diff(self._to_ticks(written, np.array([self.step, self.step + 1])))[0])
        kept = np.ones(len(new), bool)
        for i in np.flatnonzero((old["end"] > self.cut) | (old["start"] > self.cut - step)):
            same = new_keys == old_keys[i]
            # A note less than a step before the cut may be too late for the tokens; it is not to be heard twice.
            twice = same & (new["start"] < old["start"][i] + step)
            kept &= ~twice
            old["end"][i] = new["start"][same & ~twice].min(initial=old["end"][i])
        return self.opening.replace(
            notes=sort_notes(np.concatenate([old, new[kept]])),
            tempos=np.concatenate([self.opening.tempos, self._later(written, written.tempos)]),
            meters=np.concatenate([self.opening.meters, self._later(written, written.meters)]),
        )

    def _to_ticks(self, written: Score, ticks: np.ndarray) -> np.ndarray:
        """Ticks of `written` in those of the opening: the nearest, int64."""
        if self.in_seconds:
            return np.rint(self.opening.ticks(written.seconds(ticks))).astype(np.int64)
        return np.rint(ticks * (self.opening.ticks_per_quarter / written.ticks_per_quarter)).astype(np.int64)

    def _later(self, written: Score, events: np.ndarray) -> np.ndarray:
        """The tempos or meters that were generated."""
        events = events[events["tick"] >= self.step].copy()
        events["tick"] = np.maximum(self._to_ticks(written, events["tick"]), self.cut)
        return events

    def _lines_of(self, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The track and program in the piece of each note that was generated."""
        found, where = np.unique(notes[LINE], return_inverse=True)
        lines: list[Line] = []
        free_track = self.free_track
        for track, program in found.tolist():
            line = self.lines.get((track, program))
            if line is None and (found["program"] == program).sum() == 1:
                # Tracks may be numbered by the programs in use: then the program tells the line.
                line = next((known for (_, p), known in self.lines.items() if p == program), None)
            if line is None:
                line, free_track = (free_track, program), free_track + 1
            lines.append(line)
        table = np.array(lines, np.int64).reshape(-1, 2)[where.reshape(-1)]
        return table[:, 0], table[:, 1]


def read_prompt(
    source: PromptSource,
    tokenizer: Tokenizer,
    bars: int | None = None,
    seconds: float | None = None,
) -> Prompt:
    """The first `bars` or `seconds` of a file or score, or all of it, ready to be continued.

    Raises UserError where it cannot be read, `tokenizer` cannot say it, or no note begins in what is asked for.
    """
    if bars is not None and seconds is not None:
        raise UserError(f"prompt_bars={bars} and prompt_seconds={seconds} exclude each other: give one of them")
    if bars is not None:
        check_whole("prompt_bars", bars)
    if seconds is not None:
        check_number("prompt_seconds", seconds, "above 0", lambda value: value > 0)
    score, name = _admitted(source, tokenizer)
    cut = _cut(score, bars, seconds)
    notes = score.notes[score.notes["start"] < (score.end + 1 if cut is None else cut)]
    if len(notes) == 0:
        asked = f"prompt_bars={bars}" if bars is not None else f"prompt_seconds={seconds}"
        raise UserError(f"{asked}: no note of {name} begins so early, so there is nothing to go on from; give more")
    if cut is None:
        cut = max(score.end, int(notes["start"][-1]) + 1)
        step = max(tokenizer.to_step(score, cut), tokenizer.to_step(score, int(notes["start"][-1])) + 1)
    else:
        step = max(tokenizer.to_step(score, cut), 1)
    return _prompt(score, tokenizer, cut, step)


def whole_prompt(source: PromptSource | None, tokenizer: Tokenizer, infill: str) -> Score:
    """All of the music of which some bars are filled. Raises UserError where there is none that `tokenizer` can say."""
    if source is None or (isinstance(source, str) and source == "random"):
        raise UserError(f"infill={infill} needs the music around it: name a file with prompt=FILE")
    return _admitted(source, tokenizer)[0]


def prompt_before(score: Score, tokenizer: Tokenizer, cut: int) -> Prompt:
    """What comes in `score` before tick `cut`, which is above 0, though it be silence."""
    return _prompt(score, tokenizer, cut, max(tokenizer.to_step(score, cut), 1))


def _prompt(score: Score, tokenizer: Tokenizer, cut: int, step: int) -> Prompt:
    notes = score.notes[score.notes["start"] < cut]
    ids = tokenizer.encode_prompt(score, step)
    opening = score.replace(
        notes=notes,
        tempos=score.tempos[score.tempos["tick"] < cut],
        meters=score.meters[score.meters["tick"] < cut],
        pedals=score.pedals[score.pedals["start"] < cut],
    )
    in_seconds = keeps_seconds(tokenizer)
    pace = int(tokenizer.decode(ids).tempos["microseconds"][-1]) / int(opening.tempos["microseconds"][-1])
    return Prompt(
        opening,
        cut,
        ids,
        step,
        in_seconds,
        1.0 if in_seconds else pace,
        _match_lines(tokenizer.quantise(score), score, in_seconds),
        int(score.notes["track"].max()) + 1,
    )


def _admitted(source: PromptSource, tokenizer: Tokenizer) -> tuple[Score, str]:
    score, name = _read(source)
    reason = tokenizer.admits(score)
    if reason is not None:
        raise UserError(f"prompt={name} has {reason}, which this model's tokenizer ({tokenizer.describe()}) cannot say")
    return score, name


def _read(source: PromptSource) -> tuple[Score, str]:
    if isinstance(source, Score):
        return source, "(a score)"
    if isinstance(source, (str, os.PathLike)):
        try:
            return read_score(source), os.fspath(source)
        except UserError as error:
            raise UserError(f"prompt={error}; give a file of music that other programs can open") from None
    score = from_pretty_midi(source)
    return score, "(a PrettyMIDI)"


def _cut(score: Score, bars: int | None, seconds: float | None) -> int | None:
    """The tick at which the prompt ends; None where it is the whole piece."""
    cut: int | None = None
    if bars is not None:
        lines = score.bar_starts()
        number = bars + (score.first_bar > 0)
        cut = int(lines[number]) if number < len(lines) else None
    elif seconds is not None:
        cut = max(1, int(np.ceil(score.ticks(seconds) - 1e-6)))
    return None if cut is None or cut >= score.end else cut


def keeps_seconds(tokenizer: Tokenizer) -> bool:
    """Whether steps are counted in seconds: then a tick lies at another step at another tempo."""
    twice = np.array([(0, 2 * DEFAULT_TEMPO)], TEMPO)
    score = Score(make_notes([0], [480], [60]))
    return tokenizer.to_step(score, 480) != tokenizer.to_step(score.replace(tempos=twice), 480)


def _match_lines(quantised: Score, score: Score, in_seconds: bool) -> dict[Line, Line]:
    """For each line of a quantised score the line of the score itself that most of its notes come from."""
    starts = score.notes["start"]
    if in_seconds:
        exact = quantised.ticks(score.seconds(starts))
    else:
        exact = starts * (quantised.ticks_per_quarter / score.ticks_per_quarter)
    place = np.floor(exact + 0.5).astype(np.int64) * 128 + score.notes["pitch"]
    order = np.argsort(place, kind="stable")
    wanted = quantised.notes["start"].astype(np.int64) * 128 + quantised.notes["pitch"]
    index = order[np.minimum(np.searchsorted(place[order], wanted), len(place) - 1)]
    found = place[index] == wanted
    pairs = np.stack([notes[key][found] for notes in (quantised.notes, score.notes[index]) for key in LINE], 1)
    rows, counts = np.unique(pairs, axis=0, return_counts=True)
    fewest_first = rows[np.argsort(counts, kind="stable")].tolist()
    return {(track, program): (own, own_program) for track, program, own, own_program in fewest_first}


def _keys(notes: np.ndarray) -> np.ndarray:
    """A number for each note's track, program and pitch."""
    return (notes["track"].astype(np.int64) * 256 + notes["program"]) * 128 + notes["pitch"]
