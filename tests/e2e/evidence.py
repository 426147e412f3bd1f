"""A history of a real cell, for the promises of the proof kit: what people were told, what the workers' own files say,
and the timelines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import yaml

from cordum.engine import Page
from tests.cells import Cell
from tests.proof.history import Call, Execution, History, RunHistory, broken_promises

_PAGE = 200


def assert_history_kept(
    cell: Cell,
    calls: Sequence[Call],
    definition: bytes,
    *,
    tenant: str = "default",
    faults_over_at: float | None = None,
) -> History:
    """Every promise that a history can break is kept in this one; `definition` is the document of all its runs."""
    history = History(
        calls=list(calls),
        executions=[Execution(job_id) for job_id in cell.executed()],
        runs={run["id"]: _run(cell, tenant, run, definition) for run in _all(_runs_of(cell, tenant))},
        dead_letters=[letter["job_id"] for letter in _all(_letters_of(cell, tenant))],
        faults_over_at=faults_over_at,
        seen_at=time.time(),
    )
    assert broken_promises(history) == []
    return history


def _run(cell: Cell, tenant: str, summary: dict[str, Any], definition: bytes) -> RunHistory:
    run = cell.engine.run(tenant, summary["id"])
    events = [{**event, "at": datetime.fromisoformat(event["time"]).timestamp()} for event in _all(_told(cell, run))]
    return RunHistory(
        id=run["id"],
        status=run["status"],
        definition=yaml.safe_load(definition),
        steps={name: step["status"] for name, step in run["steps"].items()},
        attempts={name: step["attempts"] for name, step in run["steps"].items()},
        events=events,
        tenant=tenant,
        created_by=run["created_by"],
    )


def _runs_of(cell: Cell, tenant: str) -> Callable[[str | None], Page]:
    return lambda after: cell.engine.runs(tenant, limit=_PAGE, after=after)


def _letters_of(cell: Cell, tenant: str) -> Callable[[str | None], Page]:
    return lambda after: cell.engine.dead_letters(tenant, limit=_PAGE, after=after)


def _told(cell: Cell, run: dict[str, Any]) -> Callable[[str | None], Page]:
    return lambda after: cell.engine.timeline(run["tenant"], run["id"], limit=_PAGE, after=after)


def _all(page_after: Callable[[str | None], Page]) -> Iterator[Any]:
    """The items of all pages."""
    after: str | None = None
    while True:
        page = page_after(after)
        yield from page.items
        after = page.next
        if after is None:
            return
