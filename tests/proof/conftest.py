"""What the tests of the proof kit share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof.explorer.laboratory import Laboratory, laboratory


@pytest.fixture(scope="session")
def lab(redis_binary: Path) -> Iterator[Laboratory]:
    with laboratory(redis_binary) as opened:
        yield opened


@pytest.fixture(scope="session")
def long_form() -> bool:
    """Whether `PROOF_LONG` asks for everything; without it, what fits into a few minutes."""
    return os.environ.get("PROOF_LONG", "") not in ("", "0")
