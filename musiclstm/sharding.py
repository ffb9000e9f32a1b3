"""Preparing in shards by a Hydra multirun: -m shard=range(32)"""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict


class CountShards(Callback):
    """Tells the jobs of a multirun of how many shards theirs is one, where the command does not say it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Adds `shards=N` to what is given to each job."""
        given = {override.key_or_group: override for override in _parsed(config)}
        shard = given.get("shard")
        if shard is None or "shards" in given or not shard.is_sweep_override():
            return
        with open_dict(config):
            config.hydra.overrides.task.append(f"shards={len(list(shard.sweep_iterator()))}")


def _parsed(config: DictConfig) -> list[Any]:
    return OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
