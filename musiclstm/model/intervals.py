"""What a model makes of the distances between pitches: what is learned in one key then holds in all.

A pitch means most by its interval: a step up in this voice, a third above the bass. Embeddings and an output layer that
have a row for every pitch must learn each interval again from each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

REACH = 30  # semitones; what is further away is left to the plain output layer


class Intervals(nn.Module):
    """The intervals from R reference pitches p_1 ... p_R, which the context names, going in and coming out.

    In: the interval from p_1 to each other reference has an embedding that is added to the token's.
    Out: to the logit of a pitch q is added

        sum_r w_r(q - p_r) . h      over the r for which p_r is known and |q - p_r| <= reach

    with other weights for each of the K types of token that name pitches (a note begins, a note ends). The softmax is
    a product of experts, one for each reference (Johnson, Keller & Weintraut 2017, "Learning to Create Jazz Melodies
    Using a Product of Experts").

    embedding_size: of what goes in. output_size: of h. types: K. pitches: how many of each type. references: for each
    its context feature, counted from 0, and the value of it that is pitch 0; pitch p is p above. Other values of the
    feature mean that the pitch is not known.
    """

    def __init__(
        self,
        embedding_size: int,
        output_size: int,
        types: int,
        pitches: int,
        references: Sequence[tuple[int, int]],
        reach: int = REACH,
    ) -> None:
        super().__init__()
        self.types, self.pitches, self.reach, self.span = types, pitches, reach, 2 * reach + 1
        self.features = [feature for feature, _ in references]
        # The last of the values of an interval is that it is not known. They begin with no say, as the context does.
        self.embeddings = nn.ModuleList(nn.Embedding(self.span + 1, embedding_size) for _ in references[1:])
        self.head = nn.Linear(output_size, types * len(references) * self.span, bias=False)
        for weight in self.parameters():
            nn.init.zeros_(weight)
        self._zeros = [zero for _, zero in references]
        # Of `width` logits that of pitch q is number q + reach, so that the span of a reference p begins at p. The span
        # of an unknown pitch is at the end, where nothing is read.
        self.unknown = pitches + 2 * reach
        self.width = self.unknown + self.span
        self._constants: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

    def starts(self, context: Tensor) -> Tensor:
        """For a context (..., F) the pitch of each reference, `unknown` where it is not known: (..., R)."""
        return self.starts_of(context.index_select(-1, self._on(context.device)[0]))

    def starts_of(self, values: Tensor) -> Tensor:
        """The same for the values (..., R) of the features that name the references."""
        pitch = values - self._on(values.device)[1]
        return torch.where((pitch >= 0) & (pitch < self.pitches), pitch, self.unknown)

    def between(self, starts: Tensor) -> Tensor:
        """The interval from the first reference to each other, as its embedding counts them: (..., R - 1)."""
        first, others = starts[..., :1], starts[..., 1:]
        away = (others - first).clamp(-self.reach, self.reach) + self.reach
        return torch.where((first == self.unknown) | (others == self.unknown), self.span, away)

    def embed(self, x: Tensor, starts: Tensor) -> Tensor:
        """x (..., E) with the embeddings of all intervals added."""
        between = self.between(starts)
        for number, table in enumerate(self.embeddings):
            x = x + table(between[..., number])
        return x

    def forward(self, h: Tensor, starts: Tensor) -> Tensor:
        """h (..., output_size) -> what is to be added to the logits of the pitches, (..., K, pitches)."""
        *_, span = self._on(starts.device)
        return self.placed(self.head(h), (starts.unsqueeze(-1) + span).flatten(-2))

    def placed(self, logits: Tensor, place: Tensor) -> Tensor:
        """The logits of all intervals, (..., K * R * span), summed pitch by pitch: (..., K, pitches).

        place: where those of each reference go, (..., R * span): its start and what follows.
        """
        logits = logits.unflatten(-1, (self.types, -1))
        place = place.unsqueeze(-2).expand_as(logits)  # (..., K, R * span)
        row = logits.new_zeros((*logits.shape[:-1], self.width)).scatter_add(-1, place, logits)
        return row[..., self.reach : self.reach + self.pitches]

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """The references' features, their values that are pitch 0, and a span counted.

        No buffers, as a model is built where there is no memory; and none made anew, as graphs are captured.
        """
        if device not in self._constants:
            features, zeros = (torch.tensor(numbers, device=device) for numbers in (self.features, self._zeros))
            self._constants[device] = features, zeros, torch.arange(self.span, device=device)
        return self._constants[device]


def add_by_pitch(logits: Tensor, added: Tensor, first_tokens: Sequence[int]) -> Tensor:
    """logits (..., V) and, for the pitches of each type, whose first token is named, what to add, (..., K, pitches)."""
    parts, place = [], 0
    for first, more in zip(first_tokens, added.unbind(-2), strict=True):
        stop = first + more.shape[-1]
        parts += [logits[..., place:first], logits[..., first:stop] + more]
        place = stop
    return torch.cat([*parts, logits[..., place:]], -1)
