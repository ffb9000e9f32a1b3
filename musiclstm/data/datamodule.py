"""A note store as Lightning reads it: lanes to train on, whole pieces to validate on."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch

from musiclstm.console import say, warn
from musiclstm.data.ahead import Ahead, shared_memory_missing
from musiclstm.data.augmentation import Augmentation
from musiclstm.data.lanes import Encoded, Lanes, WholePieces, Window
from musiclstm.errors import UserError
from musiclstm.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from musiclstm.data.store import NoteStore

VALIDATION_WINDOW = 512
VALIDATION_LANES = 16
CHECKED = 4096  # pieces that are all looked at before the training begins; it must not wait for a large store, ...
SAMPLED = 256  # ... of which so many are


class MusicData(L.LightningDataModule):
    """Pieces of a store that the tokenizer admits, encoded as they are read.

    lanes, window: the rows of a batch and the tokens of each, B and T.
    max_val_tokens: validate on as many whole pieces, drawn by `seed`, as hold so many tokens; None is all.
    """

    def __init__(
        self,
        store: NoteStore,
        tokenizer: Tokenizer,
        augmentation: Augmentation,
        *,
        lanes: int,
        window: int,
        seed: int = 0,
        max_val_tokens: int | None = 100_000,
    ) -> None:
        super().__init__()
        self.store, self.tokenizer, self.augmentation = store, tokenizer, augmentation
        self.lanes, self.window, self.seed = lanes, window, seed
        self.position: dict[str, Any] | None = None  # where the lanes begin, for a run that goes on
        self.train_pieces = self._train_pieces()
        self.val_pieces = self._validation(max_val_tokens)

    def _train_pieces(self) -> np.ndarray:
        """The pieces to train on that the tokenizer can say; of very many, those it cannot are left out as they come.

        Says how many those are, and why.
        """
        pieces = self.store.split("train")
        if not len(pieces):
            raise UserError("the store has no train piece: give more files, or other split.shares")
        self._checked = len(pieces) <= CHECKED
        look = pieces if self._checked else np.random.default_rng([self.seed, 3]).choice(pieces, SAMPLED)
        refused = self._refused(look)
        if len(refused) == len(look):
            first, reason = next(iter(refused.items()))
            raise UserError(
                f"the tokenizer {self.tokenizer.name} cannot say any of {len(look)} train pieces "
                f"({self.store.name(first)}: {reason}); give another, or tokenizer=auto"
            )
        if not self._checked:
            self._say_refused(refused, f"about {len(refused) / len(look):.0%} of {len(pieces):,} train pieces")
            return pieces
        self._say_refused(refused, f"{len(refused)} of {len(pieces)} train pieces")
        return np.array([i for i in pieces if int(i) not in refused], np.int64)

    def _validation(self, max_tokens: int | None) -> list[int]:
        """Pieces to validate on that the tokenizer can say, until there are enough."""
        pieces = np.random.default_rng([self.seed, 2]).permutation(self.store.split("validation"))
        wanted = np.inf if max_tokens is None else max_tokens * self.notes_per_token
        kept: list[int] = []
        refused: dict[int, str] = {}
        notes = 0
        for i in map(int, pieces):
            if notes >= wanted:
                break
            if found := self._refused([i]):
                refused |= found
            else:
                kept.append(i)
                notes += len(self.store[i])
        if not kept:
            raise UserError("the store has no validation piece to use: give more files, or other split.shares")
        self._say_refused(refused, f"{len(refused)} of {len(refused) + len(kept)} validation pieces")
        return kept

    def _refused(self, pieces: Iterable[int]) -> dict[int, str]:
        reasons = {int(i): self.tokenizer.admits(self.store[i]) for i in pieces}
        return {i: reason for i, reason in reasons.items() if reason}

    def _say_refused(self, refused: dict[int, str], count: str) -> None:
        if refused:
            first, reason = next(iter(refused.items()))
            say(f"Left out: {count}, which {self.tokenizer.name} cannot say ({self.store.name(first)}: {reason})")

    @cached_property
    def notes_per_token(self) -> float:
        """About how many notes a token is worth: measured on a few pieces."""
        some = [self.store[int(i)] for i in self.train_pieces[:: max(1, len(self.train_pieces) // 16)]]
        some = [score for score in some if not self.tokenizer.admits(score)]
        tokens = sum(len(self.tokenizer.encode(score)) - 1 for score in some)
        return sum(map(len, some)) / max(1, tokens)

    def encode(self, piece: int, random: np.random.Generator | None = None) -> Encoded | None:
        """A piece as the model reads it, augmented where `random` is given; None where the tokenizer cannot say it."""
        score = self.store[piece]
        if not self._checked and self.tokenizer.admits(score):
            return None
        ids = self.tokenizer.encode(score if random is None else self.augmentation(score, random))
        return Encoded(ids, self.tokenizer.context(ids[None])[0][0])

    def train_dataloader(self) -> Lanes | Ahead:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        lanes = Lanes(
            self.encode,
            self.train_pieces,
            lanes=self.lanes,
            window=self.window,
            seed=self.seed,
            rank=rank,
            world=world,
        )
        if self.position is not None:
            lanes.seek(self.position)
        return Ahead(lanes) if self._ahead() else lanes

    def _ahead(self) -> bool:
        """Whether another process is to encode ahead: not for a CPU, from which it would take what it gives."""
        trainer = self.trainer
        if trainer is None or trainer.strategy.root_device.type != "cuda":
            return False
        if "fork" not in multiprocessing.get_all_start_methods():
            return False
        features = len(self.tokenizer.context_sizes)
        missing = shared_memory_missing(self.lanes, self.window, features, trainer.num_devices)
        if missing and trainer.global_rank == 0:
            warn(f"pieces are not encoded ahead, which is slower: {missing} (in Docker: --shm-size=1g)")
        return missing is None

    def transfer_batch_to_device(self, batch: Window, device: torch.device, dataloader_idx: int) -> Window:
        """The numbers go as they are and are widened there. `reset` stays: the program looks at it."""
        pinned = device.type == "cuda"  # as `Ahead` leaves them
        tokens, targets, context = (part.to(device, non_blocking=pinned).long() for part in batch[:3])
        return batch._replace(tokens=tokens, targets=targets, context=context)

    def val_dataloader(self) -> WholePieces:
        """This process's share of the validation pieces."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        mine = self.val_pieces[rank::world]
        if not mine:
            raise UserError(
                f"{len(self.val_pieces)} validation pieces are too few for trainer.devices={world}: "
                "give fewer devices, more files, or data.max_val_tokens=null"
            )
        pieces = [encoded for i in mine if (encoded := self.encode(i))]
        return WholePieces(pieces, lanes=VALIDATION_LANES, window=VALIDATION_WINDOW)

    def val_notes(self) -> int:
        """How many notes the validation pieces hold, over all processes."""
        return sum(len(self.store[i]) for i in self.val_pieces)
