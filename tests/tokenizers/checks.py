"""What must hold for every tokenizer, whatever its tokens are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from musiclstm.score import Score
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD


def spell(tokenizer: Tokenizer, ids: np.ndarray) -> list[str]:
    """The tokens of `ids`, for messages."""
    return [tokenizer.vocabulary.tokens[i] for i in ids]


def unspell(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The ids (int32) of tokens written with spaces between them."""
    return np.array([tokenizer.vocabulary[token] for token in text.split()], np.int32)


def random_walks(
    tokenizer: Tokenizer, seed: int, length: int = 200, batch: int = 8, favour: dict[str, float] | None = None
) -> list[np.ndarray]:
    """`batch` sequences that the grammar allows, from BOS to EOS (int32), of about `length` tokens.

    Every type of token is as likely as any other at first, whatever the number of its values; `favour` multiplies
    some. Fails where the grammar leaves no way on, or no way to an end.
    """
    vocabulary, grammar = tokenizer.vocabulary, tokenizer.grammar()
    weights = torch.ones(len(vocabulary))
    for kind in vocabulary.types:
        span = vocabulary.range(kind)
        weights[span.start : span.stop] = (favour or {}).get(kind, 1.0) / max(1, len(span))
    generator = torch.Generator().manual_seed(seed)
    state = grammar.start(batch)
    drawn = [torch.full((batch,), BOS)]
    for i in range(4 * length):
        allowed = grammar.allowed(state)
        stuck = ~allowed.any(1)
        assert not stuck.any(), f"no way on after {spell(tokenizer, torch.stack(drawn, 1)[stuck][0].numpy())}"
        weights[EOS] = 1e-9 if i < length else 1e9  # where it can end it does, once it is long enough
        drawn.append(torch.multinomial(allowed * weights, 1, generator=generator)[:, 0])
        state = grammar.advance(state, drawn[-1])
        if ((drawn[-1] == EOS) | (drawn[-1] == PAD)).all():
            break
    ids = torch.stack(drawn, 1).numpy()
    assert (ids == EOS).any(1).all(), "the grammar let no end be reached"
    return [row[row != PAD].astype(np.int32) for row in ids]


def check_walk(tokenizer: Tokenizer, ids: np.ndarray, cuts: int = 8) -> Score:
    """A sequence that the grammar allows is what `encode` gives for its score, and it decodes cut off anywhere."""
    score = tokenizer.decode(ids)
    assert len(score) > 0
    back = tokenizer.encode(score)
    assert np.array_equal(back, ids), _difference(tokenizer, ids, back)
    assert tokenizer.quantise(score) == score
    assert tokenizer.admits(score) is None
    check_cuts(tokenizer, ids, cuts)
    return score


def check_round_trip(tokenizer: Tokenizer, score: Score) -> np.ndarray:
    """A score that `admits` takes comes back as `quantise` keeps it, in the ids returned."""
    kept = tokenizer.quantise(score)
    assert kept == kept.replace(notes=np.sort(kept.notes, order=["start", "track", "program", "pitch", "end"]))
    assert tokenizer.quantise(kept) == kept
    ids, steps = tokenizer.events(score)
    assert ids.dtype == np.int32
    assert steps.dtype == np.int64
    assert ids.shape == steps.shape
    assert (ids[0], ids[-1]) == (BOS, EOS)
    assert (np.diff(steps) >= 0).all()
    assert tokenizer.decode(ids) == kept
    assert np.array_equal(tokenizer.encode(kept), ids), _difference(tokenizer, ids, tokenizer.encode(kept))
    return ids


def check_grammar(tokenizer: Tokenizer, sequences: Sequence[np.ndarray]) -> None:
    """The grammar takes each sequence (or its beginning), token by token, whatever stands beside it in the batch."""
    lengths = torch.tensor([len(ids) + (ids[-1] == EOS) for ids in sequences])
    padded = np.full((len(sequences), int(lengths.max())), PAD, np.int64)
    for row, ids in zip(padded, sequences, strict=True):
        row[: len(ids)] = ids
    tokens = torch.from_numpy(padded)
    grammar = tokenizer.grammar()
    state = grammar.start(len(tokens))
    for i in range(1, tokens.shape[1]):
        allowed = grammar.allowed(state).gather(1, tokens[:, i : i + 1])[:, 0]
        refused = (~allowed & (i < lengths)).nonzero()
        if len(refused):
            raise AssertionError(f"no way from {spell(tokenizer, padded[int(refused[0]), max(0, i - 30) : i + 1])}")
        state = grammar.advance(state, tokens[:, i])


def check_context(tokenizer: Tokenizer, sequences: Sequence[np.ndarray], seed: int = 0) -> None:
    """The features are the same in one piece, in chunks, token by token and in a batch, and lie in their ranges."""
    random = np.random.default_rng(seed)
    sizes = np.array(list(tokenizer.context_sizes.values()))
    shortest = min(len(ids) for ids in sequences)
    batch = np.stack([ids[:shortest] for ids in sequences])
    together, _ = tokenizer.context(batch)
    assert together.shape == (*batch.shape, len(sizes))
    assert together.dtype == np.int64
    for ids, row in zip(sequences, together, strict=True):
        whole, end = tokenizer.context(ids[None])
        assert ((whole >= 0) & (whole < sizes)).all()
        assert np.array_equal(whole[0, :shortest], row)  # so also: what comes later changes nothing
        places = np.unique(random.integers(1, len(ids), 12))
        for cuts in (places, np.arange(1, min(len(ids), 60))):
            reading, pieces = None, []
            for piece in np.split(ids, cuts):
                features, reading = tokenizer.context(piece[None], reading)
                pieces.append(features)
            assert np.array_equal(np.concatenate(pieces, 1), whole)
            assert reading is not None
            assert np.array_equal(reading.bars, end.bars)
            assert np.allclose(reading.seconds, end.seconds)


def check_cuts(tokenizer: Tokenizer, ids: np.ndarray, cuts: int = 8) -> None:
    """A sequence cut off anywhere decodes to a score that can be encoded, and BOS alone to one without notes."""
    for length in np.unique(np.linspace(1, len(ids), min(cuts, len(ids))).astype(int)).tolist():
        score = tokenizer.decode(ids[:length])
        assert (score.notes["end"] > score.notes["start"]).all()
        assert tokenizer.quantise(score).notes.tolist() == score.notes.tolist()
    assert len(tokenizer.decode(ids[:1])) == 0


def _difference(tokenizer: Tokenizer, said: np.ndarray, back: np.ndarray) -> str:
    common = min(len(said), len(back))
    differ = np.flatnonzero(said[:common] != back[:common])
    at = int(differ[0]) if len(differ) else common
    near = slice(max(0, at - 12), at + 6)
    return f"at token {at}: {spell(tokenizer, said[near])} became {spell(tokenizer, back[near])}"
