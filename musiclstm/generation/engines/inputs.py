"""What tokens and context features add to the gates: rows of a table, or a product where that would be too large."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from musiclstm.generation.engines.folding import Folded
from musiclstm.generation.engines.products import Product
from musiclstm.model.music_lstm import MusicLSTM

LARGEST_TABLE = 64 << 20  # bytes
LARGEST_BATCH = 1 << 14


class Inputs(nn.Module):
    """Gives what a model's embeddings add to the gates of the layers that see them (`projection` of `Folded`).

    The rows of all context features, and of the intervals of a model that goes by them, stand below those of the tokens
    in one table.
    """

    table: Tensor
    first: Tensor  # (1 + F,), where the rows of tokens and of each feature begin; intervals are features here, the last
    bags: Tensor  # (LARGEST_BATCH,), where the rows to be summed for each row of a batch begin

    def __init__(self, model: MusicLSTM, folded: Folded, product: type[Product]) -> None:
        super().__init__()
        intervals = model.intervals.embeddings if model.intervals is not None else ()
        tables = [table.weight.detach() for table in (model.embedding, *model.context_embeddings, *intervals)]
        sizes = torch.tensor([len(table) for table in tables])
        self.gates = len(folded.layers[0].matrix)
        self.project: Product | None = None
        dtype = torch.float32
        if product.tables.itemsize * len(folded.projection) * int(sizes.sum()) <= LARGEST_TABLE:
            tables = [torch.mm(table, folded.projection.t()) for table in tables]
            tables[0] += folded.bias
            dtype = product.tables
        else:
            self.project = product(folded.projection, folded.bias, None)
        self.register_buffer("table", torch.cat(tables).to(dtype))
        self.register_buffer("first", sizes.cumsum(0) - sizes)
        self.register_buffer("bags", torch.arange(LARGEST_BATCH) * len(sizes))

    def forward(self, index: Tensor) -> Sequence[Tensor]:
        """Tokens and features, int64 (B, 1 + F) -> (B, G) for each of the layers that see x."""
        bags = self.bags.narrow(0, 0, index.shape[0])
        # Where the table is in half precision, so is the sum.
        rows = torch.embedding_bag(self.table, (index + self.first).view(-1), bags, mode=0)[0].float()
        if self.project is not None:
            rows = self.project(rows)
        return rows.split(self.gates, 1)
