"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real music, which is not part of the repository: tests that need it skip without it."""
    folder = Path(os.environ.get("MUSICLSTM_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real music at {folder}; set MUSICLSTM_DATA to a folder that has it")
    return folder
