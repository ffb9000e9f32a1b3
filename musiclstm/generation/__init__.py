"""Music from a trained model."""

from __future__ import annotations

import os
from pathlib import Path

from musiclstm.errors import UserError
from musiclstm.generation.generator import MusicGenerator
from musiclstm.generation.job import Generated
from musiclstm.model.bundle import load_bundle
from musiclstm.tokenizers import from_dict

__all__ = ["Generated", "MusicGenerator", "load", "newest_bundle", "outputs_folder"]


def load(path: str | os.PathLike[str] | None = None, engine: str = "auto") -> MusicGenerator:
    """The model in a bundle or checkpoint; in a folder, or without a path under `outputs_folder()`, the newest.

    engine: how its steps are computed, see `make_engine`.

    Raises UserError where there is none, or the file is something else.
    """
    path = outputs_folder() if path is None else Path(path)
    if path.is_dir() or path == outputs_folder():
        path = newest_bundle(path)
    bundle = load_bundle(path)
    return MusicGenerator(bundle.model, from_dict(bundle.tokenizer), bundle.provenance, path, engine)


def newest_bundle(folder: str | os.PathLike[str]) -> Path:
    """The bundle written last in a folder or the folders in it. Raises UserError where there is none."""
    bundles = [file for file in Path(folder).rglob("*.safetensors") if file.is_file()]
    if not bundles:
        raise UserError(
            f"no model under {folder}{os.sep}: train one with `python -m musiclstm.train`, "
            "or name one with checkpoint=FILE"
        )
    return max(bundles, key=lambda file: (file.stat().st_mtime_ns, str(file)))


def outputs_folder() -> Path:
    """Where runs are: $MUSICLSTM_OUTPUTS, or `outputs` in the current folder."""
    return Path(os.environ.get("MUSICLSTM_OUTPUTS") or "outputs")
