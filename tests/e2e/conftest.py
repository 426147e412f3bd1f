"""Whole cells for tests that look at cordum from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cordum.redis_address import RedisAddress
from tests.cells import FAST, Cell


@pytest.fixture
def cell_on(tmp_path: Path) -> Iterator[Callable[..., Cell]]:
    """Makes the test's cell; `timing` are variables of cordum, short by default."""
    cells: list[Cell] = []

    def make(address: RedisAddress, timing: dict[str, str] = FAST) -> Cell:
        cells.append(Cell(address, tmp_path, "triage_handlers", Path(__file__).parent, timing))
        return cells[-1]

    yield make
    for cell in cells:
        cell.end()


@pytest.fixture
def cell(cell_on: Callable[..., Cell], redis_address: RedisAddress) -> Cell:
    return cell_on(redis_address)
