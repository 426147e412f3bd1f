"""Hooks: their records, by id and by tenant. A secret is in none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordum.domain.audit import Act
from cordum.domain.expressions import Template
from cordum.domain.hooks import Hook, SendSignal, StartRun
from cordum.store import codec, keys
from cordum.store.audit import audit_keys
from cordum.store.commit import event_text
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
        what = hook.action.workflow_id if isinstance(hook.action, StartRun) else hook.action.name
        does = {"does": "start" if isinstance(hook.action, StartRun) else "signal", "of": what}
        told = Act(hook.person, hook.tenant).event("hook.created", hook=hook.id, **does)
        self._connection.run(
            "save_hook",
            self._keys(hook.id, hook.tenant),
            more_args=[part for pair in _fields(hook).items() for part in pair],
            id=hook.id,
            tenant=hook.tenant,
            event=event_text("", told),
        )

    def rotate(self, hook_id: str, nonce: str, act: Act) -> bool:
        """Have its secret derived with another nonce; False when there is no such hook."""
        names = self._keys(hook_id, act.tenant)
        del names["hooks"]
        told = event_text("", act.event("hook.rotated", hook=hook_id))
        reply = self._connection.run("rotate_hook", names, id=hook_id, nonce=nonce, tenant=act.tenant, event=told)
        return bool(reply[0] != "NOT_FOUND")

    def delete(self, hook_id: str, act: Act) -> bool:
        """False when there is none; a second deletion after a lost reply says so, too."""
        told = event_text("", act.event("hook.deleted", hook=hook_id))
        names = self._keys(hook_id, act.tenant)
        reply = self._connection.run("delete_hook", names, id=hook_id, tenant=act.tenant, event=told)
        return bool(reply[0] == "DELETED")

    def _keys(self, hook_id: str, tenant: str) -> dict[str, str]:
        return {
            "hook": self._cell.hook(hook_id),
            "hooks": self._cell.hooks(tenant),
            **audit_keys(self._cell, tenant),
        }

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
