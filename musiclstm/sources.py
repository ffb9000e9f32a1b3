"""From the name of a collection to its note store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiclstm.console import say
from musiclstm.errors import UserError

if TYPE_CHECKING:
    from musiclstm.data.store import NoteStore


def open_store(
    path: str | None,
    corpus: str | None,
    folder: str,
    output: str | None = None,
    *,
    workers: int | None = None,
    limit: int | None = None,
    split_seed: int = 0,
    **settings: Any,
) -> NoteStore:
    """The store that `conf/data` names, made first where it is not there yet. `output` is where, if not below
    `folder`; `settings` are those of `musiclstm.data.preparation.prepare`."""
    from musiclstm.corpora import build_corpus
    from musiclstm.data.preparation import ensure_store, prepare

    if path is None and corpus is None:
        raise UserError("no music is named: give data.path=FOLDER, or data=bach_chorales or data=folk_tunes")
    if path is None:
        assert corpus is not None
        store = build_corpus(corpus, Path(folder), workers=workers)
    elif output is None:
        store = ensure_store(path, folder, workers=workers, limit=limit, seed=split_seed, **settings)
    else:
        store = prepare(path, output, workers=workers, limit=limit, seed=split_seed, **settings)
    counts = ", ".join(f"{len(store.split(name))} {name}" for name in ("train", "validation", "test"))
    say(f"Music: {len(store)} pieces ({counts}), {int(store.note_counts.sum()):,} notes in {store.folder}")
    return store
