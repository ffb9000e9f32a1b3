"""From the settings that name a collection to its note store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiclstm.console import say
from musiclstm.errors import UserError

if TYPE_CHECKING:
    from musiclstm.data.selection import Selection
    from musiclstm.data.store import NoteStore


def open_store(
    data: Mapping[str, Any],
    split: Mapping[str, Any],
    select: Mapping[str, Any],
    prepare: Mapping[str, Any],
    *,
    output: str | None = None,
    shard: tuple[int, int] | None = None,
) -> NoteStore | None:
    """The store that the sections of `conf/data` name, made first where it is not there yet.

    output: where, if not below `data.folder`. shard: (i, n) reads the i-th of n shares of the files; None is given
    until the last of them is read.
    """
    from musiclstm.corpora import build_corpus
    from musiclstm.data import preparation

    settings = {**split, **prepare, "limit": data["limit"], "shard": shard}
    settings["selection"], settings["selection_csv"] = selection_of(select)
    path, corpus, folder = data["path"], data["corpus"], data["folder"]
    if path is None and corpus is None:
        raise UserError("no music is named: give data.path=FOLDER, or data=bach_chorales or data=folk_tunes")
    store: NoteStore | None
    if path is None:
        for name, section in (("csv", "split."), ("selection_csv", "select."), ("shard", "")):
            if settings.pop(name) is not None:
                raise UserError(f"{section}{name.rpartition('_')[2]} is for data.path=FOLDER, not for {corpus}")
        for name in ("column", "file_column", "leaks"):
            del settings[name]  # which belong to the CSV
        store = build_corpus(corpus, Path(folder), **settings)
    elif output is None:
        store = preparation.ensure_store(path, folder, **settings)
    else:
        store = preparation.prepare(path, output, **settings)
    if store is not None:
        counts = ", ".join(f"{len(store.split(name)):,} {name}" for name in ("train", "validation", "test"))
        say(f"Music: {len(store):,} pieces ({counts}), {store.num_notes:,} notes in {store.folder}")
    return store


def selection_of(select: Mapping[str, Any]) -> tuple[Selection, str | None]:
    """What the section `select` asks for, and its CSV."""
    from musiclstm.data.selection import Selection

    wanted = dict(select)
    table = wanted.pop("csv")
    return Selection(**wanted), table
