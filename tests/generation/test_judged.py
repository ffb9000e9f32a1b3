"""What `benchmarks/generate_valid.py` counts, in small: files are whole, and pieces keep to what was asked for.

The judge shares no code with the generator.
"""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.generate_valid import Job, Outcome, run
from tests.generation.models import NATIVE

JOBS, PIECES = 8, 2


def found(outcome: Outcome) -> dict[str, int]:
    """How often each thing happened, whatever the constraint."""
    counts: Counter[str] = Counter()
    for (_, constraint, what), number in outcome.counts.items():
        if not (constraint and what == "pieces"):
            counts[what] += number
    return {what: number for what, number in counts.items() if number}


@pytest.mark.parametrize("tokenizer", NATIVE)
def test_every_file_is_whole(tokenizer: str) -> None:
    outcome = run(Job(number=0, seed=0, pieces=5, tokenizer=tokenizer, checkpoint=None, free=True))
    assert found(outcome) == {"pieces": 5}, outcome.examples


@pytest.mark.parametrize("tokenizer", NATIVE)
def test_every_piece_keeps_to_what_was_asked_for(tokenizer: str) -> None:
    outcome = Outcome()
    for number in range(JOBS):
        outcome.add(run(Job(number, seed=1, pieces=PIECES, tokenizer=tokenizer, checkpoint=None, free=False)))
    assert found(outcome) == {"pieces": JOBS * PIECES}, outcome.examples
    constraints = {constraint for _, constraint, what in outcome.counts if what == "pieces"}
    assert len(constraints - {""}) >= 8  # many were asked for
