"""The audit: sealed, looked through, judged, handed out.

Records are appended by the scripts that make true what they tell. Sealing follows within a sweep: each record is linked
to the one before it, the links are signed where there is a key, and a checkpoint goes to a file outside Redis.
"""

from __future__ import annotations

import builtins
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cordum.domain.audit import Checkpoint, Judge, Keyring, Record, Seal, Verdict, first_link, next_link, read_record
from cordum.engine.audit_keys import load_keyring
from cordum.engine.core import Core
from cordum.engine.event_views import decision_of
from cordum.engine.metrics import Metric
from cordum.engine.values import Page
from cordum.engine.views import SYSTEM, rfc3339
from cordum.store.audit import Lengths, Paged
from cordum.store.checkpoints import CheckpointFile

_LOG = logging.getLogger(__name__)
_TENANTS = 100  # so many are looked after in one sweep
_BATCH = 1000
_PATIENCE_SEC = 0.25  # then the coordinator has other things to do
# Until then a power cut may take from Redis what was sealed; the file must not know of more than Redis will.
_SETTLED_SEC = 2.0
_CHUNK = 500  # records that are read at once to find some of them
_MOST_LOOKED_AT = 5000  # records for one page of a filtered list
FORMAT = "cordum-audit-1"


class Audit:
    """`checkpoints` None: none are kept or looked at."""

    def __init__(self, core: Core, checkpoints: CheckpointFile | None = None) -> None:
        self._store = core.store.audit
        self._cell = core.settings.cell
        self.keyring = load_keyring(core.settings)
        self._checkpoints = checkpoints
        self._signed: set[str] | None = None  # tenants whose chain has been signed, as far as this machine knows
        self._refused: set[str] = set()
        self._unsettled: list[Checkpoint] = []
        self._kept = True  # whether the last checkpoint could be written

    # -- sealing -------------------------------------------------------------------------------------------------

    def seal(self) -> None:
        """Link and sign what has been appended; another sealer's work is left to it."""
        leave = time.monotonic() + _PATIENCE_SEC
        points: list[Checkpoint] = []
        for tenant in self._store.unsealed(_TENANTS):
            more = True
            while more and time.monotonic() < leave:
                point, more = self._seal_some(tenant)
                points += [point] if point else []
        self._unsettled += points
        self._keep_settled()

    def _seal_some(self, tenant: str) -> tuple[Checkpoint | None, bool]:
        """The checkpoint after some more seals (None: nothing was sealed, or not by us), and whether there is more."""
        lengths = self._store.lengths(tenant)
        last = self._last_seal(tenant, lengths)
        records = self._store.records(tenant, lengths.seals + 1, _BATCH)
        if not records or not self._may_go_on(tenant, last, lengths):
            return None, False
        link, seals = last.link, []
        for number, raw in enumerate(records, lengths.seals + 1):
            link = next_link(number, link, raw)
            seals.append(self.keyring.seal(link).text())
        if not self._store.seal(tenant, lengths.seals, seals):
            return None, False
        last_number = lengths.seals + len(seals)
        return self._checkpoint(tenant, last_number, link), last_number < lengths.records

    def _last_seal(self, tenant: str, lengths: Lengths) -> Seal:
        found = self._store.seals(tenant, lengths.seals, 1) if lengths.seals else []
        return Seal.parse(found[0]) if found else Seal(first_link(self._cell, tenant))

    def _may_go_on(self, tenant: str, last: Seal, lengths: Lengths) -> bool:
        """A signature covers all that is before it: so nothing is signed that follows upon a forged end."""
        active = self.keyring.active
        if active is None or not lengths.seals:
            return True
        if last.key_id:
            good = self.keyring.signed(last.key_id, last.signature, last.link)
        else:
            good = tenant not in self._known_as_signed()
        if good:
            self._refused.discard(tenant)
        elif tenant not in self._refused:
            self._refused.add(tenant)
            _LOG.error("the audit of %s is not sealed: its last seal, %s, is not signed", tenant, lengths.seals)
        return good

    def _known_as_signed(self) -> set[str]:
        if self._signed is None:
            points, _ = self._known_checkpoints()
            self._signed = {one.tenant for one in points if one.cell == self._cell and one.key_id}
        return self._signed

    def _checkpoint(self, tenant: str, sequence: int, link: str) -> Checkpoint:
        at, active = int(time.time() * 1000), self.keyring.active
        point = Checkpoint(self._cell, tenant, sequence, link, at)
        if active is None:
            return point
        self._known_as_signed().add(tenant)
        return Checkpoint(self._cell, tenant, sequence, link, at, active, self.keyring.sign(active, point.said()))

    def _known_checkpoints(self) -> tuple[list[Checkpoint], int]:
        return self._checkpoints.read() if self._checkpoints is not None else ([], 0)

    def _keep_settled(self) -> None:
        """Work goes on without the file; the next checkpoint covers what this one would have."""
        until = (time.time() - _SETTLED_SEC) * 1000
        last = {point.tenant: point for point in self._unsettled if point.at <= until}
        self._unsettled = [point for point in self._unsettled if point.at > until]
        if self._checkpoints is None or not last:
            return
        try:
            self._checkpoints.append(list(last.values()))
            self._kept = True
        except OSError as error:
            if self._kept:  # told once, not every second
                _LOG.error("no checkpoint of the audit in %s: %s", self._checkpoints.path, error.strerror)
            self._kept = False

    # -- looking through -----------------------------------------------------------------------------------------

    def list(self, tenant: str, *, limit: int, after: str | None, order: str = "desc", **wanted: Any) -> Page:
        """Records with their places in the chain; `wanted` are filters (see `_Filter`).

        A page of a filtered list may be short, or empty, and have a next one: only so much is looked at for each.
        """
        lengths, filter_ = self._store.lengths(tenant), _Filter(**wanted)
        step = 1 if order == "asc" else -1
        start = (1 if order == "asc" else lengths.records) if after is None else int(after) + step
        chunk = _CHUNK if wanted else limit
        items: list[dict[str, Any]] = []
        looked_at = 0
        while 1 <= start <= lengths.records and looked_at < _MOST_LOOKED_AT:
            first = start if step > 0 else max(start - chunk + 1, 1)
            count = min(chunk, lengths.records - first + 1) if step > 0 else start - first + 1
            for place, record, seal in self._read(tenant, first, count, step):
                if record is not None and filter_.passes(record):
                    items.append(record_view(place, record, seal))
                if len(items) == limit:
                    return Page(items, str(place) if 1 <= place + step <= lengths.records else None)
            looked_at += count
            start += step * count
        return Page(items, str(start - step) if 1 <= start <= lengths.records else None)

    def decisions(self, tenant: str, *, limit: int, after: str | None, order: str = "desc") -> Page:
        """What the policy has decided about this tenant's jobs."""
        page = self.list(tenant, limit=limit, after=after, order=order, type="step.decision")
        return Page([_decision(item) for item in page.items], page.next)

    def _read(
        self, tenant: str, first: int, count: int, step: int
    ) -> Iterable[tuple[int, Record | None, bytes | None]]:
        records = self._store.records(tenant, first, count)
        seals: list[bytes | None] = [*self._store.seals(tenant, first, count)]
        seals += [None] * (len(records) - len(seals))
        found = [(first + i, read_record(raw), seals[i]) for i, raw in enumerate(records)]
        return found[::step]

    # -- judging -------------------------------------------------------------------------------------------------

    def verify(self, tenant: str) -> dict[str, Any]:
        """Whether this tenant's audit is what was written, from its first record to its last."""
        points, unreadable = self._known_checkpoints()
        lengths = self._store.lengths(tenant)
        records = Paged(self._store.records, tenant, lengths.records)
        seals = Paged(self._store.seals, tenant, lengths.seals)
        judge = Judge(self._cell, tenant, self.keyring, points)
        for place in range(1, lengths.records + 1):
            raw = records(place)
            if raw is not None:
                judge.add(raw, seals)
        known = sum((one.cell, one.tenant) == (self._cell, tenant) for one in points)
        report = report_of(tenant, judge.verdict(lengths.counted, lengths.sealed, seals), self.keyring)
        return report | {"checkpoints": known, "unreadable_checkpoints": unreadable}

    def metrics(self) -> builtins.list[Metric]:
        counted, sealed = self._store.totals()
        return [
            Metric("cordum_audit_records_total", "counter", "Records of the audit, of all tenants", {(): counted}),
            Metric(
                "cordum_audit_unsealed",
                "gauge",
                "Records that no link of their chain covers; more than a moment's worth: nobody can seal",
                {(): counted - sealed},
            ),
        ]

    # -- handing out ---------------------------------------------------------------------------------------------

    def export(self, tenant: str) -> Iterator[str]:
        """Lines of JSON: what it is, then each record with its seal. `verify_export` judges them without Redis."""
        lengths = self._store.lengths(tenant)
        yield json.dumps(self._header(tenant, lengths)) + "\n"
        records = Paged(self._store.records, tenant, lengths.records)
        seals = Paged(self._store.seals, tenant, lengths.seals)
        for place in range(1, lengths.records + 1):
            raw, seal = records(place), seals(place)
            if raw is not None:
                yield json.dumps({"sequence": place, "record": _text(raw), "seal": seal and _text(seal)}) + "\n"

    def _header(self, tenant: str, lengths: Lengths) -> dict[str, Any]:
        header: dict[str, Any] = {
            "format": FORMAT,
            "cell": self._cell,
            "tenant": tenant,
            "exported_at": rfc3339(round(time.time() * 1000)),
            "records": lengths.counted,
            "sealed": lengths.seals,
            "head": self._last_seal(tenant, lengths).link,
        }
        if self.keyring.active is not None:
            signature = self.keyring.sign(self.keyring.active, canonical(header))
            header |= {"key_id": self.keyring.active, "signature": signature}
        return header


class _Filter:
    """Which records a list shows. `since` and `until` are milliseconds, the latter not included."""

    def __init__(
        self,
        type: str | None = None,
        actor: str | None = None,
        run_id: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> None:
        self._type, self._actor, self._since, self._until = type, actor, since, until
        self._subject = None if run_id is None else f"run:{run_id}"

    def passes(self, record: Record) -> bool:
        return (
            self._type in (None, record.event.get("type"))
            and self._actor in (None, record.event.get("actor", SYSTEM))
            and self._subject in (None, record.subject)
            and (self._since is None or record.at >= self._since)
            and (self._until is None or record.at < self._until)
        )


def record_view(sequence: int, record: Record, seal: bytes | None) -> dict[str, Any]:
    kind, _, name = record.subject.partition(":")
    event = record.event
    return {
        "sequence": sequence,
        "time": rfc3339(record.at),
        "type": event.get("type"),
        "subject": record.subject,
        "run_id": name if kind == "run" else None,
        "step_id": event.get("step_id"),
        "job_id": event.get("job_id"),
        "attempt": event.get("attempt"),
        "actor": event.get("actor", SYSTEM),
        "from": event.get("from"),
        "to": event.get("to"),
        "data": event.get("data", {}),
        "hash": None if seal is None else Seal.parse(seal).link,
    }


def _decision(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"seq": item["sequence"], "time": item["time"], **decision_of(item["data"], item)}


def report_of(tenant: str, verdict: Verdict, keyring: Keyring) -> dict[str, Any]:
    """A verdict as a document; `first_problem` is the number from which on the audit cannot be trusted."""
    problems = [{"sequence": one.sequence, "code": one.code, "message": one.message} for one in verdict.findings]
    return {
        "status": "ok" if verdict.ok else "compromised",
        "tenant": tenant,
        "total_events": verdict.total,
        "sealed": verdict.sealed,
        "unsealed": max(verdict.total - verdict.sealed, 0),
        "gaps": [{"from": first, "to": last} for first, last in verdict.gaps],
        "first_problem": problems[0]["sequence"] if problems else None,
        "problems": problems,
        "more_problems": verdict.more,
        "signatures": "checked" if keyring.secrets else "not_checked",
        "key_ids": sorted(verdict.key_ids),
    }


def canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
