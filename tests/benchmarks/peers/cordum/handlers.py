"""The jobs of the works, as cordum's workers know them."""

from __future__ import annotations

import time
from typing import Any

from common import WAIT_SEC

from cordum import job


@job("job.peer.classify")
def classify(ctx: Any, incident: int) -> dict[str, int]:
    return {"incident": incident}


@job("job.peer.look")
def look(ctx: Any, case: dict[str, int]) -> dict[str, int]:
    return case


@job("job.peer.rollback")
def rollback(ctx: Any, found: list[dict[str, int]]) -> list[int]:
    return [case["incident"] for case in found]


@job("job.peer.count")
def count(ctx: Any, found: list[dict[str, int]]) -> int:
    return len(found)


@job("job.peer.waiting.classify")
def waiting_classify(ctx: Any, incident: int) -> dict[str, int]:
    time.sleep(WAIT_SEC)
    return {"incident": incident}


@job("job.peer.waiting.look")
def waiting_look(ctx: Any, case: dict[str, int]) -> dict[str, int]:
    time.sleep(WAIT_SEC)
    return case


@job("job.peer.waiting.rollback")
def waiting_rollback(ctx: Any, found: list[dict[str, int]]) -> list[int]:
    time.sleep(WAIT_SEC)
    return [case["incident"] for case in found]
