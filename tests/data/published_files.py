"""Tiny files in the forms in which the benchmarks are published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.published import JSB_16TH, Frames

Voices = Sequence[Sequence[int]]


def write_voices(folder: Path, train: Sequence[Voices], valid: Sequence[Voices], test: Sequence[Voices]) -> Path:
    """Pieces in four voices."""
    path = folder / JSB_16TH
    path.write_text(json.dumps({"train": train, "valid": valid, "test": test}))
    return path


def write_frames(path: Path, train: Sequence[Frames], valid: Sequence[Frames], test: Sequence[Frames]) -> Path:
    """Pieces in frames, as a .mat file."""
    splits = {"traindata": train, "validdata": valid, "testdata": test}
    savemat(path, {name: rolls(*(roll(*piece) for piece in pieces)) for name, pieces in splits.items()})
    return path


def savemat(path: Path, content: dict[str, np.ndarray]) -> None:
    """The arrays as a .mat file; skips the test without SciPy."""
    pytest.importorskip("scipy.io").savemat(path, content)


def rolls(*pieces: np.ndarray) -> np.ndarray:
    """A MATLAB cell array of piano rolls."""
    cells = np.empty((1, len(pieces)), object)
    cells[0, :] = pieces
    return cells


def roll(*frames: Sequence[int]) -> np.ndarray:
    """A piano roll with a row for each frame."""
    made = np.zeros((len(frames), 88), np.uint8)
    for row, frame in zip(made, frames, strict=True):
        row[[pitch - 21 for pitch in frame]] = 1
    return made
