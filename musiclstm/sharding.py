"""Preparing in shards by a Hydra multirun: -m shard=range(32)"""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from musiclstm.console import say


class CountShards(Callback):
    """Tells the jobs of a multirun of how many shards theirs is one, where the command does not say it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Adds `shards=N` to what is given to each job."""
        task = config.hydra.overrides.task
        given = {each.key_or_group: each for each in OverridesParser.create().parse_overrides(list(task))}
        shard = given.get("shard")
        if shard is None or not shard.is_sweep_override():
            return
        jobs = len(list(shard.sweep_iterator()))
        if "shards" not in given:
            with open_dict(config):
                task.append(f"shards={jobs}")
        apart = ".hydra_submitit_launcher." in config.hydra.launcher._target_
        where = f"; what they say stands in {config.hydra.sweep.dir}/.submitit" if apart else ""
        say(f"Reading in {jobs:,} jobs{where}")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Says what to do where a job was lost."""
        say("All jobs are over. The last made the store; if one was lost, run the command again without -m and shard=")
