"""Runs in Redis: created, read as one snapshot, changed by plans, listed, told."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import redis

from cordum.domain.ahead import Ahead
from cordum.domain.plan import Event, Plan
from cordum.domain.quotas import Quota
from cordum.domain.routing import priority_number
from cordum.domain.run import RunState, StepState
from cordum.domain.straight import Foreseen, ForeseenEnd
from cordum.domain.wants import Wants
from cordum.domain.workflow import Step
from cordum.store import codec, keys
from cordum.store.alike import Beginning, Marks, Pattern, pattern_of
from cordum.store.commit import CommitWriter, event_text
from cordum.store.connection import Call, Connection
from cordum.store.envelope import coordinator_message
from cordum.store.foreseen import children_text, prepared_end_text, prepared_text
from cordum.store.prepared import Prepared, PreparedChildren
from cordum.store.schedules import ScheduleStep
from cordum.store.scripts import Script

# Those that create_alike needs of what all runs of a workflow share.
_KEYS_OF_ALIKE = (
    *("clock", "policy", "timers", "windows", "wakeups", "coordinator", "stats", "open_runs_of", "audit", "audited"),
)
_FIELDS = 1000  # so many values one read takes at most


class CreateReply(StrEnum):
    CREATED = "CREATED"
    EXISTS = "EXISTS"
    REPLAYED = "REPLAYED"
    KEY_REUSED = "KEY_REUSED"
    POLICY_CHANGED = "POLICY_CHANGED"
    WORKFLOW_GONE = "WORKFLOW_GONE"
    THROTTLED = "THROTTLED"
    SCHEDULE_MOVED = "SCHEDULE_MOVED"


class SignalReply(StrEnum):
    SENT = "SENT"
    ENDED = "ENDED"
    NOT_FOUND = "NOT_FOUND"


class CommitReply(StrEnum):
    COMMITTED = "COMMITTED"
    CONFLICT = "CONFLICT"
    POLICY_CHANGED = "POLICY_CHANGED"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a run.

    Its state, the time and the policy epoch of that moment, and the raw hash for those who show it.
    """

    run: RunState
    now: int
    epoch: int
    fields: Mapping[str, str]


class Brought(NamedTuple):
    """What was read after a snapshot: JSON texts by ref, lists of items by (fan-out, block); own inputs."""

    outputs: dict[str, str]
    items: dict[tuple[str, int], list[Any]]
    inputs: dict[str, str]


class StepOf(NamedTuple):
    """Status and error (as text) of a run, the mark of one of its steps, and the child run that the step names.

    `undo`: a person has cancelled the run with its compensations.
    """

    status: str | None
    error: str | None
    mark: str | None
    child: str | None
    undo: bool


class Created(NamedTuple):
    """The reply to a creation: the id of the run that counts.

    When it was created just now and shall be shown, also the run itself and the inputs of its jobs; when it was
    throttled, after how long there is room.
    """

    word: CreateReply
    run_id: str
    snapshot: Snapshot | None = None
    inputs: Mapping[str, Any] = MappingProxyType({})
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key a submitter gave, and what the request was (`fingerprint`: a hash of it).

    `scope`: within what the key is one; None: the workflow.
    """

    key: str
    fingerprint: str
    ttl_sec: int
    scope: str | None = None


class Creation(NamedTuple):
    """A run that shall be stored, and with what: see `Runs.create`."""

    run: RunState
    plan: Plan
    idempotency: Idempotency | None = None
    rate: Quota | None = None
    tick: ScheduleStep | None = None
    prepared: Prepared | None = None
    show: bool = False


class Runs:
    def __init__(
        self,
        connection: Connection,
        cell: keys.CellKeys,
        window: int,
        weights: Mapping[str, int],
        forward_dead_letters: bool = False,
    ) -> None:
        self._connection = connection
        self._cell = cell
        self._window = window
        self._weights = weights
        self._shared_keys = lru_cache(maxsize=1024)(self._make_shared_keys)
        self._forward = forward_dead_letters

    # -- writing -------------------------------------------------------------------------------------------------

    def create(
        self,
        run: RunState,
        plan: Plan,
        idempotency: Idempotency | None,
        rate: Quota | None = None,
        tick: ScheduleStep | None = None,
        *,
        prepared: Prepared | None = None,
        show: bool = False,
    ) -> Created:
        """Store a run and its first plan in one step, if `rate` has room for one more run that begins.

        `tick`: the step of the schedule that it is a run of, written with it. `prepared`: what is foreseen of its
        steps. `show`: the reply holds the run.
        """
        return self.create_all([Creation(run, plan, idempotency, rate, tick, prepared, show)])[0]

    def create_all(self, creations: Sequence[Creation]) -> list[Created]:
        """Store several runs in one round trip, each for itself."""
        if not creations:
            return []
        replies = self._connection.run_all([self._create_call(one) for one in creations])
        return [self._created(creation, reply) for creation, reply in zip(creations, replies, strict=True)]

    def _create_call(self, creation: Creation) -> Call:
        run, plan, idempotency, rate, tick, prepared, show = creation
        script = self._connection.library["create_run"]
        commit = self._writer(run, script).write(plan, codec.run_fields(run), rate, prepared)
        used, fingerprint = self._used(run.tenant, run.workflow_id, idempotency)
        return self._connection.call(
            "create_run",
            {
                **self._commit_keys(run),
                "idempotency": used,
                "runs": self._cell.runs(run.tenant),
                "runs_of": self._cell.runs_of(run.tenant, run.workflow_id),
                "workflow": self._cell.workflow(run.tenant, run.workflow_id),
                "schedule": self._cell.schedule(run.tenant, tick.schedule_id if tick else ""),
                "schedules_due": self._cell.schedules_due,
            },
            commit.more_keys,
            commit.values,
            plan=commit.control,
            fingerprint=fingerprint,
            ttl_sec=idempotency.ttl_sec if idempotency else 0,
            message=coordinator_message(),
            digest="" if run.definition else run.digest,
            show="1" if show else "0",
            tick=tick.control(run.tenant) if tick else "",
        )

    def pattern(self, creation: Creation, marks: Marks, varying: Sequence[str] = ()) -> Pattern | None:
        """What runs that begin like this one have in common; its id is a mark. None: too much for a pattern.

        `varying`: the steps of which each run has foreseen something of its own.
        """
        run, script = creation.run, self._connection.library["create_alike"]
        commit = self._writer(run, script).write(creation.plan, codec.run_fields(run), prepared=creation.prepared)
        return pattern_of(run, creation.plan, commit, len(script.keys) + 1, marks, varying)

    def create_alike(
        self,
        pattern: Pattern,
        tenant: str,
        workflow_id: str,
        beginnings: Sequence[Beginning],
        idempotency: Sequence[Idempotency | None] = (),
    ) -> list[Created]:
        """Store runs of one pattern with one call, each for itself; `idempotency` is empty when none has a key."""
        used = [self._used(tenant, workflow_id, one) for one in idempotency]
        control, more_keys, values = pattern.arguments(beginnings, used)
        shared = self._shared_keys(tenant, workflow_id)
        reply = self._connection.run(
            "create_alike",
            {
                **{name: shared[name] for name in _KEYS_OF_ALIKE},
                "runs": self._cell.runs(tenant),
                "runs_of": self._cell.runs_of(tenant, workflow_id),
                "workflow": self._cell.workflow(tenant, workflow_id),
                "template": self._cell.template(pattern.template),
            },
            more_keys,
            values,
            plan=control,
            mark=pattern.marks.run,
            digest=pattern.digest,
            ttl_sec=max((one.ttl_sec for one in idempotency if one), default=0),
            message=coordinator_message(),
        )
        return [Created(CreateReply(word), run_id) for word, run_id in zip(reply[1::2], reply[2::2], strict=True)]

    def _used(self, tenant: str, workflow_id: str, one: Idempotency | None) -> tuple[str, str]:
        """Where an idempotency key is kept, and its fingerprint, which is empty when there is none."""
        if one is None:
            return self._cell.idempotency(tenant, "", ""), ""
        return self._cell.idempotency(tenant, one.scope or workflow_id, one.key), one.fingerprint

    def _created(self, creation: Creation, reply: list[Any]) -> Created:
        run, word = creation.run, CreateReply(reply[0])
        if word is CreateReply.CREATED and creation.show:
            return Created(word, run.id, _snapshot(reply[2]), _inputs(codec.pairs(reply[3])))
        if word is CreateReply.THROTTLED:
            return Created(word, run.id, wait_ms=int(reply[1]))
        return Created(word, str(reply[1]) if word is CreateReply.REPLAYED else run.id)

    def foreseen(self, run: RunState, found: Foreseen, mark: str) -> str:
        """How what was foreseen is kept; `mark`: what stand-ins for outputs begin with."""
        writer = self._writer(run, self._connection.library["create_run"])
        return prepared_text(self._cell, writer, run, found, mark)

    def foreseen_end(self, run: RunState, found: ForeseenEnd, mark: str) -> str:
        """The same of the end of the run."""
        return prepared_end_text(self._cell, run, found, mark)

    def _writer(self, run: RunState, script: Script) -> CommitWriter:
        weight = self._weights.get(run.tenant, 1)
        return CommitWriter(self._cell, run, len(script.keys) + 1, self._window, weight, self._forward)

    def prepared_children(self, run: RunState, step: Step, known: Ahead, mark: str) -> PreparedChildren:
        """How it is kept what is known of the next children of a fan-out; `mark` stands for the index."""
        ready = self._cell.ready(step.topic or "", priority_number(step.priority), run.tenant)
        if known.child is None:
            return PreparedChildren(known, ready)
        writer = self._writer(run, self._connection.library["create_run"])
        text = children_text(self._cell, writer, run, known.child, known.epoch, mark)
        return PreparedChildren(known, ready, text)

    def apply(
        self,
        run: RunState,
        plan: Plan,
        prepared: Prepared | None = None,
        ahead: Sequence[PreparedChildren] = (),
    ) -> CommitReply:
        """Commit what was planned from `run`; CONFLICT when the run is not what it was then.

        `prepared`: what is foreseen from there on; None: what was foreseen before holds no more. `ahead`: what is known
        of the children that begin next.
        """
        return self.apply_all([(run, plan, prepared, ahead)])[0]

    def apply_all(
        self, planned: Sequence[tuple[RunState, Plan, Prepared | None, Sequence[PreparedChildren]]]
    ) -> list[CommitReply]:
        """Commit the plans of several runs, each for itself."""
        replies = self._connection.run_all([self._apply_call(*one) for one in planned])
        return [CommitReply(reply[0]) for reply in replies]

    def _apply_call(
        self, run: RunState, plan: Plan, prepared: Prepared | None, ahead: Sequence[PreparedChildren]
    ) -> Call:
        script = self._connection.library["apply_plan"]
        commit = self._writer(run, script).write(plan, prepared=prepared, ahead=ahead)
        return self._connection.call(
            "apply_plan",
            {**self._commit_keys(run), "fired": self._cell.fired},
            commit.more_keys,
            commit.values,
            plan=commit.control,
            version=run.version,
            signals=run.signals,
            epoch=run.epoch,
            looked_at=run.looked_at,
            message=coordinator_message(),
        )

    def _commit_keys(self, run: RunState) -> dict[str, str]:
        own = keys.RunKeys.of(run.id)
        return {
            **self._shared_keys(run.tenant, run.workflow_id),
            "run": own.run,
            "steps": own.steps,
            "facts": own.facts,
            "inputs": own.inputs,
            "outputs": own.outputs,
            "timeline": own.timeline,
            "context": own.context,
            "inbox": own.inbox,
        }

    def _make_shared_keys(self, tenant: str, workflow_id: str) -> dict[str, str]:
        """Those that all runs of a workflow have in common."""
        return {
            "clock": self._cell.clock,
            "policy": self._cell.policy,
            "timers": self._cell.timers,
            "windows": self._cell.windows,
            "workers": self._cell.workers,
            "wakeups": self._cell.wakeups,
            "coordinator": self._cell.coordinator,
            "approvals": self._cell.approvals(tenant),
            "open_approvals": self._cell.open_approvals(tenant),
            "asked": self._cell.asked,
            "dead_letters": self._cell.dead_letters(tenant),
            "open_letters": self._cell.open_letters(tenant),
            "handled_letters": self._cell.handled_letters(tenant),
            "letter_groups": self._cell.letter_groups(tenant),
            "letter_tenants": self._cell.letter_tenants,
            "stats": self._cell.stats,
            "open_runs_of": self._cell.open_runs_of(tenant, workflow_id),
            "audit": self._cell.audit(tenant),
            "audited": self._cell.audited,
        }

    def signal(self, tenant: str, run_id: str, token: str, signal: dict[str, Any], actor: str) -> SignalReply:
        """Put an event from outside before a run; a repeated call with the same token changes nothing."""
        own = keys.RunKeys.of(run_id)
        data = {"name": signal["name"], "correlation": signal.get("correlation")}
        reply = self._connection.run(
            "send_signal",
            {
                "run": own.run,
                "inbox": own.inbox,
                "once": own.once,
                "timeline": own.timeline,
                "clock": self._cell.clock,
                "wakeups": self._cell.wakeups,
                "coordinator": self._cell.coordinator,
                "audit": self._cell.audit(tenant),
                "audited": self._cell.audited,
            },
            run_id=run_id,
            tenant=tenant,
            token=token,
            signal=codec.to_json(signal),
            event=event_text(run_id, Event("signal.received", actor=actor, data=data)),
            message=coordinator_message(),
        )
        return SignalReply(reply[0])

    # -- reading -------------------------------------------------------------------------------------------------

    def started_with(self, tenant: str, scope: str, used: Sequence[str]) -> list[str | None]:
        """The runs that were started with these idempotency keys; None: a key has not been used."""
        names = [self._cell.idempotency(tenant, scope, key) for key in used]
        found: Any = self._connection.read(lambda client: client.mget(names)) if names else []
        return [text.partition(" ")[0] if text else None for text in found]

    def heard(self, run_id: str, token: str) -> bool:
        """Whether a signal with this token has come to the run before."""
        once = keys.RunKeys.of(run_id).once
        return bool(self._connection.read(lambda client: client.hexists(once, f"signal:{token}")))

    def snapshot(self, run_id: str) -> Snapshot | None:
        """The run as it is at one moment, or None."""
        return self.snapshots([run_id])[0]

    def snapshots(self, run_ids: Sequence[str]) -> list[Snapshot | None]:
        """Several runs, in order, each as it is at one moment."""
        replies = self._connection.run_all([self._read_call(run_id) for run_id in run_ids])
        return [_snapshot(reply[1]) if reply[0] == "FOUND" else None for reply in replies]

    def _read_call(self, run_id: str) -> Call:
        own = keys.RunKeys.of(run_id)
        return self._connection.call(
            "read_run",
            {
                "run": own.run,
                "steps": own.steps,
                "facts": own.facts,
                "outputs": own.outputs,
                "context": own.context,
                "inbox": own.inbox,
                "clock": self._cell.clock,
                "policy": self._cell.policy,
            },
        )

    def brought(self, run_id: str, wants: Wants) -> Brought:
        """Outputs of children, pinned items, inputs; of the first two, what is asked for and not there is null."""
        own = keys.RunKeys.of(run_id)
        outputs = self._values(own.child_outputs, wants.outputs)
        items = self._values(own.items, [f"{fan}#{block}" for fan, block in wants.items])
        inputs = self._values(own.inputs, wants.inputs)
        return Brought(
            dict(zip(wants.outputs, (text or "null" for text in outputs), strict=True)),
            {block: json.loads(text or "[]") for block, text in zip(wants.items, items, strict=True)},
            {ref: text for ref, text in zip(wants.inputs, inputs, strict=True) if text is not None},
        )

    def _values(self, key: str, fields: Sequence[str]) -> list[str | None]:
        """HMGET, so many at a time that Redis is not kept from others for long."""

        def ask(client: redis.Redis) -> list[str | None]:
            pipeline = client.pipeline(transaction=False)
            for first in range(0, len(fields), _FIELDS):
                pipeline.hmget(key, list(fields[first : first + _FIELDS]))
            return [value for values in pipeline.execute() for value in values]

        return self._connection.read(ask) if fields else []

    def children(self, run_id: str) -> dict[str, StepState]:
        """The children of fan-outs and loops that are over."""
        raw: Any = self._connection.read(lambda client: client.hgetall(keys.RunKeys.of(run_id).children))
        return codec.read_archived(raw)

    def child_outputs(self, run_id: str) -> Mapping[str, Any]:
        raw: Any = self._connection.read(lambda client: client.hgetall(keys.RunKeys.of(run_id).child_outputs))
        return codec.JsonTexts(raw)

    def items(self, run_id: str) -> dict[tuple[str, int], list[Any]]:
        """All pinned items, by (fan-out, block)."""
        raw: Any = self._connection.read(lambda client: client.hgetall(keys.RunKeys.of(run_id).items))
        parts = ((field.rpartition("#"), text) for field, text in raw.items())
        return {(fan, int(block)): json.loads(text) for (fan, _, block), text in parts}

    def step_of(self, run_id: str, step: str) -> StepOf:
        """What a child run has to know of its parent, at one moment."""
        own = keys.RunKeys.of(run_id)

        def ask(client: redis.Redis) -> StepOf:
            pipeline = client.pipeline(transaction=True)
            pipeline.hmget(own.run, ["status", "error", "undo"])
            pipeline.hget(own.steps, step)
            pipeline.hget(own.facts, f"{step}#child_run")
            (status, error, undo), mark, child = pipeline.execute()
            return StepOf(status, error, mark, child, undo == "1")

        return self._connection.read(ask)

    @staticmethod
    def texts(known: Mapping[str, Any], brought: Mapping[str, str]) -> Mapping[str, Any]:
        """Outputs known before, and JSON texts that have been brought since."""
        return ChainMap(codec.JsonTexts(brought), known)  # type: ignore[arg-type]

    def tenant_of(self, run_id: str) -> str | None:
        found = self._connection.read(lambda client: client.hget(keys.RunKeys.of(run_id).run, "tenant"))
        return str(found) if found is not None else None

    def parent_of(self, run_id: str) -> str | None:
        """The run that this one is a part of."""
        found = self._connection.read(lambda client: client.hget(keys.RunKeys.of(run_id).run, "parent_run"))
        return str(found) if found is not None else None

    def fields(self, run_ids: Sequence[str]) -> list[dict[str, str]]:
        """The hashes of several runs, in order; runs that are gone are left out."""

        def ask(client: redis.Redis) -> list[dict[str, str]]:
            pipeline = client.pipeline(transaction=False)
            for run_id in run_ids:
                pipeline.hgetall(keys.RunKeys.of(run_id).run)
            return [found for found in pipeline.execute() if found]

        return self._connection.read(ask)

    def inputs(self, run_id: str) -> dict[str, Any]:
        """Inputs of jobs that had one of their own."""
        raw: Any = self._connection.read(lambda client: client.hgetall(keys.RunKeys.of(run_id).inputs))
        return _inputs(raw)

    def timeline(self, run_id: str, first: int, count: int) -> list[dict[str, Any]]:
        """Events numbered from `first` (counting from 1), at most `count`, in order."""
        if count < 1:
            return []
        key = keys.RunKeys.of(run_id).timeline
        raw: Any = self._connection.read(lambda client: client.lrange(key, first - 1, first + count - 2))
        return [_event(number, text) for number, text in enumerate(raw, first)]

    def timeline_length(self, run_id: str) -> int:
        found: Any = self._connection.read(lambda client: client.llen(keys.RunKeys.of(run_id).timeline))
        return int(found)

    def newest(self, tenant: str, workflow_id: str | None, before: str | None, count: int) -> list[str]:
        """Run ids of a tenant, newest first, after the run `before`. Ids sort by time within a cell."""
        key = self._cell.runs_of(tenant, workflow_id) if workflow_id else self._cell.runs(tenant)
        start = 0
        if before is not None:
            rank: Any = self._connection.read(lambda client: client.zrevrank(key, before))
            if rank is None:
                return []
            start = rank + 1
        found: Any = self._connection.read(lambda client: client.zrevrange(key, start, start + count - 1))
        return list(found)


def _snapshot(parts: list[Any]) -> Snapshot:
    """What `_snapshot.lua` gives."""
    now, epoch, fields = int(parts[0]), int(parts[1]), codec.pairs(parts[2])
    facts = codec.pairs(parts[4])
    steps = codec.read_steps(codec.pairs(parts[3]), facts)
    run = replace(
        codec.read_run(fields, steps, codec.pairs(parts[5])),
        epoch=epoch,
        looked_at=now,
        recorded=codec.read_recorded(facts),
        ahead=codec.read_ahead(facts),
        writes=codec.read_writes(codec.pairs(parts[6])),
        inbox=codec.read_inbox(codec.pairs(parts[7])),
    )
    return Snapshot(run, now, epoch, fields)


def _inputs(texts: Mapping[str, str]) -> dict[str, Any]:
    return {step: codec.from_json(text) for step, text in texts.items()}


def _event(number: int, text: str) -> dict[str, Any]:
    at, _, document = text.partition("|")
    return {"seq": number, "at_ms": int(at), **json.loads(document)}
