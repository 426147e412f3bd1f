"""`approval`: who may decide, how many have to, and what happens when nobody does."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Table
from cordum.domain.workflow import Gate, OnExpire

_ROLE = "role:"

_OWN: Table = {
    "approvers": Field("approvers", fields.names),
    "quorum": Field("quorum", fields.integer(1, 1000)),
    "expires_sec": Field("expires_ms", fields.seconds),
    "on_expire": Field("on_expire", fields.choice(OnExpire)),
    "escalate_to": Field("escalate_to", fields.names),
    "remind_sec": Field("remind_ms", fields.seconds),
}


def _build(given: Given) -> dict[str, Any]:
    gate = Gate(**given.own)
    if gate.on_expire is OnExpire.ESCALATE and not gate.escalate_to and "escalate_to" not in given.places:
        given.step.refuse_absence("escalate_to")
    people = len(set(gate.approvers))
    by_name = people and not any(one.startswith(_ROLE) for one in gate.approvers)
    if by_name and gate.quorum > people:
        given.places["quorum"].refuse("number_range", f"only {people} may decide: {gate.quorum} never will")
    return {"own": gate}


APPROVAL = Kind("Waits for people to decide.", own=_OWN, build=_build)
