"""The items of a fan-out: evaluated once, kept in blocks, so that a look at the run brings those it needs only."""

from __future__ import annotations

from collections.abc import Iterator

from cordum.domain.workflow import JSON

BLOCK = 100


def blocks_of(items: list[JSON]) -> Iterator[list[JSON]]:
    """The items in order, `BLOCK` together, the last ones fewer."""
    for first in range(0, len(items), BLOCK):
        yield items[first : first + BLOCK]
