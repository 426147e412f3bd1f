"""`parallel`: the named steps as a group. Its keys stand on the step or under its `input`."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Table
from cordum.domain.workflow import Group, Strategy

_COUNT = 1_000_000_000

_OWN: Table = {
    "steps": Field("steps", fields.step_ids, required=True),
    "strategy": Field("strategy", fields.choice(Strategy)),
    "required": Field("required", fields.integer(-_COUNT, _COUNT)),
    "max_parallel": Field("max_parallel", fields.integer(1, _COUNT)),
}


def _build(given: Given) -> dict[str, Any]:
    _check_required(given)
    if "steps" not in given.own:
        return {}
    # With for_each the number bounds both: the groups at work, and in each of them the members.
    bound = given.own.get("max_parallel") if "for_each" in given.common else None
    return {"own": Group(**given.own), "max_parallel": bound}


def _check_required(given: Given) -> None:
    own, required = given.own, given.places.get("required")
    strategy = own.get("strategy", Strategy.ALL)
    if strategy is not Strategy.N_OF_M:
        if required:
            required.refuse("invalid_choice", f'"required" goes with strategy n_of_m, not with {strategy}')
        return
    members = given.places["steps"].value if "steps" in given.places else None
    size = len({str(name) for name in members}) if isinstance(members, list) else _COUNT
    if required is None:
        given.step.refuse_absence("required")
    elif "required" in own and not 1 <= own["required"] <= size:
        required.refuse("number_range", f"must be between 1 and the number of steps in the group, {size}")


PARALLEL = Kind("Runs the named steps as a group.", own=_OWN, inner=_OWN, build=_build)
