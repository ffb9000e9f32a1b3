"""The published benchmarks as pieces of a note store: whole, in their order, in the split that was published."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musiclstm.data.music_files import MusicFile
from musiclstm.data.published import (
    FRAME_SETS_HOME,
    JSB_16TH,
    JSB_16TH_HOME,
    REST,
    STEPS_PER_QUARTER,
    Frames,
    frames_per_quarter,
    published_file,
    read_frames,
    read_jsb_16th,
)
from musiclstm.data.reading import Music
from musiclstm.data.store import SPLITS
from musiclstm.errors import FileError
from musiclstm.midi.repair import count
from musiclstm.score import Score, make_notes

READING = "published 1"  # of what `read_split` makes of a file; to be changed whenever that changes
CHOIR, PIANO = 52, 0  # General MIDI programs
PITCHES = 128


def is_published(path: str | os.PathLike[str]) -> bool:
    """Whether `path` names a file of the kinds in which benchmarks are published, there or not."""
    return Path(path).suffix.lower() in (".json", ".mat") and not Path(path).is_dir()


def find_splits(path: str | os.PathLike[str]) -> list[MusicFile]:
    """The three parts of a published file, as if each split were a file of its own: of NAME.json, NAME.train and so on.

    Each ends in another extension, so that none is taken for another whose bytes are the same. Raises UserError where
    the file is not there, or its name is that of no set.
    """
    if _is_frames(path):
        frames_per_quarter(Path(path).stem)
        file = published_file(Path(path), Path(path).name, FRAME_SETS_HOME)
    else:
        file = published_file(Path(path), JSB_16TH, JSB_16TH_HOME)
    names = [f"{file.stem}.{split}" for split in SPLITS]
    return [MusicFile(str(file), name, name) for name in names]


def split_of(part: MusicFile) -> str:
    """The split that a part from `find_splits` is."""
    return part.source.rpartition(".")[2]


def read_split(part: MusicFile, content: bytes) -> Music:
    """The pieces of one split of a published file. Raises UserError where the file is another, or has none."""
    split, path = split_of(part), part.path
    scores: list[Score]
    if _is_frames(path):
        pieces = read_frames(path, path.stem)[split]
        scores = [frames_score(piece, frames_per_quarter(path.stem)) for piece in pieces]
        lengths = list(map(len, pieces))
    else:
        voices = read_jsb_16th(path)[split]
        scores = [voices_score(piece) for piece in voices]
        lengths = list(map(len, voices))
    kept = [score for score in scores if len(score)]
    if not kept:
        raise FileError("no notes in this split", kind="empty")
    return Music(kept, remarks=_remarks(scores, lengths))


def voices_score(piece: np.ndarray) -> Score:
    """A piece (T, V) of MIDI pitches and REST as a score, a tick a step, of which voice v is track v.

    Equal pitches that follow each other in a voice are one note, held, since the data do not tell holds from repeats.
    """
    start, end, voice, pitch = _runs(piece.T)
    return Score(make_notes(start, end, pitch, program=CHOIR, track=voice), STEPS_PER_QUARTER)


def frames_score(piece: Frames, per_quarter: int) -> Score:
    """A piece in frames as a score of one track, a tick a frame; a pitch in consecutive frames is one note, held."""
    lines = np.full((PITCHES, len(piece)), REST)
    for frame, pitches in enumerate(piece):
        lines[list(pitches), frame] = pitches
    start, end, _, pitch = _runs(lines)
    return Score(make_notes(start, end, pitch, program=PIANO), per_quarter)


def _runs(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Start, end (exclusive), line and value of each longest run of an equal value in `lines` (L, T), RESTs aside."""
    begins = np.ones(lines.shape, bool)
    begins[:, 1:] = lines[:, 1:] != lines[:, :-1]
    line, start = np.nonzero(begins)
    end = np.append(start[1:], 0)
    end[end == 0] = lines.shape[1]  # where the next run begins another line
    value = lines[line, start]
    sounds = value != REST
    return start[sounds], end[sounds], line[sounds], value[sounds]


def _remarks(scores: Sequence[Score], lengths: Sequence[int]) -> list[str]:
    """What is lost of pieces of so many steps: a score has no silence at its end, and no piece is without notes."""
    empty = sum(not len(score) for score in scores)
    rests = [length - score.end for score, length in zip(scores, lengths, strict=True) if 0 < score.end < length]
    remarks = [f"{count(empty, 'piece')} without notes left out"] if empty else []
    if rests:
        remarks.append(f"{count(sum(rests), 'silent step')} at the end of {count(len(rests), 'piece')} left out")
    return remarks


def _is_frames(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix.lower() == ".mat"
