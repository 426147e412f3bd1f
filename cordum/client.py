"""A program's way to cordum over HTTP. Imports the standard library and `cordum.errors`, nothing else of cordum's.

    client = Client("http://127.0.0.1:8081")
    run = client.start("incident_triage_parallel", {"incident_id": "INC-4821"}, idempotency_key="triage-1")
    print(client.wait(run["run_id"], timeout=60)["status"])

Answers are the API's own documents (CONTRACT.md section 5). Refusals raise ApiError, an API that cannot be reached
raises Unavailable. One client may be used by many threads: each request has a connection of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cordum.errors import ConfigurationRefused, CordumError, Problem, Unavailable

__all__ = [
    "ApiError",
    "Client",
    "ENDED",
]

ENDED = frozenset({"succeeded", "failed", "denied", "timed_out", "cancelled"})
"""The statuses in which a run stays."""

_PREFIX = "/api/v1"
_PAGE = 200
_POLL_SEC = 0.2


class ApiError(CordumError):
    """The API refused. `document` is its problem+json; the most used of it are attributes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        problems = [_problem(item) for item in document.get("errors") or ()]
        detail = str(document.get("detail") or document.get("title") or "the API refused")
        super().__init__(detail, code=str(document.get("code") or "unknown"), problems=problems)
        self.document = dict(document)
        self.http_status = int(document.get("status") or 0)
        self.request_id = str(document.get("request_id") or "")
        self.can_retry = bool(document.get("retryable"))


class Client:
    """One API, one tenant, one person.

    `api_key` says who asks; without it CORDUM_API_KEY of the environment does. `tenant` and `principal` are for an
    API that has no keys. `timeout` is how long a single request may take, in seconds.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8081",
        *,
        tenant: str | None = None,
        principal: str | None = None,
        api_key: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationRefused(f"{base_url!r} is not the address of an API; it starts with http:// or https://")
        self._connection_type = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._base = address.hostname, address.port, address.path.rstrip("/")
        self._timeout = timeout
        given = {
            "X-Tenant-ID": tenant,
            "X-Principal-Id": principal,
            "X-API-Key": api_key or os.environ.get("CORDUM_API_KEY") or None,
        }
        self._headers = {name: value for name, value in given.items() if value is not None}

    # workflows

    def save_workflow(self, definition: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
        """Save a definition: YAML text, or a mapping. Returns {id, version, digest, created, warnings}."""
        return self._object("POST", "/workflows", **_definition(definition))

    def validate_workflow(self, definition: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
        """Returns {valid, errors, warnings}; saves nothing."""
        return self._object("POST", "/workflows/validate", **_definition(definition))

    def workflow(self, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        return self._object("GET", _path("workflows", workflow_id), query={"version": version})

    def workflow_versions(self, workflow_id: str, limit: int | None = None) -> list[dict[str, Any]]:
        """The stored versions, the newest first: {id, version, digest, created_at, latest}."""
        return self._list(_path("workflows", workflow_id, "versions"), limit)

    def delete_workflow(self, workflow_id: str) -> None:
        """Forget a definition with all its versions; refused while a run of it is open."""
        self._request("DELETE", _path("workflows", workflow_id))

    def workflow_graph(self, workflow_id: str, version: int | None = None) -> dict[str, Any]:
        """A definition as {id, nodes, edges}."""
        return self._object("GET", _path("workflows", workflow_id, "graph"), query={"version": version})

    def workflows(self, limit: int | None = None) -> list[dict[str, Any]]:
        return self._list("/workflows", limit)

    # runs

    def start(
        self,
        workflow_id: str,
        input: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Start a run. Returns {run_id, status, …, replayed}; `replayed` says that the key was known already."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        query = {"label": [f"{name}={value}" for name, value in (labels or {}).items()]}
        path = _path("workflows", workflow_id, "runs")
        run, answered = self._request("POST", path, query=query, headers=headers, **_json(dict(input or {})))
        return {**_mapping(run), "replayed": answered.get("Idempotent-Replayed") == "true"}

    def try_start(
        self, workflow_id: str, input: Mapping[str, Any] | None = None, *, labels: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What the policy would say to each step of such a run: {start, steps, warnings, …}. Starts nothing."""
        query = {"dry_run": "true", "label": [f"{name}={value}" for name, value in (labels or {}).items()]}
        path = _path("workflows", workflow_id, "runs")
        return self._object("POST", path, query=query, **_json(dict(input or {})))

    def get(self, run_id: str) -> dict[str, Any]:
        return self._object("GET", _path("workflow-runs", run_id))

    def run_graph(self, run_id: str) -> dict[str, Any]:
        """A run as {id, nodes, edges}; nodes carry the status of their step."""
        return self._object("GET", _path("workflow-runs", run_id, "graph"))

    def runs(
        self, *, workflow_id: str | None = None, status: str | None = None, limit: int | None = 50
    ) -> list[dict[str, Any]]:
        """The newest runs first; `limit=None` for all."""
        return self._list("/workflow-runs", limit, {"workflow_id": workflow_id, "status": status})

    def timeline(self, run_id: str, limit: int | None = None) -> list[dict[str, Any]]:
        """What happened in a run, oldest first."""
        return self._list(_path("workflow-runs", run_id, "timeline"), limit)

    def bundle(self, run_id: str) -> dict[str, Any]:
        """Everything about a run as one document: see `cordum bundle`."""
        return self._object("GET", _path("workflow-runs", run_id, "bundle"))

    def wait(self, run_id: str, timeout: float | None = None) -> dict[str, Any]:
        """The run when it has ended; TimeoutError after `timeout` seconds.

        With a `timeout`, an API that is away is only a reason to go on waiting.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                run = self.get(run_id)
                if run["status"] in ENDED:
                    return run
            except (ApiError, Unavailable) as error:
                if not (isinstance(error, Unavailable) or error.can_retry) or deadline is None:
                    raise
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"run {run_id} has not ended within {timeout} seconds")
            time.sleep(_POLL_SEC)

    def delete_run(self, run_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """Forget an ended run, with all that belongs to it. None, or what a dry run tells: {removes: [run ids]}."""
        return self._done(_path("workflow-runs", run_id), reason, dry_run)

    # single jobs

    def submit_job(
        self,
        topic: str,
        input: Mapping[str, Any] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        dry_run: bool = False,
        **wanted: Any,
    ) -> dict[str, Any]:
        """Have one job done. `wanted`: priority, retry, timeout_sec, capability, risk_tags, … as on a step.

        Returns {job_id, state, result, …, replayed}; a job that the policy denies is there, too, `denied`.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        said = {"topic": topic, "input": dict(input or {}), "labels": dict(labels or {}), **wanted}
        job, answered = self._request("POST", "/jobs", query=_dry(dry_run), headers=headers, **_json(said))
        return {**_mapping(job), "replayed": answered.get("Idempotent-Replayed") == "true"}

    def jobs(
        self, *, state: str | None = None, topic: str | None = None, limit: int | None = 50
    ) -> list[dict[str, Any]]:
        """Single jobs, the newest first; `limit=None` for all."""
        return self._list("/jobs", limit, {"state": state, "topic": topic})

    def job(self, job_id: str) -> dict[str, Any]:
        """{id, state, topic, result, error, …} of any job, single or of a workflow."""
        return self._object("GET", _path("jobs", job_id))

    def job_decisions(self, job_id: str, limit: int | None = None) -> list[dict[str, Any]]:
        """What the policy has said of it, oldest first."""
        return self._list(_path("jobs", job_id, "decisions"), limit)

    def cancel_job(self, job_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("jobs", job_id, "cancel"), query=_dry(dry_run), **_reason(reason))

    # what operators do; each says why, and `dry_run` tells what would be done and changes nothing

    def cancel(
        self, run_id: str, reason: str | None = None, *, compensate: bool = False, dry_run: bool = False
    ) -> dict[str, Any] | None:
        """None, or what a dry run tells. `compensate`: undo what it has done. Without a reason the audit says so."""
        path = _path("workflow-runs", run_id, "cancel")
        said = ({} if reason is None else {"reason": reason}) | ({"compensate": True} if compensate else {})
        told: dict[str, Any] | None = self._request("POST", path, query=_dry(dry_run), **_json(said))[0]
        return told or None

    def pause(self, run_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Let nothing new begin; what runs may finish."""
        return self._object("POST", _path("workflow-runs", run_id, "pause"), query=_dry(dry_run), **_reason(reason))

    def resume(self, run_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("workflow-runs", run_id, "resume"), query=_dry(dry_run), **_reason(reason))

    def signal(
        self,
        run_id: str,
        name: str,
        payload: Any = None,
        *,
        correlation: str | None = None,
        idempotency_key: str | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Hand an event to a run; with a key, however often it is sent, once."""
        said = {"payload": payload} | ({} if correlation is None else {"correlation": correlation})
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        path = _path("workflow-runs", run_id, "signals", name)
        return self._object("POST", path, query=_dry(dry_run), headers=headers, **_json(said))

    def retry(self, run_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Let a failed run go on from what failed."""
        return self._object("POST", _path("workflow-runs", run_id, "retry"), query=_dry(dry_run), **_reason(reason))

    def rerun(self, run_id: str, reason: str, from_step: str | None = None, *, dry_run: bool = False) -> dict[str, Any]:
        """A new run, which takes over what lies before `from_step`."""
        asked = {"reason": reason} | ({} if from_step is None else {"from_step": from_step})
        return self._object("POST", _path("workflow-runs", run_id, "rerun"), query=_dry(dry_run), **_json(asked))

    def skip(self, run_id: str, step: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        path = _path("workflow-runs", run_id, "steps", step, "skip")
        return self._object("POST", path, query=_dry(dry_run), **_reason(reason))

    def complete(
        self, run_id: str, step: str, reason: str, output: Any = None, *, dry_run: bool = False
    ) -> dict[str, Any]:
        path = _path("workflow-runs", run_id, "steps", step, "complete")
        return self._object("POST", path, query=_dry(dry_run), **_json({"reason": reason, "output": output}))

    # approvals

    def approvals(self, *, include_resolved: bool = False, limit: int | None = None) -> list[dict[str, Any]]:
        return self._list("/approvals", limit, {"include_resolved": "true" if include_resolved else None})

    def approval(self, job_id: str) -> dict[str, Any]:
        return self._object("GET", _path("approvals", job_id))

    def approval_stats(self) -> dict[str, Any]:
        """How many questions wait, and how long the newest ones waited for an answer."""
        return self._object("GET", "/approvals/stats")

    def approve(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        return self._object("POST", _path("approvals", job_id, "approve"), **_reason(reason))

    def reject(self, job_id: str, reason: str) -> dict[str, Any]:
        return self._object("POST", _path("approvals", job_id, "reject"), **_reason(reason))

    def signal_by_correlation(
        self,
        name: str,
        correlation: str,
        payload: Any = None,
        *,
        idempotency_key: str | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Hand an event to every run that waits for it; with none it is kept for the first that will.

        Returns {delivered_to: [run ids], kept}.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        said = _json({"correlation": correlation, "payload": payload})
        return self._object("POST", _path("signals", name), query=_dry(dry_run), headers=headers, **said)

    # inbound webhooks

    def hooks(self, limit: int | None = None) -> list[dict[str, Any]]:
        return self._list("/hooks", limit)

    def hook(self, hook_id: str) -> dict[str, Any]:
        return self._object("GET", _path("hooks", hook_id))

    def create_hook(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """`wanted`: {start: {workflow_id, input}} or {signal: {name, correlation, payload}}, with templates of `body`.

        The answer's `secret` is shown this once.
        """
        return self._object("POST", "/hooks", **_json(dict(wanted)))

    def rotate_hook(self, hook_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Give a hook another `secret`, shown this once; what the one before has signed is refused from now on."""
        return self._object("POST", _path("hooks", hook_id, "rotate"), query=_dry(dry_run), **_reason(reason))

    def delete_hook(self, hook_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """None, or what a dry run tells: the hook."""
        return self._done(_path("hooks", hook_id), reason, dry_run)

    # schedules

    def schedules(self, limit: int | None = None) -> list[dict[str, Any]]:
        return self._list("/schedules", limit)

    def schedule(self, schedule_id: str) -> dict[str, Any]:
        return self._object("GET", _path("schedules", schedule_id))

    def create_schedule(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """`wanted`: {workflow_id, cron, id?, timezone?, input?, overlap?, catch_up?, starts_at?, ends_at?, …}."""
        return self._object("POST", "/schedules", **_json(dict(wanted)))

    def replace_schedule(self, schedule_id: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        return self._object("PUT", _path("schedules", schedule_id), **_json(dict(wanted)))

    def delete_schedule(self, schedule_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """Forget a schedule; its runs stay. None, or what a dry run tells: the schedule."""
        return self._done(_path("schedules", schedule_id), reason, dry_run)

    def pause_schedule(self, schedule_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("schedules", schedule_id, "pause"), query=_dry(dry_run), **_reason(reason))

    def resume_schedule(self, schedule_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("schedules", schedule_id, "resume"), query=_dry(dry_run), **_reason(reason))

    def next_ticks(self, schedule_id: str, count: int = 10) -> list[str]:
        """When its next runs begin, RFC 3339."""
        answered = self._object("GET", _path("schedules", schedule_id, "next"), query={"count": count})
        return [str(tick) for tick in answered["items"]]

    def trigger_schedule(self, schedule_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Start one of its runs now; returns the run."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._object("POST", _path("schedules", schedule_id, "trigger"), headers=headers)

    def backfill_schedule(
        self, schedule_id: str, first: str, last: str, reason: str, *, dry_run: bool = False
    ) -> dict[str, Any]:
        """A run for each tick of a past range that has none. Returns {ticks, runs: [{tick, run_id, created}]}."""
        said = {"from": first, "to": last, "reason": reason}
        return self._object("POST", _path("schedules", schedule_id, "backfill"), query=_dry(dry_run), **_json(said))

    # dead letters

    def dead_letters(self, limit: int | None = None, **filters: str | None) -> list[dict[str, Any]]:
        """The newest first. Filters: state, group, topic, reason_code, workflow_id."""
        return self._list("/dlq", limit, filters)

    def dead_letter(self, job_id: str) -> dict[str, Any]:
        """One with all its evidence and the input it failed with."""
        return self._object("GET", _path("dlq", job_id))

    def dead_letter_groups(self) -> list[dict[str, Any]]:
        """Open dead letters by what they have in common: {id, class, message, topic, count, …}."""
        return list(self._object("GET", "/dlq/groups")["items"])

    def retry_dead_letter(self, job_id: str, reason: str, *, input: Any = ..., dry_run: bool = False) -> dict[str, Any]:
        """Let its run go on; with `input`, the step is given that instead."""
        said = {"reason": reason} | ({} if input is ... else {"input": input})
        return self._object("POST", _path("dlq", job_id, "retry"), query=_dry(dry_run), **_json(said))

    def discard_dead_letter(self, job_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """Say that nothing is to be done about it. None, or what a dry run tells."""
        return self._done(_path("dlq", job_id), reason, dry_run)

    def retry_dead_letters(
        self,
        filter: Mapping[str, Any],
        reason: str,
        *,
        rate: float | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Try all again that match {group, topic, reason_code, workflow_id, include_governance}, `rate` a second.

        Returns the bulk retry, which goes on by itself: see `bulk_retry`.
        """
        said = {"filter": dict(filter), "reason": reason} | ({} if rate is None else {"rate": rate})
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._object("POST", "/dlq/retry", query=_dry(dry_run), headers=headers, **_json(said))

    def bulk_retry(self, bulk_id: str) -> dict[str, Any]:
        """How far it is: {state, total, position, retried, skipped, refused, …}."""
        return self._object("GET", _path("dlq", "retry", bulk_id))

    def bulk_retries(self, limit: int | None = None) -> list[dict[str, Any]]:
        return self._list("/dlq/retry", limit)

    def stop_bulk_retry(self, bulk_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("dlq", "retry", bulk_id, "stop"), query=_dry(dry_run), **_reason(reason))

    # limits

    def concurrency(self, limit: int | None = None) -> list[dict[str, Any]]:
        """What limits jobs together, with those that hold a place and those that wait for one."""
        return self._list("/concurrency", limit)

    # workers and queues

    def workers(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Living workers: {id, name, status, pools, topics, labels, capabilities, slots, active, …}."""
        return self._list("/workers", limit)

    def worker(self, worker_id: str) -> dict[str, Any]:
        return self._object("GET", _path("workers", worker_id))

    def drain(self, worker_id: str, reason: str, *, undo: bool = False, dry_run: bool = False) -> dict[str, Any]:
        """Let a worker finish what runs there and take nothing new; it is done when its status is `drained`."""
        path = _path("workers", worker_id, "drain")
        return self._object("DELETE" if undo else "POST", path, query=_dry(dry_run), **_reason(reason))

    def drain_pool(self, pool: str, reason: str, *, undo: bool = False, dry_run: bool = False) -> dict[str, Any]:
        """The same for every worker of a pool; done when `drained` is true."""
        path = _path("pools", pool, "drain")
        return self._object("DELETE" if undo else "POST", path, query=_dry(dry_run), **_reason(reason))

    def queues(self, limit: int | None = None) -> list[dict[str, Any]]:
        """{name, depth, ready, queued, running, oldest_age_sec, consumers, slots, paused} of every topic."""
        return self._list("/queues", limit)

    def pause_queue(self, topic: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("queues", topic, "pause"), query=_dry(dry_run), **_reason(reason))

    def resume_queue(self, topic: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        return self._object("POST", _path("queues", topic, "resume"), query=_dry(dry_run), **_reason(reason))

    # policy

    def policy(self, action: str, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Ask or change the policy: `evaluate`, `explain`, `simulate`, `replay`, `test`, `publish` or `rollback`.

        Publishing or rolling back with a key is done once, however often it is asked for.
        """
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._object("POST", _path("policy", action), headers=headers, **_json(dict(body)))

    def policy_drafts(self, limit: int | None = None) -> list[dict[str, Any]]:
        return self._list("/policy/bundles", limit)

    def policy_draft(self, draft_id: str) -> dict[str, Any]:
        return self._object("GET", _path("policy", "bundles", draft_id))

    def save_policy_draft(self, draft_id: str, source: str) -> dict[str, Any]:
        """Keep a text that is not active, good or not; what is wrong with it is in the answer."""
        return self._object("PUT", _path("policy", "bundles", draft_id), **_json({"policy": source}))

    def delete_policy_draft(self, draft_id: str) -> None:
        self._request("DELETE", _path("policy", "bundles", draft_id))

    def governance(self) -> dict[str, Any]:
        """Whether there is a policy that can be used, and what is wrong where there is none."""
        return self._object("GET", "/governance/health")

    def policy_history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """What was the active policy, newest first."""
        return self._list("/policy/snapshots", limit)

    # the wire

    def _list(self, path: str, limit: int | None, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return list(islice(self._items(path, min(limit or _PAGE, _PAGE), query or {}), limit))

    def _items(self, path: str, page: int, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page, for both of the API's forms of a list."""
        cursor: str | None = None
        while True:
            answered, headers = self._request("GET", path, query={**query, "limit": page, "cursor": cursor})
            if isinstance(answered, list):
                items, cursor = answered, headers.get("X-Next-Cursor")
            else:
                items, cursor = answered["items"], answered["next_cursor"]
            yield from items
            if cursor is None:
                return

    def _done(self, path: str, reason: str, dry_run: bool) -> dict[str, Any] | None:
        """What a DELETE answers: nothing, or what a dry run tells."""
        told: dict[str, Any] | None = self._request("DELETE", path, query=_dry(dry_run), **_reason(reason))[0]
        return told or None

    def _object(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        return _mapping(self._request(method, path, **how)[0])

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        media: str = "application/json",
    ) -> tuple[Any, http.client.HTTPMessage]:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._base + _PREFIX + path + (f"?{urlencode(given, doseq=True)}" if given else "")
        sent = {**self._headers, **(headers or {}), "Connection": "close"}
        if body is not None:
            sent["Content-Type"] = media
        status, answered, data = self._exchange(method, target, body, sent)
        document = _document(data)
        if status >= 400:
            raise ApiError(document if isinstance(document, dict) else {"status": status})
        return document, answered

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self._connection_type(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            place = f"{self._host}:{self._port}" if self._port else self._host
            raise Unavailable(f"no answer from the API at {place}: {reason}", code="api_unreachable") from error
        finally:
            connection.close()


def _definition(definition: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(definition, Mapping):
        return _json(dict(definition))
    data = definition.encode() if isinstance(definition, str) else definition
    return {"body": data, "media": "application/yaml"}


def _dry(dry_run: bool) -> dict[str, Any]:
    return {"dry_run": "true"} if dry_run else {}


def _reason(reason: str | None) -> dict[str, Any]:
    return _json({} if reason is None else {"reason": reason})


def _json(value: dict[str, Any]) -> dict[str, Any]:
    return {"body": json.dumps(value, ensure_ascii=False, allow_nan=False).encode()}


def _path(*segments: str) -> str:
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def _document(data: bytes) -> Any:
    """None for an empty answer and for one that is not ours (a proxy's page)."""
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None


def _mapping(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Unavailable("the answer does not come from cordum's API", code="api_unreachable")
    return document


def _problem(item: Mapping[str, Any]) -> Problem:
    return Problem(
        str(item.get("path", "")),
        str(item.get("code", "")),
        str(item.get("message", "")),
        item.get("line"),
        item.get("column"),
    )
