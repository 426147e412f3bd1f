"""The kinds of steps: for each its own keys and what they become. A new kind is a new entry."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cordum.domain.definition import fields
from cordum.domain.definition.places import Field, Place, Reader, Table
from cordum.domain.definition.problems import shown
from cordum.domain.workflow import Group, Strategy


@dataclass(frozen=True, slots=True)
class Kind:
    """`own`: the keys that only this kind has, or reads in its own way. `assemble` makes attributes of a Step of them.

    `later`: own keys of the language that are not built yet.
    """

    own: Table
    assemble: Callable[[Place, dict[str, Any]], dict[str, Any]]
    later: frozenset[str] = frozenset()


def default_topic(workflow_id: str) -> str:
    """Where a worker's jobs go unless it says so. A topic's segment has no dots, a workflow's id may."""
    return "job.workflow." + re.sub(r"[^A-Za-z0-9_-]", "-", workflow_id)


def _worker(place: Place, own: dict[str, Any]) -> dict[str, Any]:
    return {"topic": own.get("topic") or default_topic(place.reading.workflow_id)}


def _approval(_place: Place, _own: dict[str, Any]) -> dict[str, Any]:
    return {}


# --- parallel: its keys stand on the step or under its `input` ---

_COUNT = 1_000_000_000
_GROUP: Table = {
    "steps": Field("steps", fields.step_ids),
    "strategy": Field("strategy", fields.choice(Strategy)),
    "required": Field("required", fields.integer(-_COUNT, _COUNT)),
    "max_parallel": Field("max_parallel", fields.integer(1, _COUNT)),
}
_GROUP_INPUT: Reader[dict[str, Any]] = fields.record("the input of a parallel step", _GROUP, dict)


def _parallel(place: Place, own: dict[str, Any]) -> dict[str, Any]:
    own = own.pop("input", {}) | own
    given = _where_given(place)
    if "steps" not in given:
        place.refuse_absence("steps")
    _check_required(place, given, own)
    return {"own": Group(**own)} if "steps" in own else {}


def _where_given(place: Place) -> dict[str, Place]:
    """Each key of the group at the place where it stands; a key that stands twice is reported."""
    given: dict[str, Place] = {}
    for holder in (place, place.member("input")):
        for key in _GROUP:
            member = holder.member(key) if holder else None
            if member is None:
                continue
            if key in given:
                member.refuse_key("duplicate_key", f"{shown(key)} is given twice: on the step and under its input")
            given[key] = member
    return given


def _check_required(place: Place, given: dict[str, Place], own: dict[str, Any]) -> None:
    strategy, members, required = own.get("strategy", Strategy.ALL), given.get("steps"), given.get("required")
    if strategy is not Strategy.N_OF_M:
        if required:
            required.refuse("invalid_choice", f'"required" goes with strategy n_of_m, not with {strategy}')
        return
    size = len(members.value) if members and isinstance(members.value, list) else _COUNT
    if required is None:
        place.refuse_absence("required")
    elif "required" in own and not 1 <= own["required"] <= size:
        required.refuse("number_range", f"must be between 1 and the number of steps in the group, {size}")


KINDS: dict[str, Kind] = {
    "worker": Kind({"topic": Field("topic", fields.topic)}, _worker),
    "parallel": Kind({**_GROUP, "input": Field("input", _GROUP_INPUT)}, _parallel),
    "approval": Kind(
        {}, _approval, frozenset({"approvers", "quorum", "expires_sec", "on_expire", "escalate_to", "remind_sec"})
    ),
}
ALIASES = {"job": "worker"}
DEFAULT_KIND = "worker"

LATER_KINDS = frozenset(
    {
        "llm",
        "http",
        "container",
        "script",
        "input",
        "condition",
        "switch",
        "loop",
        "delay",
        "notify",
        "transform",
        "storage",
        "subworkflow",
        "signal",
    }
)
