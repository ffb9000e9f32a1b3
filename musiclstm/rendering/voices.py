"""Who plays what: the name and colour of every voice in a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musiclstm.general_midi import DRUM_KINDS, drum_kind, program_name
from musiclstm.rendering.style import DRUM_COLOUR, PALETTE
from musiclstm.score import DRUMS


class Voice(NamedTuple):
    """An entry of the legend."""

    name: str
    colour: str


def voices_of(notes: np.ndarray) -> tuple[list[Voice], np.ndarray]:
    """The voices of `notes` and, for each note, the index of its voice.

    A voice is a track's program, and all drums together are one; where there are only drums it is a kind of drum.
    Voices bear the instrument's name, or 'voice 1' and so on where several tracks all play one program.
    """
    drums = notes["program"] == DRUMS
    if len(notes) and drums.all():
        kinds = [*DRUM_KINDS, "Percussion"]
        found, index = np.unique([kinds.index(drum_kind(int(p))) for p in notes["pitch"]], return_inverse=True)
        return [Voice(kinds[i], _colour(i)) for i in found], index

    line = np.where(drums, np.iinfo(np.int64).max, notes["track"].astype(np.int64) << 8 | notes["program"])
    lines, index = np.unique(line, return_inverse=True)
    programs = [int(line) & 255 for line in lines[: len(lines) - int(drums.any())]]
    one_program = len(programs) > 1 and len(set(programs)) == 1
    voices = []
    for i, program in enumerate(programs):
        again = f" ({programs[: i + 1].count(program)})" if programs.count(program) > 1 else ""
        voices.append(Voice(f"voice {i + 1}" if one_program else program_name(program) + again, _colour(i)))
    if drums.any():
        voices.append(Voice(program_name(DRUMS), DRUM_COLOUR))
    return voices, index


def _colour(index: int) -> str:
    """The colour of the voice `index`: the palette, then the palette darker, then lighter, then again."""
    from matplotlib.colors import to_hex, to_rgb

    turn, place = divmod(index, len(PALETTE))
    scale, lift = ((1.0, 0.0), (0.6, 0.0), (0.5, 0.5))[turn % 3]
    red, green, blue = to_rgb(PALETTE[place])
    return to_hex((scale * red + lift, scale * green + lift, scale * blue + lift))
