"""The command that makes a note store: python -m musiclstm.prepare"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiclstm.commands import command
from musiclstm.console import say
from musiclstm.data.pool import warm_up
from musiclstm.errors import UserError
from musiclstm.sources import open_store, selection_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from musiclstm.data.store import NoteStore


@command("prepare")
def main(cfg: DictConfig) -> None:
    """Makes the store, or a share of it, and says how to train on it."""
    store = _merged(cfg) if cfg.merge is not None else _prepared(cfg)
    if store is not None:
        say(f"Train on it: python -m musiclstm.train data.path={store.folder}")


def _prepared(cfg: DictConfig) -> NoteStore | None:
    shard = None
    if cfg.shard is not None:
        if cfg.shards is None:
            raise UserError(f"shard={cfg.shard} of how many? give shards=N, or all at once: -m shard=range(N)")
        shard = (int(cfg.shard), int(cfg.shards))
    return open_store(cfg.data, cfg.split, cfg.select, cfg.prepare, output=cfg.output, shard=shard)


def _merged(cfg: DictConfig) -> NoteStore:
    from musiclstm.data.preparation import merge

    if cfg.output is None:
        raise UserError("merge: into which folder? give output=FOLDER")
    selection, table = selection_of(cfg.select)
    if table is not None:
        raise UserError(f"select.csv={table}: files are chosen when they are read, not when stores are merged")
    return merge(list(cfg.merge), cfg.output, group_by=cfg.split.group_by, leaks=cfg.split.leaks, selection=selection)


if __name__ == "__main__":
    warm_up("musiclstm.data.reading")  # while the settings are read
    main()
