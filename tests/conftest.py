"""What several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that BENCH_DATA names. Skips where it is unset, unless BENCH_REQUIRE_DATA=1 makes that a failure."""
    folder = os.environ.get("BENCH_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("BENCH_REQUIRE_DATA") == "1":
        pytest.fail("BENCH_REQUIRE_DATA=1 asks for the real data, but BENCH_DATA names no folder")
    pytest.skip("BENCH_DATA names no folder with the real data")
