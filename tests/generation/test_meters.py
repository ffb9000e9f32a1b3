"""Pickups and meters that a MIDI file cannot say are not written."""

from __future__ import annotations

import numpy as np
import pytest

from musiclstm.generation.meters import Sayable
from musiclstm.tokenizers import Tokenizer
from musiclstm.tokenizers.vocabulary import BOS
from tests.generation.models import make_tokenizer

ON_A_GRID = ("voices", "remi", "frames")
SILENCE = {"voices": ["Rest"] * 4, "frames": ["Frame"]}  # of a step


def left(tokenizer: Tokenizer, *said: str) -> set[str]:
    """What may follow after `said`, by name."""
    grammar, sayable = tokenizer.grammar(), Sayable(tokenizer)
    state = grammar.start(1)
    for name in said:
        state = grammar.advance(state, np.array([tokenizer.vocabulary[name]]))
    lawful = grammar.allowed(state)
    allowed = sayable.narrow(grammar.clock(state), lawful)
    assert not (allowed & ~lawful).any()
    return {tokenizer.vocabulary.tokens[i] for i in np.flatnonzero(allowed[0])}


def begin(name: str, *header: str) -> list[str]:
    return ["Bar", *header] if name == "remi" else list(header)


def opened(name: str, *header: str) -> list[str]:
    return [*begin(name, *header), *(["Tempo_120"] if name == "remi" else [])]


def wait(name: str, steps: int) -> list[str]:
    """So many silent steps, of remi those up to the next bar line."""
    return ["Bar"] if name == "remi" else SILENCE[name] * steps


def steps_of(names: set[str]) -> set[int]:
    return {int(name.removeprefix("Pickup_")) for name in names if name.startswith("Pickup")}


@pytest.mark.parametrize("name", ON_A_GRID)
def test_a_pickup_is_some_number_of_128ths(name: str) -> None:
    tokenizer = make_tokenizer(name)
    quarter = tokenizer.steps_per_quarter  # type: ignore[attr-defined]
    pickups = steps_of(left(tokenizer, *begin(name, "TimeSignature_4/4")))
    assert pickups == {steps for steps in range(1, 4 * quarter) if steps * 32 % quarter == 0}


@pytest.mark.parametrize("name", ON_A_GRID)
def test_the_meter_stays_where_a_pickup_ends(name: str) -> None:
    tokenizer = make_tokenizer(name)
    quarter = tokenizer.steps_per_quarter  # type: ignore[attr-defined]
    header = opened(name, "TimeSignature_4/4", f"Pickup_{quarter}")
    after = [*header, *wait(name, quarter)]
    assert not any(token.startswith("TimeSignature") for token in left(tokenizer, *after))
    assert "TimeSignature_2/4" in left(tokenizer, *after, *wait(name, 4 * quarter))


@pytest.mark.parametrize("name", ON_A_GRID)
def test_a_full_first_bar_is_not_followed_by_a_longer_meter(name: str) -> None:
    tokenizer = make_tokenizer(name)
    quarter = tokenizer.steps_per_quarter  # type: ignore[attr-defined]
    after = [*opened(name, "TimeSignature_3/4"), *wait(name, 3 * quarter)]
    follows = left(tokenizer, *after)
    assert "TimeSignature_2/4" in follows
    assert "TimeSignature_4/4" not in follows
    assert "TimeSignature_4/4" in left(tokenizer, *after, *wait(name, 3 * quarter))


def test_nothing_is_taken_from_tokens_without_bars() -> None:
    tokenizer = make_tokenizer("performance")
    grammar = tokenizer.grammar()
    state = grammar.start(2)
    lawful = grammar.allowed(state)
    assert Sayable(tokenizer).narrow(grammar.clock(state), lawful) is lawful
    assert BOS not in np.flatnonzero(lawful[0])
