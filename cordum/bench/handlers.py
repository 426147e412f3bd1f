"""The graph's jobs as cordum's workers know them."""

from __future__ import annotations

from typing import Any

from cordum import job
from cordum.bench import triage


@job("job.bench.classify")
def classify(ctx: Any, incident: int) -> dict[str, int]:
    return triage.classify(incident)


@job("job.bench.logs")
def logs(ctx: Any, case: dict[str, int]) -> dict[str, int]:
    return triage.logs(case)


@job("job.bench.metrics")
def metrics(ctx: Any, case: dict[str, int]) -> dict[str, int]:
    return triage.metrics(case)


@job("job.bench.rollback")
def rollback(ctx: Any, found: list[dict[str, int]]) -> list[int]:
    return triage.rollback(found)
