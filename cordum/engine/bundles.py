"""Everything about one run as one document that can be read without cordum: for a ticket, an audit, a post-mortem.

It holds nothing that the API does not show otherwise, and the same run gives the same document: no time of making, no
order by chance. What is long is read page by page; of a run that goes on, later pages may tell of later moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cordum.engine.core import Core
from cordum.engine.runs import Runs
from cordum.engine.views import approval_view, dead_letter_view
from cordum.store.codec import from_json

FORMAT = "cordum.bundle/1"
_PAGE = 1000
_OF_ATTEMPTS = frozenset(
    {
        *("step.queued", "step.started", "step.succeeded", "step.failed", "step.timed_out", "step.retrying"),
        *("step.worker_lost", "step.redispatched", "step.cancelled", "step.denied", "result.ignored"),
    }
)


class Bundles:
    def __init__(self, core: Core, runs: Runs) -> None:
        self._store = core.store
        self._core = core
        self._runs = runs

    def make(self, tenant: str, run_id: str) -> dict[str, Any]:
        """{format, run, definition, decisions, attempts, approvals, dead_letters, child_runs, timeline}."""
        look = self._core.look_as(tenant, run_id)
        run_ = look.run
        text = run_.definition or self._store.workflows.document(tenant, run_.workflow_id, run_.digest)
        run = self._runs.get(tenant, run_id)
        timeline = list(self._timeline(tenant, run_id))
        return {
            "format": FORMAT,
            "run": run,
            "definition": from_json(text) if text and run_.compensates is None else None,
            "decisions": [_decision(event) for event in timeline if event["type"] == "step.decision"],
            "attempts": _attempts(timeline),
            "approvals": [approval_view(one) for one in self._approvals(tenant, timeline)],
            "dead_letters": [dead_letter_view(one) for one in self._dead_letters(tenant, timeline)],
            "child_runs": self._runs.children(tenant, run_id),
            "timeline": timeline,
        }

    def _timeline(self, tenant: str, run_id: str) -> Iterator[dict[str, Any]]:
        after: str | None = None
        while True:
            page = self._runs.timeline(tenant, run_id, _PAGE, after)
            yield from page.items
            after = page.next
            if after is None:
                return

    def _approvals(self, tenant: str, timeline: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, str]]:
        for job_id in _jobs(timeline, "approval.requested"):
            if (found := self._store.approvals.get(tenant, job_id)) is not None:
                yield found

    def _dead_letters(self, tenant: str, timeline: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, str]]:
        for job_id in _jobs(timeline, "dead_letter.added"):
            if (found := self._store.dead_letters.get(tenant, job_id)) is not None:
                yield found


def _jobs(timeline: Iterable[Mapping[str, Any]], type_: str) -> list[str]:
    """Job ids that events of this type are about, each once, in order."""
    return list(dict.fromkeys(event["job_id"] for event in timeline if event["type"] == type_))


def _decision(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: event[key] for key in ("time", "step_id", "job_id", "attempt")}, **event["data"]}


def _attempts(timeline: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each attempt what happened to it, in order."""
    found: dict[str, dict[str, Any]] = {}
    for event in timeline:
        if event["type"] in _OF_ATTEMPTS and event["job_id"] is not None:
            named = {key: event[key] for key in ("job_id", "step_id", "attempt")}
            attempt = found.setdefault(event["job_id"], {**named, "events": []})
            attempt["events"].append({key: event[key] for key in ("seq", "time", "type", "data")})
    return list(found.values())
