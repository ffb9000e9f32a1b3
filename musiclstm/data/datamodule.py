"""A note store as Lightning reads it: lanes to train on, whole pieces to validate on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np

from musiclstm.console import say
from musiclstm.data.augmentation import Augmentation
from musiclstm.data.lanes import Encoded, Lanes, WholePieces
from musiclstm.errors import UserError
from musiclstm.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from musiclstm.data.store import NoteStore

VALIDATION_WINDOW = 512
VALIDATION_LANES = 16


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
        self.train_pieces = self._admitted("train")
        self.val_pieces = self._validation(max_val_tokens)

    def _admitted(self, split: str) -> np.ndarray:
        """The pieces of a split that the tokenizer can say; says how many it cannot, and why."""
        pieces = self.store.split(split)
        reasons = {int(i): self.tokenizer.admits(self.store[i]) for i in pieces}
        refused = {i: reason for i, reason in reasons.items() if reason}
        kept = np.array([i for i in pieces if int(i) not in refused], np.int64)
        if refused:
            first, reason = next(iter(refused.items()))
            count = f"{len(refused)} of {len(pieces)} {split} pieces"
            if not len(kept):
                raise UserError(
                    f"the tokenizer {self.tokenizer.name} cannot say any of {count} ({self.store.names[first]}: "
                    f"{reason}); give another, or tokenizer=auto"
                )
            say(f"Left out: {count}, which {self.tokenizer.name} cannot say ({self.store.names[first]}: {reason})")
        if not len(kept):
            raise UserError(f"the store has no {split} piece: give more files, or another data.split")
        return kept

    def _validation(self, max_tokens: int | None) -> list[int]:
        pieces = np.random.default_rng([self.seed, 2]).permutation(self._admitted("validation"))
        if max_tokens is None:
            return [int(i) for i in pieces]
        notes = self.store.note_counts[pieces]  # known without encoding
        enough = int(np.searchsorted(np.cumsum(notes) / self.notes_per_token, max_tokens)) + 1
        return [int(i) for i in pieces[:enough]]

    @cached_property
    def notes_per_token(self) -> float:
        """About how many notes a token is worth: measured on a few pieces."""
        some = [int(i) for i in self.train_pieces[:: max(1, len(self.train_pieces) // 16)]]
        tokens = sum(len(self.tokenizer.encode(self.store[i])) - 1 for i in some)
        return float(self.store.note_counts[np.array(some)].sum()) / tokens

    def encode(self, piece: int, random: np.random.Generator | None = None) -> Encoded:
        """A piece as the model reads it, augmented where `random` is given."""
        score = self.store[piece]
        ids = self.tokenizer.encode(score if random is None else self.augmentation(score, random))
        return Encoded(ids, self.tokenizer.context(ids[None])[0][0])

    def train_dataloader(self) -> Lanes:
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
        return lanes

    def val_dataloader(self) -> WholePieces:
        """This process's share of the validation pieces."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        mine = self.val_pieces[rank::world]
        if not mine:
            raise UserError(
                f"{len(self.val_pieces)} validation pieces are too few for trainer.devices={world}: "
                "give fewer devices, more files, or data.max_val_tokens=null"
            )
        return WholePieces([self.encode(i) for i in mine], lanes=VALIDATION_LANES, window=VALIDATION_WINDOW)

    def val_notes(self) -> int:
        """How many notes the validation pieces hold, over all processes."""
        return int(self.store.note_counts[np.array(self.val_pieces)].sum())
