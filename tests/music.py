"""Made-up music and a store of it in memory, for tests that need no files."""

from __future__ import annotations

import numpy as np

from musiclstm.score import Score, make_notes


def chorale(random: np.random.Generator, steps: int = 48) -> Score:
    """Four voices that move by step on a grid of 16ths, each note one to four steps long."""
    columns: list[tuple[int, int, int, int]] = []
    for voice, pitch in enumerate((72, 67, 60, 48)):
        step = 0
        while step < steps:
            length = int(random.integers(1, 5))
            pitch += int(random.integers(-2, 3))
            columns.append((step, min(step + length, steps), pitch, voice))
            step += length
    start, end, pitches, voices = np.array(columns).T
    return Score(make_notes(start * 120, end * 120, pitches, 80, 52, voices), 480)


class MemoryStore:
    """As much of a NoteStore as training reads."""

    def __init__(self, scores: list[Score], splits: dict[str, list[int]]) -> None:
        self.scores, self.splits = scores, splits

    def name(self, index: int) -> str:
        return f"piece-{index}"

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int) -> Score:
        return self.scores[index]

    def split(self, name: str) -> np.ndarray:
        return np.array(self.splits.get(name, []), np.int64)


def chorales(pieces: int = 12, seed: int = 0) -> MemoryStore:
    """Chorales of unequal length: two to validate on, the others to train on."""
    random = np.random.default_rng(seed)
    scores = [chorale(random, int(random.integers(16, 80))) for _ in range(pieces)]
    return MemoryStore(scores, {"train": list(range(pieces - 2)), "validation": [pieces - 2, pieces - 1]})
