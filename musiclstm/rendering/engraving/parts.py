"""Who plays from which staff: the parts of a score, their names, clefs and staves, and the two hands of a pianist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musiclstm.general_midi import FAMILIES, program_name
from musiclstm.score import DRUMS

# The lowest and the highest pitch on the five lines of each clef.
CLEFS = {
    "treble": (64, 77),
    "bass": (43, 57),
    "alto": (53, 67),
    "treble8vb": (52, 65),
    "bass8vb": (31, 45),
    "treble8va": (76, 89),
}
_VOICES = (52, 53, 54, 85)
_KEYBOARDS = (*FAMILIES["piano"], 8, *FAMILIES["organ"], 46)  # and the harp
_USUAL: dict[int, tuple[str, ...]] = dict.fromkeys(FAMILIES["guitar"], ("treble8vb",))
_USUAL |= dict.fromkeys((*FAMILIES["bass"], 43), ("bass8vb",))
_USUAL |= dict.fromkeys((9, 13, 72), ("treble8va", "treble"))  # glockenspiel, xylophone, piccolo
_USUAL |= dict.fromkeys(_VOICES, ("treble", "treble8vb", "bass"))
_USUAL |= {41: ("alto", "treble"), 47: ("bass",)}  # viola, timpani

_MIDDLE = 60  # C
_SPLITS = np.arange(48, 73)  # the lowest pitch of the right hand
_REACH = 14  # semitones that a hand spans
_SATB = ("Soprano", "Alto", "Tenor", "Bass")
_SHORT = {name: f"{name[0]}." for name in _SATB}
_SHORT |= {"Piano": "Pno.", "Harpsichord": "Hpsd.", "Church Organ": "Org.", "Timpani": "Timp.", "Drums": "Dr."}
_SHORT |= {"Violin": "Vln.", "Viola": "Vla.", "Cello": "Vc.", "Contrabass": "Cb.", "Flute": "Fl.", "Clarinet": "Cl."}
_SHORT |= {"Bassoon": "Bsn.", "French Horn": "Hn.", "Trumpet": "Tpt.", "Trombone": "Tbn.", "Tuba": "Tba."}


@dataclass(frozen=True)
class Staff:
    """A staff: its clef (a name in CLEFS, or "percussion") and which notes of the score stand on it."""

    clef: str
    notes: np.ndarray


@dataclass(frozen=True)
class Part:
    """What one player reads."""

    name: str
    abbreviation: str
    program: int
    staves: list[Staff]


def parts_of(notes: np.ndarray) -> list[Part]:
    """The parts of a score, one for each track and program in their order, drums last and together."""
    line = notes["track"].astype(np.int64) << 8 | notes["program"]
    line[notes["program"] == DRUMS] = np.iinfo(np.int64).max
    members = [np.flatnonzero(line == value) for value in np.unique(line)]
    programs = [int(notes["program"][index[0]]) for index in members]
    names = _names([notes[index] for index in members], programs)
    parts = []
    for index, program, name in zip(members, programs, names, strict=True):
        staves = [Staff("percussion", index)] if program == DRUMS else _staves(notes, index, program)
        parts.append(Part(name, _short(name) if len(members) > 1 else "", program, staves))
    return parts or [Part("Piano", "", 0, [Staff("treble", np.zeros(0, np.int64))])]


def _names(lines: list[np.ndarray], programs: list[int]) -> list[str]:
    means = [float(line["pitch"].mean()) for line in lines]
    four = len(lines) == 4 and len(set(programs)) == 1 and all(not _polyphonic(line) for line in lines)
    if four and programs[0] in _VOICES and means == sorted(means, reverse=True):
        return list(_SATB)
    names = []
    for i, program in enumerate(programs):
        number = f" {programs[: i + 1].count(program)}" if programs.count(program) > 1 else ""
        names.append(("Piano" if program == 0 else program_name(program)) + number)
    return names


def _short(name: str) -> str:
    """The name at the later systems: 'S.', 'Vln. 2', 'S.E. 1'."""
    words = name.split()
    number = f" {words.pop()}" if words[-1].isdigit() and len(words) > 1 else ""
    whole = " ".join(words)
    initials = f"{words[0][:3]}." if len(words) == 1 else "".join(f"{word[0]}." for word in words)
    return _SHORT.get(whole, initials) + number


def _polyphonic(notes: np.ndarray) -> bool:
    return bool((notes["start"][1:] < np.maximum.accumulate(notes["end"])[:-1]).any())


def _staves(notes: np.ndarray, index: np.ndarray, program: int) -> list[Staff]:
    mine = notes[index]
    usual = _USUAL.get(program, ("treble", "bass"))
    clef, outside = _clef(mine, usual)
    low, high = np.quantile(mine["pitch"], [0.05, 0.95])
    two = low < _MIDDLE - 3 and high > _MIDDLE + 3 if program in _KEYBOARDS else outside > 5 and high - low > 24
    if not two or not _polyphonic(mine):
        return [Staff(clef, index)]
    right = right_hand(mine)
    hands = [index[right], index[~right]]
    return [
        Staff(_clef(notes[hand], (usual_clef, other), reluctance=4)[0], hand)
        for hand, usual_clef, other in zip(hands, ("treble", "bass"), ("bass", "treble"), strict=True)
    ]


def _clef(notes: np.ndarray, clefs: tuple[str, ...], reluctance: float = 0.5) -> tuple[str, float]:
    """The clef that has `notes` nearest to its lines, and by how many semitones the notes lie outside on average.

    The clefs after the first are taken only where that is less by `reluctance`.
    """
    pitch = notes["pitch"].astype(np.int64)
    outside = {}
    for clef in clefs:
        low, high = CLEFS[clef]
        outside[clef] = float(np.maximum(low - pitch, np.maximum(pitch - high, 0)).mean()) if len(pitch) else 0.0
    best = min(clefs, key=lambda clef: outside[clef] + reluctance * (clef != clefs[0]))
    return best, outside[best]


def right_hand(notes: np.ndarray) -> np.ndarray:
    """Which of a pianist's `notes`, in order of time, the right hand plays: (N,) bool.

    At each onset the keyboard is split at some pitch, so that hands reach their notes, few ledger lines are needed,
    and the split moves little: the cheapest way through all onsets.
    """
    pitch = notes["pitch"].astype(np.float64)
    onset = np.unique(notes["start"], return_inverse=True)[1]
    slices = int(onset.max(initial=-1)) + 1
    right = pitch[:, None] >= _SPLITS  # (N, S)
    ledger = np.where(right, np.maximum(57 - pitch, 0)[:, None], np.maximum(pitch - 64, 0)[:, None])
    cost = np.zeros((slices, len(_SPLITS)))
    np.add.at(cost, onset, ledger)
    for side in (right, ~right):
        top, bottom = np.full(cost.shape, -1.0), np.full(cost.shape, 999.0)
        np.maximum.at(top, onset, np.where(side, pitch[:, None], -1.0))
        np.minimum.at(bottom, onset, np.where(side, pitch[:, None], 999.0))
        cost += 3 * np.maximum(top - bottom - _REACH, 0)
    cost += 0.05 * np.abs(_SPLITS - _MIDDLE)
    move = 0.7 * np.abs(_SPLITS[:, None] - _SPLITS)
    best = np.zeros(len(_SPLITS))
    came = np.zeros(cost.shape, np.int64)
    for i in range(slices):
        ways = best[:, None] + move
        came[i] = ways.argmin(axis=0)
        best = ways.min(axis=0) + cost[i]
    split = np.zeros(slices, np.int64)
    at = int(best.argmin())
    for i in range(slices - 1, -1, -1):
        split[i] = _SPLITS[at]
        at = int(came[i, at])
    return np.asarray(pitch >= split[onset])
