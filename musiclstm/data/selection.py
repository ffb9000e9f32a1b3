"""Which pieces of a collection are wanted: by length, notes, meter, instruments, polyphony."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musiclstm.data.facts import unpack_programs
from musiclstm.errors import UserError
from musiclstm.general_midi import FAMILIES
from musiclstm.score import DENOMINATORS, DRUMS

_BOUNDED = {  # fields of FACTS, and what is said of a piece that is below or above
    "seconds": ("shorter than {:g} s", "longer than {:g} s"),
    "notes": ("fewer than {:g} notes", "more than {:g} notes"),
    "polyphony": ("fewer than {:g} notes at once", "more than {:g} notes at once"),
}


@dataclass(frozen=True)
class Selection:
    """What a piece must be like to be kept. What is None does not matter.

    meters: such as ("4/4", "3/4"), of which the piece's is one. instruments: General MIDI programs 0 to 127,
    families such as "piano" or "strings", and "drums": the piece has no others.
    """

    min_seconds: float | None = None
    max_seconds: float | None = None
    min_notes: int | None = None
    max_notes: int | None = None
    min_polyphony: int | None = None
    max_polyphony: int | None = None
    meters: Sequence[str] | None = None
    instruments: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        for fact in _BOUNDED:
            low, high = getattr(self, f"min_{fact}"), getattr(self, f"max_{fact}")
            if low is not None and high is not None and low > high:
                raise UserError(f"select.min_{fact}={low} is above select.max_{fact}={high}: nothing could be kept")
        for name, one in (("meters", "4/4"), ("instruments", "piano")):
            if isinstance(getattr(self, name), str):
                raise UserError(f"select.{name}={getattr(self, name)}: give a list, such as select.{name}=[{one}]")
            if getattr(self, name) is not None:  # whatever kind of list, one that can be written as JSON
                object.__setattr__(self, name, list(getattr(self, name)))
        self._meters()
        self._programs()

    def refuse(self, facts: np.ndarray) -> str:
        """Why the piece with these facts (a record of `FACTS`) is not wanted; "" where it is."""
        for fact, (below, above) in _BOUNDED.items():
            value = float(facts[fact])
            low, high = getattr(self, f"min_{fact}"), getattr(self, f"max_{fact}")
            if low is not None and value < low:
                return below.format(low)
            if high is not None and value > high:
                return above.format(high)
        meters = self._meters()
        meter = (int(facts["numerator"]), int(facts["denominator"]))
        if meters and meter not in meters:
            return f"its meter is {meter[0]}/{meter[1]}"
        if self.instruments is not None and not _programs_in(facts) <= self._programs():
            return f"other instruments than {', '.join(map(str, self.instruments))}"
        return ""

    def _meters(self) -> set[tuple[int, int]]:
        found = set()
        for meter in self.meters or ():
            numerator, _, denominator = str(meter).partition("/")
            if not (numerator.isdigit() and denominator.isdigit() and int(denominator) in DENOMINATORS):
                raise UserError(f"select.meters has {meter!r}: write meters like 4/4 or 6/8")
            found.add((int(numerator), int(denominator)))
        return found

    def _programs(self) -> set[int]:
        found: set[int] = set()
        for instrument in self.instruments or ():
            name = str(instrument).lower()
            if name == "drums":
                found.add(DRUMS)
            elif name.isdigit() and int(name) < 128:
                found.add(int(name))
            elif name in FAMILIES:
                found.update(FAMILIES[name])
            else:
                raise UserError(
                    f"select.instruments has {instrument!r}: give General MIDI programs (0 to 127), drums, or "
                    f"{', '.join(FAMILIES)}"
                )
        return found


def _programs_in(facts: np.ndarray) -> set[int]:
    return set(np.flatnonzero(unpack_programs(facts["programs"])).tolist())
