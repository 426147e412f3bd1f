"""A group of dead letters tried again, one after the other, at a rate.

The letters are pinned when it begins; coordinators carry it on, any number of them, and whoever dies is followed by
another. Each letter is a retry like any other, which somebody may have made before.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cordum.domain.audit import Act
from cordum.engine.core import Core
from cordum.engine.dead_letters import DeadLetters
from cordum.engine.values import Caller, Page
from cordum.engine.views import rfc3339
from cordum.errors import CordumError, NotFound, StateConflict, Unavailable, Unprocessable
from cordum.store.unique import unique

_LOG = logging.getLogger(__name__)

DEFAULT_RATE = 10.0
"""Dead letters a second."""
MOST = 10_000
"""Dead letters in one bulk retry."""
_TURN = 50  # of one bulk retry, before others have their turn
_TRIM = 100  # of one tenant in one look
_LOOKED_INTO = 200  # of a dry run
_FILTERS = ("topic", "reason_code", "workflow_id", "class")


class BulkRetries:
    def __init__(self, core: Core, letters: DeadLetters) -> None:
        self._core = core
        self._store = core.store.bulk_retries
        self._letters = letters

    def begin(
        self,
        caller: Caller,
        filters: Mapping[str, Any],
        reason: str,
        rate: float | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Pin the letters that match, and let coordinators try them again. With a `key`, however often asked, once.

        `filters`: group, topic, reason_code, class, workflow_id; `include_governance`.
        """
        bulk_id = _id_of(caller.tenant, key or unique())
        known = self._store.get(bulk_id)
        if not known:
            matched, left_out = self._match(caller.tenant, filters)
            facts = {"filter": json.dumps(dict(filters)), "left_out": str(left_out)}
            act = Act(caller.person, caller.tenant, reason)
            self._store.begin(bulk_id, rate or DEFAULT_RATE, act, facts, matched)
            self._core.store.wakeups.ring()
        return self.get(caller.tenant, bulk_id)

    def preview(self, caller: Caller, filters: Mapping[str, Any], reason: str, rate: float | None) -> dict[str, Any]:
        """What `begin` would do: how many letters, and what would come of the first of them by now."""
        matched, left_out = self._match(caller.tenant, filters)
        results: Counter[str] = Counter()
        dispatch: list[Any] = []
        for job_id in matched[:_LOOKED_INTO]:
            try:
                shown = self._letters.retry(caller, job_id, reason, dry_run=True)
            except CordumError as refused:
                results[f"refused:{refused.code}"] += 1
            else:
                results["would_retry"] += 1
                dispatch += shown.get("dispatch", [])
        return {
            "dry_run": True,
            "matched": len(matched),
            "governance_left_out": left_out,
            "examined": min(len(matched), _LOOKED_INTO),
            "results": dict(results),
            "dispatch": dispatch,
            "rate": rate or DEFAULT_RATE,
            "takes_sec": round(len(matched) / (rate or DEFAULT_RATE), 1),
        }

    def _match(self, tenant: str, filters: Mapping[str, Any]) -> tuple[list[str], int]:
        """Job ids of the open letters that match, oldest first within each group; how many decisions were left out."""
        wanted = {name: filters[name] for name in _FILTERS if filters.get(name) is not None}
        matched: list[str] = []
        left_out = 0
        for group in self._core.store.dead_letters.groups(tenant):
            if filters.get("group") not in (None, group.id):
                continue
            if any(group.about[name] != wanted[name] for name in ("topic", "class") if name in wanted):
                continue
            if group.about["governance"] and not filters.get("include_governance"):
                left_out += group.count
                continue
            found = self._core.store.dead_letters.open_of(tenant, group.id, MOST + 1)
            matched += self._narrowed(tenant, found, wanted)
            if len(matched) > MOST:
                raise Unprocessable(
                    f"more than {MOST} dead letters match: narrow the filter, or go group by group",
                    code="limit_exceeded",
                )
        return matched, left_out

    def _narrowed(self, tenant: str, job_ids: list[str], wanted: Mapping[str, Any]) -> list[str]:
        """What a group does not have in common is asked of each letter."""
        own = {name: value for name, value in wanted.items() if name in ("reason_code", "workflow_id")}
        if not own:
            return job_ids
        records = ((job_id, self._core.store.dead_letters.get(tenant, job_id) or {}) for job_id in job_ids)
        return [job for job, record in records if all(record.get(name) == value for name, value in own.items())]

    # -- looking -------------------------------------------------------------------------------------------------

    def get(self, tenant: str, bulk_id: str) -> dict[str, Any]:
        return bulk_view(self._record(tenant, bulk_id))

    def list(self, tenant: str, *, limit: int, after: str | None) -> Page:
        found = self._store.newest(tenant, after, limit)
        return Page([bulk_view(one) for one in found], found[-1]["id"] if len(found) == limit else None)

    def stop(self, caller: Caller, bulk_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Try none of its letters again that has not had its turn."""
        record = self._record(caller.tenant, bulk_id)
        if dry_run and record["state"] == "running":
            return {"dry_run": True, **bulk_view(record), "state": "stopped"}
        if dry_run or not self._store.stop(bulk_id, Act(caller.person, caller.tenant, reason)):
            ended = self._record(caller.tenant, bulk_id)
            if record["state"] == "running" or ended["state"] != "stopped":
                raise StateConflict(
                    f"the bulk retry {bulk_id} is done: what it has begun is stopped by cancelling the runs",
                    code="bulk_retry_done",
                )
        return ({"dry_run": True} if dry_run else {}) | self.get(caller.tenant, bulk_id)

    def _record(self, tenant: str, bulk_id: str) -> dict[str, str]:
        record = self._store.get(bulk_id)
        if record.get("tenant") != tenant:
            raise NotFound(f"there is no bulk retry {bulk_id}")
        return record

    def trim(self, now: int) -> int:
        """Forget those that ended as long ago as handled dead letters are kept; how many were forgotten."""
        until = now - self._core.settings.dead_letters_kept_sec * 1000
        tenants = self._core.store.dead_letters.tenants()
        return sum(self._store.trim(tenant, until, _TRIM) for tenant in tenants)

    # -- carrying on ---------------------------------------------------------------------------------------------

    def carry_on(self) -> None:
        """One turn of each that goes on: the letters whose time has come."""
        for bulk_id in self._store.running():
            self._turn(bulk_id)

    def _turn(self, bulk_id: str) -> None:
        record = self._store.get(bulk_id)
        position, job_ids = self._store.due(bulk_id, _TURN)
        for number, job_id in enumerate(job_ids, position):
            result, code = self._try(record, job_id)
            if not self._store.record(bulk_id, number, result, code):
                return  # another coordinator is at it

    def _try(self, record: Mapping[str, str], job_id: str) -> tuple[str, str]:
        """Retry one letter: (retried | skipped | refused, why). What was done before a crash is found done."""
        who, bulk_id = Caller(record["tenant"], record["actor"]), record["id"]
        letters = self._core.store.dead_letters
        found = letters.get(who.tenant, job_id)
        if found is not None and found["state"] == "open":
            try:
                self._letters.retry(who, job_id, record["reason"], bulk=bulk_id)
            except Unavailable:
                raise
            except CordumError as refused:
                return "refused", refused.code
            except Exception:
                _LOG.exception("dead letter %s cannot be tried again", job_id)
                return "refused", "internal"
            found = letters.get(who.tenant, job_id)
        if found is not None and found.get("bulk") == bulk_id:
            return "retried", ""
        return "skipped", found["state"] if found is not None else "gone"


def bulk_view(record: Mapping[str, str]) -> dict[str, Any]:
    """`position` letters of `total` have had their turn: each was retried, skipped (dealt with before) or refused."""
    total, position = int(record["total"]), int(record["position"])
    return {
        "id": record["id"],
        "state": record["state"],
        "total": total,
        "position": position,
        "left": total - position,
        **{name: int(record.get(name, "0")) for name in ("retried", "skipped", "refused")},
        "skipped_because": _reasons(record, "skipped"),
        "refused_because": _reasons(record, "refused"),
        "governance_left_out": int(record["left_out"]),
        "rate": float(record["rate"]),
        "filter": json.loads(record["filter"]),
        "reason": record["reason"],
        "actor": record["actor"],
        "begun_at": rfc3339(int(record["begun_at"])),
        "ended_at": rfc3339(int(record["ended_at"])) if record.get("ended_at") else None,
        "stopped_by": record.get("stopped_by"),
        "stopped_reason": record.get("stopped_reason"),
    }


def _reasons(record: Mapping[str, str], result: str) -> dict[str, int]:
    prefix = f"{result}:"
    return {name.removeprefix(prefix): int(count) for name, count in record.items() if name.startswith(prefix)}


def _id_of(tenant: str, key: str) -> str:
    return "bulk-" + hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()[:20]
