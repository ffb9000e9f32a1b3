"""Which tokenizer suits a collection, by what its notes are like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, Score

PIECES = 200  # looked at, evenly spread over the collection
NOTES = 5000  # looked at in each
GRIDS = (4, 8, 12, 24)  # steps a quarter
GRID_NAMES = {4: "a 16th", 8: "a 32nd", 12: "a 16th or a triplet", 24: "a 32nd or a triplet"}
ON_GRID = 0.01  # quarter notes: so near to a step a note is on it
MOST_VOICES = 8
NEARLY_ALL, ALL_BUT_A_FEW = 0.95, 0.98
MOST_TOKENS = 8  # a note in voices; remi takes 4 or 5, and the model sees less music in as many tokens
HEARD_LATE = 5.0  # milliseconds off the time that was played; twice as much is heard
FREELY = 0.05  # of `_Look.pulse`: that of MAESTRO is 0.00, of drummers to a click 0.3, of written music 0.8 and more
PULSES = np.array([[2], [3], [4], [6], [12]])  # steps a quarter, at some of which metrical notes gather
FAMILIES = (
    "piano", "chromatic percussion", "organ", "guitar", "bass", "strings", "an ensemble", "brass",
    "reeds", "pipes", "a synth lead", "a synth pad", "synth effects", "world instruments", "percussion", "effects",
)  # fmt: skip


def choose_tokenizer(scores: Sequence[Score]) -> tuple[str, dict[str, Any], str]:
    """The name of a tokenizer, its arguments, and one line that says what was chosen and why.

    Raises UserError where no score has notes.
    """
    scores = [score for score in scores if len(score)]
    if not scores:
        raise UserError("tokenizer=auto needs music to choose by, and there are no notes: choose a tokenizer yourself")
    look = _Look.at(scores[:: -(-len(scores) // PIECES)])
    if look.drums == 1:
        steps, why = _remi_steps(look)
        return _remi(steps, f"there are only drums, and {why}")
    if look.pulse < FREELY and look.drums < 1 - ALL_BUT_A_FEW and len(look.families) == 1:
        played = FAMILIES[look.families[0]]
        why = f"it is {played} alone, played freely: the notes do not keep to any grid of beats"
        return "performance", {}, f"tokenizer=performance (steps of 10 ms): {why}"
    grid = next((grid for grid in GRIDS if look.on_grid[grid] >= ALL_BUT_A_FEW), None)
    if look.voices is not None and grid is not None and look.voices * grid * look.quarters <= MOST_TOKENS:
        one = look.voices == 1
        arguments = {"num_voices": look.voices, "steps_per_quarter": grid}
        said = f"{look.voices} voice{'' if one else 's'}, {grid} steps a quarter"
        tracks = "1 track that sings" if one else f"{look.voices} tracks that sing"
        every = "every piece has" if look.share_of_voices == 1 else f"{look.share_of_voices:.1%} of the pieces have"
        on_grid = f"{look.on_grid[grid]:.1%} of the notes begin on {GRID_NAMES[grid]}"
        return "voices", arguments, f"tokenizer=voices ({said}): {every} {tracks} one note at a time, and {on_grid}"
    steps, why = _remi_steps(look)
    return _remi(steps, f"{look.texture()}, and {why}")


def _remi(steps: int, why: str) -> tuple[str, dict[str, Any], str]:
    return "remi", {"steps_per_quarter": steps}, f"tokenizer=remi ({steps} steps a quarter): {why}"


def _remi_steps(look: _Look) -> tuple[int, str]:
    coarse, fine = (f"{look.error[grid]:.1f} ms from the nearest of {grid} steps a quarter" for grid in (12, 24))
    if look.error[12] <= HEARD_LATE:
        return 12, f"notes begin {coarse} on average"
    return 24, f"notes begin {fine} on average ({look.error[12]:.1f} ms with 12)"


@dataclass(frozen=True)
class _Look:
    """What some scores are like, each score counting the same."""

    drums: float  # share of the notes
    programs: int  # how many, without drums
    families: list[int]  # of eight General MIDI programs each, without those that hardly play
    pulse: float  # 0 where notes fall anywhere in the beat, 1 where always at the same places; whatever their phase
    on_grid: dict[int, float]  # share of the notes that begin on a step, for each of GRIDS
    error: dict[int, float]  # mean distance to the nearest step, milliseconds
    voices: int | None  # the number of tracks, if nearly all pieces have it and one note at a time in each
    share_of_voices: float  # how many pieces have
    tracks: tuple[int, int]  # fewest and most
    quarters: float  # of music to a note

    @classmethod
    def at(cls, scores: Sequence[Score]) -> _Look:
        counts = np.zeros(DRUMS + 1)
        pulses, on_grid, errors = [], [], []
        tracks, voices = [], Counter[int]()
        for score in scores:
            notes = score.notes[:NOTES]
            counts += np.bincount(notes["program"], minlength=DRUMS + 1) / len(notes)
            quarters = notes["start"] / score.ticks_per_quarter
            pulses.append(_concentration(quarters * PULSES))
            steps = quarters[:, None] * GRIDS
            distance = np.abs(steps - np.rint(steps)) / GRIDS
            on_grid.append((distance <= ON_GRID).mean(0))
            errors.append(distance.mean(0) * 1000 * score.duration * score.ticks_per_quarter / max(score.end, 1))
            number = int(np.count_nonzero(np.bincount(score.notes["track"])))
            tracks.append(number)
            if number <= MOST_VOICES and (notes["program"] != DRUMS).all() and _one_at_a_time(notes, score):
                voices[number] += 1
        melodic = counts[:DRUMS] / max(counts[:DRUMS].sum(), 1e-9)
        families = melodic.reshape(-1, 8).sum(1)
        usual, pieces = voices.most_common(1)[0] if voices else (0, 0)
        return cls(
            drums=float(counts[DRUMS] / counts.sum()),
            programs=int(np.count_nonzero(melodic)),
            families=np.flatnonzero(families > 0.01).tolist(),
            pulse=float(np.mean(pulses, axis=0).max()),
            on_grid=dict(zip(GRIDS, np.mean(on_grid, axis=0).tolist(), strict=True)),
            error=dict(zip(GRIDS, np.mean(errors, axis=0).tolist(), strict=True)),
            voices=usual if pieces >= NEARLY_ALL * len(scores) else None,
            share_of_voices=pieces / len(scores),
            tracks=(min(tracks), max(tracks)),
            quarters=median(score.end / score.ticks_per_quarter / len(score) for score in scores),
        )

    def texture(self) -> str:
        fewest, most = self.tracks
        instruments = f"{self.programs} instrument{'' if self.programs == 1 else 's'}"
        drums = f" and drums ({self.drums:.0%} of the notes)" if self.drums else ""
        tracks = f"{most if fewest == most else f'{fewest} to {most}'} track{'' if most == 1 else 's'}"
        return f"{instruments}{drums} in {tracks}, {'one note at a time' if self.voices else 'with chords'}"


def _concentration(steps: np.ndarray) -> np.ndarray:
    """How alike the places between two steps are at which N notes fall: 1 all the same, 0 in expectation by chance.

    steps: (K, N), in K units. Gives (K,).
    """
    count = steps.shape[1]
    squared = abs(np.exp(2j * np.pi * steps).mean(1)) ** 2
    alike: np.ndarray = (count * squared - 1) / max(count - 1, 1)
    return alike


def _one_at_a_time(notes: np.ndarray, score: Score) -> bool:
    """Whether no track has chords; notes played legato may overlap a little."""
    notes = notes[np.argsort(notes["track"], kind="stable")]
    same = notes["track"][1:] == notes["track"][:-1]
    overlap = notes["end"][:-1] - notes["start"][1:] > 0.1 * score.ticks_per_quarter
    return bool((overlap & same).sum() <= 0.02 * len(notes))
