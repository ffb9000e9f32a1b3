"""The bundle: one file that holds a model, its tokenizer and where it came from, and nothing that can run.

A `.safetensors` file: the weights, and as its metadata one JSON string under `musiclstm_bundle` with `format` (the
number of this format), `model` (MusicLSTM's arguments), `tokenizer` and `provenance`. One, because safetensors writes
several in an order that changes from file to file. A Lightning checkpoint that holds the last three under
`hyper_parameters` is read as well: of its weights the moving average, which is what training validates.
"""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.model.music_lstm import MusicLSTM

FORMAT_VERSION = 1
_VERSION_KEY = "musiclstm_bundle"
_PARTS = ("model", "tokenizer", "provenance")
_CHECKPOINT_PREFIX = "average.module."


@dataclass(frozen=True)
class Bundle:
    """A model in eval mode on the CPU, its tokenizer as a dict, and where it came from (data, score, seed, steps)."""

    model: MusicLSTM
    tokenizer: dict[str, Any]
    provenance: dict[str, Any]


def save_bundle(
    path: str | os.PathLike[str], model: MusicLSTM, tokenizer: dict[str, Any], provenance: dict[str, Any]
) -> None:
    """Write a bundle; a file of that name is replaced whole or not at all. The dicts hold what JSON can."""
    parts = dict(zip(_PARTS, (model.arguments, tokenizer, provenance), strict=True))
    metadata = {_VERSION_KEY: json.dumps({"format": FORMAT_VERSION, **parts})}
    # A GPU keeps a layer's weights as views of one block, which the format refuses: each tensor gets its own memory.
    weights = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
    with whole_file(path) as beside:
        # Not safetensors' save_file, which makes a file that nobody else may read.
        beside.write_bytes(safetensors.torch.save(weights, metadata))


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle or a Lightning checkpoint, told apart by what they hold, not by their names.

    UserError where the file is neither, is damaged, or comes from a newer version.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the bundle (.safetensors) or checkpoint (.ckpt) inside it")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a bundle (.safetensors) or checkpoint (.ckpt)") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give a file that you may open") from None
    if start[:4] == b"PK\x03\x04":
        parts, weights = _read_checkpoint(path)
    elif start[8:9] == b"{":
        parts, weights = _read_safetensors(path)
    else:
        raise UserError(
            f"{path} is neither a bundle (.safetensors) nor a checkpoint (.ckpt): give a file that training wrote"
        )
    return Bundle(_build(path, parts["model"], weights), parts["tokenizer"], parts["provenance"])


def _read_safetensors(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or cut off ({error}): copy it again or train anew") from None
    try:
        parts = json.loads(metadata[_VERSION_KEY])
        version = int(parts["format"])
    except (KeyError, ValueError, TypeError, RecursionError):
        raise UserError(f"{path} holds tensors but is no musiclstm bundle: give a file that training wrote") from None
    if version > FORMAT_VERSION:
        raise UserError(
            f"{path} is a bundle of format {version} and this musiclstm reads up to {FORMAT_VERSION}: upgrade musiclstm"
        )
    return _check_parts(path, parts), weights


def _read_checkpoint(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Tensor]]:
    try:
        with path.open("rb") as file:  # given a name, torch would believe its ending
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} holds Python objects, which could run code: give a bundle or a checkpoint that musiclstm wrote"
        ) from None
    except Exception as error:  # a damaged archive can end in almost any of them
        what = str(error).partition("\n")[0].partition(".")[0]
        raise UserError(f"{path} is no readable checkpoint ({what}): copy it again or train anew") from None
    checkpoint = checkpoint if isinstance(checkpoint, dict) else {}
    parts = checkpoint.get("hyper_parameters")
    state = checkpoint.get("state_dict")
    weights = {
        name.removeprefix(_CHECKPOINT_PREFIX): value
        for name, value in (state if isinstance(state, dict) else {}).items()
        if isinstance(name, str) and name.startswith(_CHECKPOINT_PREFIX) and isinstance(value, Tensor)
    }
    return _check_parts(path, parts), weights


def _check_parts(path: Path, parts: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(parts, dict) or not all(isinstance(parts.get(name), dict) for name in _PARTS):
        raise UserError(
            f"{path} does not say which model, tokenizer and provenance it holds: give a file that musiclstm wrote"
        )
    return parts


def _build(path: Path, arguments: dict[str, Any], weights: dict[str, Tensor]) -> MusicLSTM:
    """The model that the arguments describe, with these weights.

    Nothing is allocated until the file's own tensors are seen to be those that the arguments ask for: a file cannot
    ask for more memory, or more layers, than it is large.
    """
    remedy = "copy it again, or use the version of musiclstm that wrote it"
    layers = arguments.get("num_layers", 1)
    if isinstance(layers, int) and layers > len(weights):
        raise UserError(f"{path} names {layers} layers and holds {len(weights)} tensors: {remedy}")
    try:
        with torch.device("meta"), _NoRandomNumbers():
            model = MusicLSTM(**arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        what = str(error).partition("\n")[0]
        raise UserError(f"{path} describes a model that cannot be built ({what}): {remedy}") from None
    expected = model.state_dict()
    wrong = sorted(expected.keys() ^ weights.keys())
    wrong = wrong or [name for name, value in expected.items() if value.shape != weights[name].shape]
    if wrong:
        raise UserError(f"{path} holds weights that do not fit the model it describes (first {wrong[0]}): {remedy}")
    # A copy, since what safetensors gives is the file itself, mapped: changed or cut off later, so would the model be.
    own = {name: weights[name].to(value.dtype, copy=True) for name, value in expected.items()}
    model.load_state_dict(own, assign=True)
    return model.eval()


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves out the drawing of first weights: there is nothing to fill, and torch takes a second to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):  # torch.nn.init's, or the tensor's own
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
