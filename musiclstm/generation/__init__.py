"""Music from a trained model."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from musiclstm.errors import UserError
from musiclstm.generation.generator import MusicGenerator
from musiclstm.generation.job import Generated
from musiclstm.model.bundle import load_bundle
from musiclstm.pretrained import DEFAULT, pretrained
from musiclstm.tokenizers import from_dict

__all__ = ["Generated", "MusicGenerator", "find_bundle", "load", "newest_bundle", "outputs_folder"]

DEVICES = ("cpu", "cuda")


def load(path: str | os.PathLike[str] | None = None, engine: str = "auto", device: str = "cpu") -> MusicGenerator:
    """The model in a bundle or checkpoint; in a folder the newest.

    path: of a file or folder, or, where there is none of that name, the name of a model that comes with the package.
        Without it the newest under `outputs_folder()`; if nothing was trained, the one that comes with the package.
    engine: how its steps are computed, see `make_engine`.
    device: where, "cpu" or "cuda".

    Raises UserError where there is none, or the file is something else, or there is no such device.
    """
    if device not in DEVICES:
        raise UserError(f"device={device!r} is unknown: choose one of {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda is not possible here (torch finds no GPU): give device=cpu")
    path = find_bundle(path)
    bundle = load_bundle(path)
    tokenizer = from_dict(bundle.tokenizer)
    if list(tokenizer.context_sizes.values()) != bundle.model.arguments["context_sizes"]:
        raise UserError(
            f"{path} was trained with other context features than {tokenizer.name} has in this version of musiclstm: "
            "use the version that wrote it, or train anew"
        )
    return MusicGenerator(bundle.model.to(device), tokenizer, bundle.provenance, path, engine)


def find_bundle(path: str | os.PathLike[str] | None) -> Path:
    """The file that `load` reads. Raises UserError where there is none; whether it is a bundle is not looked at."""
    shipped = pretrained()
    if path is None:
        return newest_bundle(outputs_folder()) or shipped[DEFAULT]
    file = Path(path)
    if file.is_dir() or file == outputs_folder():
        newest = newest_bundle(file)
        if newest is None:
            raise UserError(
                f"no model under {file}{os.sep}: train one with `python -m musiclstm.train`, or name one with "
                f"checkpoint=FILE or checkpoint={DEFAULT}"
            )
        return newest
    if not file.exists():
        if str(path) not in shipped:
            raise UserError(
                f"{path} does not exist: give a bundle (.safetensors), a checkpoint (.ckpt), or the name of a model "
                f"that comes with musiclstm ({', '.join(shipped)})"
            )
        return shipped[str(path)]
    return file


def newest_bundle(folder: str | os.PathLike[str]) -> Path | None:
    """The bundle written last in a folder or the folders in it; None where there is none."""
    bundles = [file for file in Path(folder).rglob("*.safetensors") if file.is_file()]
    return max(bundles, key=lambda file: (file.stat().st_mtime_ns, str(file)), default=None)


def outputs_folder() -> Path:
    """Where runs are: $MUSICLSTM_OUTPUTS, or `outputs` in the current folder."""
    return Path(os.environ.get("MUSICLSTM_OUTPUTS") or "outputs")
