"""Music under way as a thing: it can be kept in a file, branched, taken back to a bar, and gone on from."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError, safe_open

from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.generation.player import Moment, Player
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import Score

FORMAT_VERSION = 1
_KEY = "musiclstm_state"


@dataclass(frozen=True)
class MusicState:
    """A sequence and what a model knows after it. It never changes: whatever goes on from it is another one.

    player: of the model that it belongs to.
    ids: the tokens so far, from BOS on: int32, (T,).
    moment: of one row, without constraints: those are said anew wherever one goes on.
    fingerprint: of the model.
    """

    player: Player
    ids: np.ndarray
    moment: Moment
    fingerprint: str

    @property
    def score(self) -> Score:
        """The music so far, in the steps of the tokenizer; what is unfinished is closed."""
        return self.player.tokenizer.decode(self.ids)

    @property
    def bars(self) -> int:
        """The full bars completed; -1 in a pickup."""
        return int(self.player.clock(self.moment).bar[0])

    @property
    def seconds(self) -> float:
        """How far the music has come."""
        return float(self.player.clock(self.moment).seconds[0])

    def branch(self, n: int) -> list[MusicState]:
        """`n` states to go different ways from; a state never changes, so they are all this one."""
        return [self] * n

    def rewind(self, bar: int) -> MusicState:
        """The music before bar `bar` (from 1; 0 is the pickup), ready to go on with that bar.

        What is kept is read again from its tokens, so that a state is the same however it was come by.

        Raises UserError where the music has not come so far.
        """
        if not 0 <= bar <= self.bars + 1:
            raise UserError(f"bar={bar}: the music has come to bar {self.bars + 1}; give one from 0 to that")
        grammar = self.player.grammar
        state = grammar.start(1)
        before = int(grammar.clock(state).bar[0])
        ids, held = self.ids[:1], None
        for place, token in enumerate(self.ids[1:].astype(np.int64), start=1):
            left, state = state, grammar.advance(state, np.array([token]))
            clock = grammar.clock(state)
            now, position = int(clock.bar[0]), int(clock.position[0])
            if before < bar - 1 <= now:
                # A time shift may lead beyond the line: then one that ends there takes its place.
                beyond = position > 0 or now > bar - 1
                line = int(clock.step[0]) - position - (now - bar + 1) * int(clock.length[0])
                ids, held = self.ids[: place + (not beyond)], line if beyond else None
                if beyond:
                    ids = np.concatenate([ids, grammar.waiting(left, line).astype(ids.dtype)])
            before = now
        return MusicState(self.player, ids, self.player.read(ids, held)._replace(plan=None), self.fingerprint)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state to a file in which nothing can run; one that is there is replaced.

        It has some kilobytes, or of a model of attention as many megabytes as its memory.
        """
        arrays = {"ids": self.ids.astype(np.int32), "logits": self.moment.logits}
        for layer, parts in enumerate(self.moment.model):
            arrays |= {f"model.{layer}.{i}": part.cpu().numpy() for i, part in enumerate(parts)}
        arrays |= {f"grammar.{i}": array for i, array in enumerate(_arrays(self.moment.grammar))}
        about = {"format": FORMAT_VERSION, "model": self.fingerprint}
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        with whole_file(path) as beside:
            beside.write_bytes(safetensors.numpy.save(arrays, {_KEY: json.dumps(about)}))


def load_state(path: str | os.PathLike[str], player: Player, fingerprint: str) -> MusicState:
    """The state in a file that `MusicState.save` wrote. UserError where it is none, or another model's."""
    path = Path(path)
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            arrays: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a file that `MusicState.save` wrote") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is no state of music, or damaged ({error}): give a file that `save` of a state wrote"
        ) from None
    if about.get("format") != FORMAT_VERSION:
        raise UserError(f"{path} is of format {about.get('format')} and this musiclstm reads {FORMAT_VERSION}: upgrade")
    if about.get("model") != fingerprint:
        raise UserError(f"{path} belongs to another model: load the one that it was saved with")
    try:
        template = player.engine.initial_state(1)
        model = tuple(
            tuple(_same(arrays[f"model.{layer}.{i}"], part.cpu().numpy()) for i, part in enumerate(parts))
            for layer, parts in enumerate(template)
        )
        device = template[0][0].device
        tensors = tuple(tuple(torch.from_numpy(part.copy()).to(device) for part in parts) for parts in model)
        start = player.grammar.start(1)
        grammar = _rebuild(start, iter([arrays[f"grammar.{i}"] for i in range(len(_arrays(start)))]))
        ids, logits = arrays["ids"], arrays["logits"]
        if ids.ndim != 1 or len(ids) == 0 or logits.shape != (1, len(player.tokenizer.vocabulary)):
            raise ValueError("its arrays have other shapes")
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not hold a whole state ({error}): save it again") from None
    return MusicState(player, ids, Moment(tensors, grammar, None, logits), fingerprint)


def fingerprint(model: MusicLSTM) -> str:
    """A text that tells models apart by their arguments and weights."""
    digest = hashlib.sha256(json.dumps(model.arguments, sort_keys=True).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _arrays(state: Any) -> list[np.ndarray]:
    """The arrays of a grammar's state in their order."""
    return [array for part in state for array in _arrays(part)] if isinstance(state, tuple) else [state]


def _rebuild(template: Any, arrays: Any) -> Any:
    """A state like `template` out of `arrays`, an iterator over those that `_arrays` gave."""
    if isinstance(template, tuple):
        return type(template)(*(_rebuild(part, arrays) for part in template))
    array = next(arrays)
    if array.ndim != template.ndim or array.dtype != template.dtype or len(array) != 1:
        raise ValueError("its arrays have other shapes")
    return array


def _same(array: np.ndarray, template: np.ndarray) -> np.ndarray:
    """`array`, if it is like `template`; what is empty there, a memory in which a piece begins, may have any length."""
    fits = array.ndim == template.ndim and array.dtype == template.dtype
    if not fits or any(size not in (have, 0) for have, size in zip(array.shape, template.shape, strict=True)):
        raise ValueError("its arrays have other shapes")
    return array
