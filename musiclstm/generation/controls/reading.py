"""What a person asks for, from a control file and settings: values by setting and section of the piece."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from musiclstm.errors import UserError
from musiclstm.generation.controls.settings import FIXED, PARSERS

if TYPE_CHECKING:
    from musiclstm.generation.controls.plan import Plan
    from musiclstm.tokenizers.base import Tokenizer

VARYING = tuple(name for name in PARSERS if name not in FIXED)
PICKUP = -1  # bars are counted from 0 here, from 1 by people


class Value(NamedTuple):
    """A value as parsed, and as it was given."""

    parsed: Any
    given: Any


class Stretch(NamedTuple):
    """The bars from `first` up to `stop` (exclusive; None: to the end) in which a setting has one value or none."""

    first: int
    stop: int | None
    value: Value | None


@dataclass(frozen=True)
class Controls:
    """All that was asked for. `whole` holds in all bars for which `sections` say nothing else."""

    whole: Mapping[str, Value] = field(default_factory=dict)
    sections: Mapping[str, Sequence[Stretch]] = field(default_factory=dict)  # of each setting, in order

    def __bool__(self) -> bool:
        return bool(self.whole) or any(part.value for parts in self.sections.values() for part in parts)

    def get(self, name: str) -> Any:
        """The value of a setting that does not vary; None where it is not asked for."""
        value = self.whole.get(name)
        return None if value is None else value.parsed

    def stretches(self, name: str) -> list[Stretch]:
        """The whole piece, from the pickup on, in stretches of one value of a setting."""
        whole = self.whole.get(name)
        parts: list[Stretch] = []
        at: int | None = PICKUP
        for part in self.sections.get(name, ()):
            first = PICKUP if part.first == 0 and whole is None else part.first  # a pickup belongs to what it leads to
            assert at is not None
            if first > at:
                parts.append(Stretch(at, first, whole))
            parts.append(part._replace(first=first))
            at = part.stop
        if at is not None:
            parts.append(Stretch(at, None, whole))
        return parts

    def asked(self) -> list[str]:
        """The settings that are asked for somewhere."""
        return [name for name in PARSERS if name in self.whole or any(p.value for p in self.sections.get(name, ()))]

    def at_work(self, bar: int) -> str:
        """The settings in force in a bar (0 the first full one), in words."""
        words = []
        for name in self.asked():
            for part in self.stretches(name):
                if part.value is not None and part.first <= bar and (part.stop is None or bar < part.stop):
                    words.append(f"{name}={part.value.given}")
        return ", ".join(words)

    def plan(self, tokenizer: Tokenizer, met: np.ndarray) -> Plan | None:
        """What is asked for, ready for a tokenizer; None where that is nothing. `met` (V,) bool: the tokens that the
        model met in training. Raises UserError for what is impossible."""
        from musiclstm.generation.controls.compiling import compile_plan

        return compile_plan(self, tokenizer, met) if self else None


def read_controls(control: str | os.PathLike[str] | Mapping[str, Any] | None = None, **settings: Any) -> Controls:
    """What a control file (YAML) or mapping and `settings` ask for; settings replace what the file has for all bars.

    Settings that are None are not asked for. Raises UserError for anything that is not known or not possible.
    """
    given = {**_control(control), **{name: value for name, value in settings.items() if value is not None}}
    sections: dict[str, list[Stretch]] = {}
    for section in _sections(given.pop("sections", None)):
        first, stop = _bars(section.pop("bars", None))
        for name, value in section.items():
            _add(sections, name, first, stop, value)
    whole: dict[str, Value] = {}
    for name, value in given.items():
        if name not in PARSERS:
            raise UserError(f"{name} is not a setting of the control: there are {', '.join(PARSERS)} and sections")
        if isinstance(value, Mapping):  # key: {1-8: C major, 9-16: A minor}
            for bars, part in value.items():
                _add(sections, name, *_bars(bars), part)
        elif value is not None:
            whole[name] = _value(name, value)
    for name, parts in sections.items():
        parts.sort(key=lambda part: part.first)
        for before, after in itertools.pairwise(parts):
            if before.stop is None or before.stop > after.first:
                raise UserError(f"sections: two give {name} in bar {after.first + 1}: end one where the other begins")
    return _checked(Controls(whole, sections))


def _add(sections: dict[str, list[Stretch]], name: str, first: int, stop: int | None, value: Any) -> None:
    if name not in VARYING:
        why = "holds for a whole piece" if name in FIXED else "is not a setting"
        raise UserError(f"sections: {name} {why}, and what may vary are {', '.join(VARYING)}")
    parsed = None if value is None else _value(name, value)
    sections.setdefault(name, []).append(Stretch(first, stop, parsed))


def _value(name: str, value: Any) -> Value:
    parsed = PARSERS[name](value)
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return Value(parsed, str(parsed) if name == "notes" else value)


def _checked(controls: Controls) -> Controls:
    bars = controls.get("bars")
    if controls.get("voice") is not None and controls.get("notes") is None:
        raise UserError(f"voice={controls.get('voice')} says which voice the notes of a file are: add notes=FILE")
    if controls.get("ending") is not None:
        if bars is None:
            raise UserError("ending=tonic needs an end: add bars=, how many the piece has")
        if controls.stretches("key")[-1].value is None and not any(
            part.value and part.first < bars and (part.stop is None or bars <= part.stop)
            for part in controls.stretches("key")
        ):
            raise UserError("ending=tonic needs the key of the end: add key=, such as key='C major'")
    for name, parts in controls.sections.items():
        for part in parts:
            if bars is not None and part.first >= bars:
                raise UserError(
                    f"sections: {name} from bar {part.first + 1} on, and bars={bars}: the piece ends before"
                )
    return controls


def _control(control: Any) -> dict[str, Any]:
    if control is None:
        return {}
    if isinstance(control, (str, os.PathLike)):
        name = os.fspath(control)
        try:
            with open(name, encoding="utf-8") as file:
                control = yaml.safe_load(file)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UserError(f"control={name} cannot be read ({reason}): give a YAML file of settings") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}" if mark is not None else ""
            problem = getattr(error, "problem", None) or "wrong syntax"
            raise UserError(
                f"control={name}{place} is not YAML ({problem}): write lines such as `key: C major`"
            ) from None
        if control is None:
            return {}
    if not isinstance(control, Mapping):
        raise UserError(f"control={control} is not possible: give settings with their values, as `key: C major`")
    return {str(name): value for name, value in control.items()}


def _sections(sections: Any) -> list[dict[str, Any]]:
    if sections is None:
        return []
    if isinstance(sections, Mapping) or not isinstance(sections, Sequence) or isinstance(sections, str):
        raise UserError(f"sections={sections} is not possible: give a list of mappings, each with bars: and settings")
    for section in sections:
        if not isinstance(section, Mapping) or "bars" not in section:
            raise UserError(f"sections: {section} has no bars: give the bars in which it holds, as `bars: 9-16`")
    return [{str(name): value for name, value in section.items()} for section in sections]


def _bars(bars: Any) -> tuple[int, int | None]:
    """`9-16`, `5` and `9-` as (first, stop), bars from 0."""
    found = re.fullmatch(r"(\d+)(?:\s*(-|\.\.)\s*(\d*))?", str(bars).strip())
    if found is not None:
        first = int(found[1])
        last = int(found[3]) if found[3] else (first if found[2] is None else None)
        if last is None or last >= first:
            return first - 1, last
    raise UserError(f"sections: bars={bars} is not possible: give bars counted from 1, as 9-16, 5 or 9-")
