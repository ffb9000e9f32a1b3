"""The command that makes a note store: python -m musiclstm.prepare"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiclstm.commands import command
from musiclstm.console import say
from musiclstm.sources import open_store

if TYPE_CHECKING:
    from omegaconf import DictConfig


@command("prepare")
def main(cfg: DictConfig) -> None:
    """Makes the store and says how to train on it."""
    store = open_store(**cfg.data, output=cfg.output)
    say(f"Train on it: python -m musiclstm.train data.path={store.folder}")


if __name__ == "__main__":
    main()
