"""What was wrong with a command line, in one line: what was given and what to do."""

from __future__ import annotations

import difflib
import errno
import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    CompactHydraException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from musiclstm.errors import UserError

_LAUNCHERS = ("joblib.", "submitit.", "ray.")
_EXTRAS = {"optuna": "sweep", "joblib": "sweep"} | dict.fromkeys(("ray", "submitit_local", "submitit_slurm"), "cluster")
_FULL_OR_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def reason(error: BaseException) -> str:
    """One line that says why a run failed, whoever's fault it is."""
    return explain(error) or _one_line(f"{type(error).__name__}: {error}")


def explain(error: BaseException) -> str | None:
    """One line that says what the user gave and what to do; None where the fault is not the user's."""
    if isinstance(error, UserError):
        return _one_line(str(error))
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error)
    if isinstance(error, OverrideParseException):
        return _explain_override(error.override)
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        if group.startswith("hydra/") and option in _EXTRAS:
            return f'{group}={option} needs an extra: pip install "musiclstm[{_EXTRAS[option]}]"'
        return f"{group}={option} is not known: {group}= takes {', '.join(error.options)}"
    if isinstance(error, CompactHydraException):
        return _explain_composition(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: give {error.full_key}=..."
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {_first_line(error)}"
    if isinstance(error, OSError) and error.errno in _FULL_OR_FORBIDDEN:
        return ": ".join(str(part) for part in (error.strerror, error.filename) if part)
    if isinstance(error, HydraException):
        search = ": to search an interval, add hydra/sweeper=optuna" if "INTERVAL_SWEEP" in str(error) else ""
        return _one_line(f"{error}{search}")
    if isinstance(error, ValueError) and str(error).startswith("Only one of --run, "):
        return str(error)
    if type(error).__module__.startswith(_LAUNCHERS):  # for what a run raises itself never gets so far
        what = " ".join(str(error).splitlines()[:2])
        return f"a run of the sweep was killed, perhaps for want of memory or time: {type(error).__name__}: {what}"
    return None


def quote(override: str) -> str:
    """`override`, its value in quotes where Hydra's grammar could not read it otherwise, and ~/ the home folder.

    So a path may hold what the grammar reserves or does not know, as in `prompt=~/Björk (live)/a=b.mid`. A value
    that looks like a list, a call or several values is left as it is: it may be a slip, which Hydra shall report.
    """
    name, equals, value = override.partition("=")
    if value.startswith("~/"):  # a shell leaves it alone behind a name with a dot
        value = os.path.expanduser(value)
        override = f"{name}={value}"
    if not equals or "," in value or re.match(r"\w+\(|[\[{\"']", value) or _parses(override):
        return override
    quoted = _quoted(name, value)
    return quoted if _parses(quoted) else override


def _quoted(name: str, value: str) -> str:
    # backslashes count as escapes only before a quote, the closing one included
    return name + "='" + re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), value) + "'"


def _shown(name: str, value: str) -> str:
    """The override as a person would type it in a shell, where `value` is to be text."""
    plain = '"' not in value and "\\" not in value
    return shlex.quote(f'{name}="{value}"' if plain else _quoted(name, value))


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([override])
    except HydraException:
        return False
    return True


def _explain_override(override: str) -> str:
    name, _, value = override.partition("=")
    if value and _parses(_quoted(name, value)):
        return f"cannot read {override}: if the value is text, quote it: {_shown(name, value)}"
    return f"cannot read {override}: settings are written name=value, as in seed=1; --help lists them"


def _explain_composition(error: CompactHydraException) -> str:
    cause = error.__cause__
    text = str(error).partition("\n\n")[0].partition("\nSee http")[0]
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return _explain_unknown(re.sub(r"^.*?'(.*?)'.*$", r"\1", text, flags=re.DOTALL), cause)
    several = re.match(r"Ambiguous value for argument '(.+?)=(.+)'\n", text)
    if several:
        name, values = several.groups()
        shown = _shown(name, values)
        return f"{name}={values} is several values: add -m to run each of them, or quote it if it is text: {shown}"
    return _one_line(": ".join([text, _first_line(cause)] if isinstance(cause, OmegaConfBaseException) else [text]))


def _explain_unknown(name: str, error: OmegaConfBaseException) -> str:
    known = list(_names(OmegaConf.to_container(error.parent_node), (error.full_key or "").removesuffix(str(error.key))))
    last = {k: k.rpartition(".")[2] for k in known}
    close = difflib.get_close_matches(name.rpartition(".")[2], list(last.values()), n=1, cutoff=0.75)
    near = [k for k in known if last[k] in close]
    return f"there is no setting {name}" + (f": did you mean {' or '.join(near)}?" if near else "; --help lists them")


def _names(node: Any, prefix: str) -> Iterator[str]:
    for key, value in node.items():
        if prefix or key != "hydra":
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from _names(value, f"{prefix}{key}.")


def _explain_instantiation(error: InstantiationException) -> str:
    cause = error.__cause__
    if isinstance(cause, UserError):
        return _one_line(str(cause))
    where = re.search(r"full_key: (\S+)", str(error))
    what = str(error) if cause is None else f"{type(cause).__name__}: {cause}"
    return _one_line(f"{where[1]}: {what}" if where else what) + " (MUSICLSTM_TRACEBACK=1 shows where)"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())
