"""The models that come with the package: the bundles of this folder, of which README.md is the model card."""

from __future__ import annotations

from pathlib import Path

DEFAULT = "bach_chorales"
"""Which plays where nothing was trained."""

_FOLDER = Path(__file__).resolve().parent


def pretrained() -> dict[str, Path]:
    """The bundle of each model by its name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"))}


def name_of(path: object) -> str | None:
    """The name of the model whose bundle `path` is; None where it does not come with the package."""
    return next((name for name, bundle in pretrained().items() if bundle == path), None)
