"""A reader that takes its time, so that a test can kill it in the middle; and readers that kill their process."""

from __future__ import annotations

import ctypes
import time

from musiclstm.data.music_files import MusicFile
from musiclstm.data.reading import Music, read_music


def slow(file: MusicFile, content: bytes) -> Music:
    """Reads as preparation does, but slowly."""
    time.sleep(0.01)
    return read_music(file, content)


def deadly(file: MusicFile, content: bytes) -> Music:
    """Does what the name of the file says."""
    if "segfault" in file.name:
        ctypes.string_at(0)
    if "loop" in file.name:
        while True:
            pass
    if "memory" in file.name:
        hoard = []
        while True:
            hoard.append(bytearray(b"x") * (32 << 20))
    if "error" in file.name:
        raise KeyError("no such\nthing")
    return read_music(file, content)


def hollow(file: MusicFile, content: bytes) -> Music:
    """Files of which some have a piece without notes, which nothing can be said of."""
    score = read_music(file, content).scores[0]
    return Music([score.replace(notes=score.notes[:0])] if "hollow" in file.source else [score])
