"""Settings of the wrong kind, found before a command runs: `max_minutes=soon`, `trainer=3`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from musiclstm.errors import UserError


def check_kinds(config_dir: str, config_name: str, overrides: Sequence[str]) -> None:
    """Raises UserError where a value on the command line is of another kind than the default that it replaces.

    Kinds are a number, yes or no, and a group of settings. A setting whose default is null or text is not judged
    here. What Hydra itself refuses (a name that is not known, say) raises Hydra's error.
    """
    parsed = OverridesParser.create().parse_overrides(overrides=list(overrides))
    with initialize_config_dir(config_dir, version_base="1.3"):
        groups = [o for o in parsed if _is_group(config_dir, o) and not o.is_sweep_override()]
        defaults = compose(config_name, overrides=[str(o.input_line) for o in groups])
    for override in parsed:
        if override.type == OverrideType.CHANGE and not override.key_or_group.startswith("hydra"):
            default = OmegaConf.select(defaults, override.key_or_group)
            for value in () if _is_group(config_dir, override) else _values(override):
                _check(override.key_or_group, default, value)


def _is_group(config_dir: str, override: Override) -> bool:
    return (Path(config_dir) / override.key_or_group.partition("@")[0]).is_dir()


def _values(override: Override) -> Iterator[Any]:
    if not override.is_sweep_override():
        yield override.value()
    elif override.is_discrete_sweep():
        yield from override.sweep_iterator()


def _check(key: str, default: Any, value: Any) -> None:
    if isinstance(default, DictConfig) and not isinstance(value, dict):
        inside = ", ".join(f"{key}.{name}" for name in list(default)[:3])
        raise UserError(f"{key}={value}: {key} is a group of settings; change what is in it ({inside})")
    if isinstance(default, bool) and not isinstance(value, bool):
        raise UserError(f"{key}={value} is neither yes nor no: give {key}=true or {key}=false")
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if number and value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise UserError(f"{key}={value} is not a number: give one, such as {key}={default}")
