"""Schedules: kept, read with the time, moved on from what was seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cordum.domain.audit import Act
from cordum.domain.cron import Cron
from cordum.domain.plan import Event
from cordum.domain.schedules import CatchUp, Overlap, Schedule, Standing
from cordum.store import codec, keys, names
from cordum.store.audit import audit_keys
from cordum.store.commit import event_text
from cordum.store.connection import Call, Connection

_COUNTERS = ("fired", "skipped", "missed", "refused")
# What a tick changes.
_MOVING = frozenset({"next_at", "waiting", "open_runs", "last_tick", "last_run", "last_error", *_COUNTERS})


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule as it lies in Redis. `version` changes with each write; `open_runs` are its latest runs.

    `counts`: ticks by what became of them: fired, skipped, missed, refused. `last_error`: why the last one was refused.
    """

    schedule: Schedule
    standing: Standing
    version: str
    paused: bool = False
    created_at: int = 0
    updated_at: int = 0
    open_runs: tuple[str, ...] = ()
    counts: Mapping[str, int] | None = None
    last_tick: int | None = None
    last_run: str | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleNow:
    """Redis' time in milliseconds, and the schedule at that moment."""

    now: int
    kept: Kept | None


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """One write of a schedule: from the version that was seen (None: there was none) to what it is afterwards."""

    expected: str | None
    kept: Kept
    look_at: int | None

    @classmethod
    def of(cls, seen: Kept | None, after: Kept, look_at: int | None) -> ScheduleStep:
        """The version of what follows is a digest of it and of what it follows, so that a repeated write is one."""
        expected = seen.version if seen else ""
        text = json.dumps([expected, look_at, _fields(after)])
        version = hashlib.sha256(text.encode()).hexdigest()[:20]
        return cls(seen.version if seen else None, replace(after, version=version), look_at)

    @property
    def schedule_id(self) -> str:
        return self.kept.schedule.id

    @property
    def due(self) -> str:
        return "" if self.look_at is None else str(self.look_at)

    def control(self, tenant: str) -> str:
        """What `create_run` takes: where the schedule stands, in our own words and numbers."""
        standing = {name: text for name, text in _fields(self.kept).items() if name in _MOVING}
        fields = ["version", self.kept.version, *(part for pair in standing.items() for part in pair)]
        name = names.schedule_name(tenant, self.schedule_id)
        return codec.own_json({"version": self.expected or "", "name": name, "due": self.due, "fields": [*fields]})


class Schedules:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def ids(self, tenant: str) -> list[str]:
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.schedules(tenant)))
        return sorted(found)

    def read(self, tenant: str, ids: Iterable[str]) -> list[ScheduleNow]:
        """Several schedules, in order."""
        replies = self._connection.run_all([self._read_call(tenant, one) for one in ids])
        return [_now(reply) for reply in replies]

    def _read_call(self, tenant: str, schedule_id: str) -> Call:
        names = {"record": self._cell.schedule(tenant, schedule_id), "clock": self._cell.clock}
        return self._connection.call("read_record", names)

    def save(self, step: ScheduleStep, event: Event | None = None) -> bool:
        """False when the schedule is not any more what was seen. `event`: what the audit is told of who wants it so."""
        schedule = step.kept.schedule
        reply = self._connection.run(
            "save_schedule",
            self._keys(schedule.tenant, schedule.id),
            more_args=[part for pair in _fields(step.kept).items() for part in pair],
            id=schedule.id,
            name=names.schedule_name(schedule.tenant, schedule.id),
            expected=step.expected or "",
            version=step.kept.version,
            due=step.due,
            tenant=schedule.tenant,
            event=event_text("", event) if event else "",
        )
        return bool(reply[0] == "SAVED")

    def delete(self, schedule_id: str, act: Act) -> bool:
        reply = self._connection.run(
            "delete_schedule",
            self._keys(act.tenant, schedule_id),
            id=schedule_id,
            name=names.schedule_name(act.tenant, schedule_id),
            tenant=act.tenant,
            event=event_text("", act.event("schedule.deleted", schedule=schedule_id)),
        )
        return bool(reply[0] == "DELETED")

    def open_runs(self, run_ids: Sequence[str], ended: frozenset[str]) -> tuple[str, ...]:
        """Those of these runs that are there and in none of the statuses `ended`."""
        if not run_ids:
            return ()

        def ask(client: Any) -> list[str | None]:
            pipeline = client.pipeline(transaction=False)
            for run_id in run_ids:
                pipeline.hget(keys.RunKeys.of(run_id).run, "status")
            found: list[str | None] = pipeline.execute()
            return found

        statuses = self._connection.read(ask)
        return tuple(run for run, status in zip(run_ids, statuses, strict=True) if status and status not in ended)

    def _keys(self, tenant: str, schedule_id: str) -> dict[str, str]:
        return {
            "schedule": self._cell.schedule(tenant, schedule_id),
            "schedules": self._cell.schedules(tenant),
            "schedules_due": self._cell.schedules_due,
            **audit_keys(self._cell, tenant),
        }


def _fields(kept: Kept) -> dict[str, str]:
    """All of a schedule but its version. User data stays text that nobody looks into."""
    schedule, standing, counts = kept.schedule, kept.standing, kept.counts or {}
    return {
        "id": schedule.id,
        "tenant": schedule.tenant,
        "workflow_id": schedule.workflow_id,
        "workflow_version": _text(schedule.version),
        "input": codec.to_json(schedule.input),
        "cron": schedule.cron.expression,
        "timezone": schedule.cron.timezone,
        "overlap": schedule.overlap.value,
        "catch_up": schedule.catch_up.value,
        "starts_at": _text(schedule.starts_at),
        "ends_at": _text(schedule.ends_at),
        "labels": codec.to_json(dict(schedule.labels)),
        "description": schedule.description,
        "person": schedule.person,
        "paused": "1" if kept.paused else "0",
        "created_at": str(kept.created_at),
        "updated_at": str(kept.updated_at),
        "next_at": _text(standing.next_at),
        "waiting": codec.to_json(list(standing.waiting)),
        "open_runs": codec.to_json(list(kept.open_runs)),
        "last_tick": _text(kept.last_tick),
        "last_run": kept.last_run or "",
        "last_error": kept.last_error or "",
        **{name: str(counts.get(name, 0)) for name in _COUNTERS},
    }


def _now(reply: Sequence[Any]) -> ScheduleNow:
    fields = codec.pairs(reply[2])
    return ScheduleNow(int(reply[1]), _kept(fields) if fields else None)


def _kept(fields: Mapping[str, str]) -> Kept:
    schedule = Schedule(
        id=fields["id"],
        tenant=fields["tenant"],
        workflow_id=fields["workflow_id"],
        version=_number(fields["workflow_version"]),
        input=json.loads(fields["input"]),
        cron=Cron(fields["cron"], fields["timezone"]),
        overlap=Overlap(fields["overlap"]),
        catch_up=CatchUp(fields["catch_up"]),
        starts_at=_number(fields["starts_at"]),
        ends_at=_number(fields["ends_at"]),
        labels=json.loads(fields["labels"]),
        description=fields["description"],
        person=fields["person"],
    )
    return Kept(
        schedule=schedule,
        standing=Standing(_number(fields["next_at"]), tuple(json.loads(fields["waiting"]))),
        version=fields["version"],
        paused=fields["paused"] == "1",
        created_at=int(fields["created_at"]),
        updated_at=int(fields["updated_at"]),
        open_runs=tuple(json.loads(fields["open_runs"])),
        counts={name: int(fields[name]) for name in _COUNTERS},
        last_tick=_number(fields["last_tick"]),
        last_run=fields["last_run"] or None,
        last_error=fields["last_error"] or None,
    )


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _number(text: str) -> int | None:
    return int(text) if text else None
