"""What `benchmarks/generate_valid.py` counts, in small: every file that is written is whole."""

from __future__ import annotations

import pytest

from benchmarks.generate_valid import Job, run
from tests.generation.models import NATIVE


@pytest.mark.parametrize("tokenizer", NATIVE)
def test_every_file_is_whole(tokenizer: str) -> None:
    outcome = run(Job(number=0, seed=0, pieces=5, tokenizer=tokenizer, checkpoint=None, free=True))
    found = {what: n for (_, _, what), n in outcome.counts.items() if n}
    found.pop("pickup lost", None)  # those that are no whole number of 128ths, for which MIDI has no meter
    assert found == {"pieces": 5}, outcome.examples
