"""What must hold for every tokenizer, whatever its tokens are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from musiclstm.score import Score
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.grammar import Grammar, merge_rows, select_rows
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
    weights = np.ones(len(vocabulary))
    for kind in vocabulary.types:
        span = vocabulary.range(kind)
        weights[span.start : span.stop] = (favour or {}).get(kind, 1.0) / max(1, len(span))
    random = np.random.default_rng(seed)
    state = grammar.start(batch)
    drawn = [np.full(batch, BOS)]
    for i in range(4 * length):
        allowed = grammar.allowed(state)
        stuck = ~allowed.any(1)
        assert not stuck.any(), f"no way on after {spell(tokenizer, np.stack(drawn, 1)[stuck][0])}"
        weights[EOS] = 1e-9 if i < length else 1e9  # where it can end it does, once it is long enough
        drawn.append(draw(allowed * weights, random))
        state = grammar.advance(state, drawn[-1])
        if ((drawn[-1] == EOS) | (drawn[-1] == PAD)).all():
            break
    ids = np.stack(drawn, 1)
    assert (ids == EOS).any(1).all(), "the grammar let no end be reached"
    return [row[row != PAD].astype(np.int32) for row in ids]


def draw(weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One of each row of (B, V), as likely as its weight: int64, (B,)."""
    reached = weights.cumsum(1)
    return (reached <= random.random((len(reached), 1)) * reached[:, -1:]).sum(1)


def check_walk(tokenizer: Tokenizer, ids: np.ndarray, cuts: int = 8) -> Score:
    """A sequence that the grammar allows is what `encode` gives for its score, and it decodes cut off anywhere."""
    score = tokenizer.decode(ids)
    assert len(score) > 0
    back = tokenizer.encode(score)
    assert np.array_equal(back, ids), _difference(tokenizer, ids, back)
    assert tokenizer.quantise(score) == score
    assert tokenizer.admits(score) is None
    check_cuts(tokenizer, ids, cuts)
    check_clock(tokenizer, ids, score)
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
    lengths = np.array([len(ids) + (ids[-1] == EOS) for ids in sequences])
    tokens = beside(sequences, int(lengths.max()))
    grammar = tokenizer.grammar()
    state = grammar.start(len(tokens))
    for i in range(1, tokens.shape[1]):
        allowed = grammar.allowed(state)[np.arange(len(tokens)), tokens[:, i]]
        refused = np.flatnonzero(~allowed & (i < lengths))
        if len(refused):
            raise AssertionError(f"no way from {spell(tokenizer, tokens[refused[0], max(0, i - 30) : i + 1])}")
        state = grammar.advance(state, tokens[:, i])


def beside(sequences: Sequence[np.ndarray], length: int) -> np.ndarray:
    """The sequences as rows, filled up with PAD: int64, (B, length)."""
    tokens = np.full((len(sequences), length), PAD, np.int64)
    for row, ids in zip(tokens, sequences, strict=True):
        row[: len(ids)] = ids
    return tokens


def check_clock(tokenizer: Tokenizer, ids: np.ndarray, score: Score) -> None:
    """Between the tokens of a whole sequence the grammar's clock stands where they are in its score."""
    steps = tokenizer.events(score)[1]
    lines = score.bar_starts(int(steps[-1]) + 2 * int(np.diff(score.bar_starts(score.end + 999)).max()))
    grammar = tokenizer.grammar()
    state = grammar.start(1)
    for i, token in enumerate(ids[1:-1].astype(np.int64), 1):
        state = grammar.advance(state, token[None])
        step, bar, position, length, _ = (part.item() for part in grammar.clock(state))
        assert steps[i] <= step <= steps[i + 1]
        if i >= 4:  # from where the header is over
            present = int(np.searchsorted(lines, step, "right")) - 1
            opens_late = present == 0 and score.first_bar > 0
            assert bar == present - (score.first_bar > 0)
            assert position == step - lines[present] + opens_late * (length - score.first_bar)
            # On a bar line the meter that begins there may still be to come.
            assert position == 0 or opens_late or length == lines[present + 1] - lines[present]


def check_states(tokenizer: Tokenizer, sequences: Sequence[np.ndarray], longest: int = 300) -> None:
    """The grammar's features and clock are those of `context` after the same tokens, whatever stands beside.

    So they are for a state that has been selected, merged or held back, and no state is changed later on.
    """
    tokens = beside([ids[:longest] for ids in sequences], min(longest, max(len(ids) for ids in sequences)))
    rows, lengths = np.arange(len(tokens)), np.array([len(ids) for ids in sequences])
    features, _ = tokenizer.context(tokens)
    grammar, reading = tokenizer.grammar(), None
    state = grammar.start(len(tokens))
    for i in range(tokens.shape[1]):
        if i:
            before = select_rows(state, rows)
            moved = grammar.advance(state, tokens[:, i])
            check_rows(grammar, state, moved, tokens[:, i], i % len(tokens))
            assert all(np.array_equal(*parts) for parts in zip(arrays(before), arrays(state), strict=True))
            state = moved
        told = i < lengths
        _, reading = tokenizer.context(tokens[:, i : i + 1], reading)
        for kept in (state, grammar.hold_back(state, 3)):
            found = grammar.features(kept)
            assert found.dtype == np.int64
            assert np.array_equal(found[told], features[told, i]), spell(tokenizer, tokens[0, max(0, i - 20) : i + 1])
            clock = grammar.clock(kept)
            assert np.array_equal(clock.bar[told], reading.bars[told])
            assert np.allclose(clock.seconds[told], reading.seconds[told], rtol=1e-9)
        assert all(part.shape == rows.shape for part in clock)
        assert [part.dtype for part in clock] == [np.int64] * 4 + [np.float64]


def arrays(state: Any) -> list[np.ndarray]:
    """All arrays of a grammar's state."""
    return [array for part in state for array in (arrays(part) if isinstance(part, tuple) else [part])]


def check_rows(grammar: Grammar[Any], before: Any, after: Any, tokens: np.ndarray, row: int) -> None:
    """A row advances by itself as it does beside others, and what merges them takes each from where it should."""
    alone = grammar.advance(select_rows(before, np.array([row])), tokens[row : row + 1])
    assert np.array_equal(grammar.allowed(alone)[0], grammar.allowed(after)[row])
    assert np.array_equal(grammar.features(alone)[0], grammar.features(after)[row])
    mask = np.arange(len(tokens)) == row
    merged = merge_rows(mask, before, after)
    for part, where in ((before, mask), (after, ~mask)):
        assert np.array_equal(grammar.allowed(merged)[where], grammar.allowed(part)[where])
        for mixed, own in zip(grammar.clock(merged), grammar.clock(part), strict=True):
            assert np.array_equal(mixed[where], own[where])


def check_context(tokenizer: Tokenizer, sequences: Sequence[np.ndarray], seed: int = 0) -> None:
    """The features are the same in one piece, in chunks, token by token and in a batch, and lie in their ranges."""
    random = np.random.default_rng(seed)
    sizes = np.array(list(tokenizer.context_sizes.values()))
    shortest = min(len(ids) for ids in sequences)
    batch = np.stack([ids[:shortest] for ids in sequences])
    together, reading_together = tokenizer.context(batch)
    assert all(len(part) == len(batch) for part in arrays(tuple(vars(reading_together).values())))  # a row each
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
