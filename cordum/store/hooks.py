"""Hooks: their records, by id and by tenant. A secret is in none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordum.domain.expressions import Template
from cordum.domain.hooks import Hook, SendSignal, StartRun
from cordum.store import codec, keys
from cordum.store.connection import Connection


@dataclass(frozen=True, slots=True)
class HookNow:
    """Redis' time in milliseconds, and the hook if there is one."""

    now: int
    hook: Hook | None


class Hooks:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def read(self, hook_id: str) -> HookNow:
        reply = self._connection.run("read_record", {"record": self._cell.hook(hook_id), "clock": self._cell.clock})
        fields = codec.pairs(reply[2])
        return HookNow(int(reply[1]), _hook(fields) if fields else None)

    def save(self, hook: Hook) -> None:
        """Keep a new hook; ids are made by chance and taken once."""
        fields = _fields(hook)

        def write(client: Any) -> None:
            pipeline = client.pipeline(transaction=True)
            pipeline.hset(self._cell.hook(hook.id), mapping=fields)
            pipeline.sadd(self._cell.hooks(hook.tenant), hook.id)
            pipeline.execute()

        self._connection.read(write)

    def delete(self, tenant: str, hook_id: str) -> None:
        def write(client: Any) -> None:
            pipeline = client.pipeline(transaction=True)
            pipeline.delete(self._cell.hook(hook_id))
            pipeline.srem(self._cell.hooks(tenant), hook_id)
            pipeline.execute()

        self._connection.read(write)

    def ids(self, tenant: str) -> list[str]:
        found: Any = self._connection.read(lambda client: client.smembers(self._cell.hooks(tenant)))
        return sorted(found)

    def master(self, proposed: str) -> str:
        """What secrets are derived from where no setting says so: the first that anybody proposed."""
        name = self._cell.hook_master
        self._connection.read(lambda client: client.set(name, proposed, nx=True))
        return str(self._connection.read(lambda client: client.get(name)))


def action_document(action: StartRun | SendSignal) -> dict[str, Any]:
    """The action as people write it."""
    if isinstance(action, StartRun):
        start: dict[str, Any] = {"workflow_id": action.workflow_id, "input": action.input.source}
        return {"start": start | ({} if action.version is None else {"version": action.version})}
    return {"signal": {"name": action.name, "correlation": action.correlation.source, "payload": action.payload.source}}


def read_action(document: Mapping[str, Any]) -> StartRun | SendSignal:
    """Raises ExpressionSyntaxError for a template that cannot be read."""
    if "start" in document:
        start = document["start"]
        return StartRun(start["workflow_id"], Template.compile(start.get("input", "${body}")), start.get("version"))
    signal = document["signal"]
    correlation, payload = signal["correlation"], signal.get("payload", "${body}")
    return SendSignal(signal["name"], Template.compile(correlation), Template.compile(payload))


def _fields(hook: Hook) -> dict[str, str]:
    return {
        "id": hook.id,
        "tenant": hook.tenant,
        "person": hook.person,
        "nonce": hook.nonce,
        "action": codec.to_json(action_document(hook.action)),
        "description": hook.description,
        "created_at": str(hook.created_at),
    }


def _hook(fields: Mapping[str, str]) -> Hook:
    return Hook(
        id=fields["id"],
        tenant=fields["tenant"],
        person=fields["person"],
        nonce=fields["nonce"],
        action=read_action(json.loads(fields["action"])),
        description=fields["description"],
        created_at=int(fields["created_at"]),
    )
