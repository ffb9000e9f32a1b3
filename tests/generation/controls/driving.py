"""A loop with a random model, for tests of plans: it goes back to a bar line where there is no way on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from musiclstm.generation.controls import Controls
from musiclstm.score import Score
from musiclstm.tokenizers.base import Tokenizer
from musiclstm.tokenizers.grammar import merge_rows
from musiclstm.tokenizers.vocabulary import BOS, EOS, PAD


@dataclass
class Driven:
    ids: list[np.ndarray]  # of each sequence that came to its end
    dead_ends: int
    tokens: int
    where: list[tuple[int, str]]  # of dead ends: the bar, the last tokens


def drive(
    tokenizer: Tokenizer,
    controls: Controls,
    batch: int = 4,
    seed: int = 0,
    most: int = 3000,
    favour: dict[str, float] | None = None,
    ends: float = 1.0,
    patience: int = 30,
) -> Driven:
    """`batch` sequences by a model that finds every type of token as likely as any other, times `favour`.

    A row without a way on goes back to the last bar line, and to earlier ones where that happens again. Where `bars`
    leaves the end open a sequence may end with a weight of `ends`.
    """
    random = np.random.default_rng(seed)
    vocabulary, grammar = tokenizer.vocabulary, tokenizer.grammar()
    plan = controls.plan(tokenizer, np.ones(len(vocabulary), bool))
    assert plan is not None
    weights = np.ones(len(vocabulary))
    for kind in vocabulary.types:
        span = vocabulary.range(kind)
        weights[span.start : span.stop] = (favour or {}).get(kind, 1.0) / max(1, len(span))
    weights[EOS] = ends
    g, p = grammar.start(batch), plan.start(batch)
    ids: list[list[int]] = [[BOS] for _ in range(batch)]
    lines: list[list[tuple[int, Any, Any, int]]] = [[(-2, g, p, 1)] for _ in range(batch)]
    tried = np.zeros(batch, np.int64)
    done = np.zeros(batch, bool)
    result = Driven([], 0, 0, [])
    for _ in range(most):
        allowed = grammar.allowed(g)
        mask = plan.narrow(g, p, allowed)
        assert mask.shape == allowed.shape and not (mask & ~allowed).any()
        dead = ~mask.any(1)
        for row in np.flatnonzero(dead):
            result.dead_ends += 1
            tried[row] += 1
            tail = " ".join(vocabulary.tokens[i] for i in ids[row][-12:])
            result.where.append((int(grammar.clock(g).bar[row]), tail))
            assert tried[row] < patience, f"no way on after {tail} ({plan.at_work(int(grammar.clock(g).bar[row]))})"
            back = min(len(lines[row]) - 1, int(tried[row]) // 4)
            del lines[row][len(lines[row]) - back :]
            _, old_g, old_p, length = lines[row][-1]
            here = np.arange(batch) == row
            g, p = merge_rows(here, old_g, g), merge_rows(here, old_p, p)
            del ids[row][length:]
        if dead.any():
            continue
        bias = plan.bias(g, p)
        chances = weights * mask * (1.0 if bias is None else np.exp(bias))
        tokens = np.array([random.choice(len(row), p=row / row.sum()) for row in chances])
        result.tokens += int((~done).sum())
        before = grammar.clock(g).bar
        after = grammar.advance(g, tokens)
        p = plan.advance(p, g, tokens, after)
        g = after
        bar = grammar.clock(g).bar
        for row in np.flatnonzero(~done):
            ids[row].append(int(tokens[row]))
            if bar[row] != before[row]:
                lines[row].append((int(bar[row]), g, p, len(ids[row])))
                if bar[row] > max(line[0] for line in lines[row][:-1]):
                    tried[row] = max(0, tried[row] - 4)
        done |= (tokens == EOS) | (tokens == PAD)
        if done.all():
            break
    result.ids = [np.array(row) for row, ended in zip(ids, done, strict=True) if ended]
    return result


def finished(tokenizer: Tokenizer, controls: Controls, ids: np.ndarray) -> Score:
    plan = controls.plan(tokenizer, np.ones(len(tokenizer.vocabulary), bool))
    assert plan is not None
    return plan.finish(tokenizer.decode(ids))
