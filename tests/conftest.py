"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch is imported, here and in the processes that tests start: a test's tensors are too small for threads,
# which on a busy machine wait for each other many times longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

# the same examples in every run
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real music, which is not part of the repository: tests that need it skip without it."""
    folder = Path(os.environ.get("MUSICLSTM_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real music at {folder}; set MUSICLSTM_DATA to a folder that has it")
    return folder
