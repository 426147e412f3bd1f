"""Reading the steps: which ids there are comes first, because any step may name any other."""

from __future__ import annotations

from functools import partial

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds import ALIASES, DEFAULT_KIND, KINDS, Given, Kind
from cordum.domain.definition.places import (
    Field,
    Found,
    Place,
    Refused,
    Table,
    expected,
    gather,
    read_fields,
    refuse_unknown_keys,
    take,
)
from cordum.domain.definition.problems import shown
from cordum.domain.definition.user_schemas import json_schema
from cordum.domain.ids import STEP_ID
from cordum.domain.workflow import UNDO_RETRIES, Compensation, Meta, Priority, RetryPolicy, Step

_RETRY: Table = {
    "max_retries": Field("max_retries", fields.integer(0, 1_000_000)),
    "initial_backoff_sec": Field("initial_backoff_ms", fields.seconds),
    "max_backoff_sec": Field("max_backoff_ms", fields.seconds),
    "multiplier": Field("multiplier", fields.number(1, 1000)),
    "jitter": Field("jitter", fields.number(0, 1)),
}

_COMPENSATE: Table = {
    "topic": Field("topic", fields.topic, required=True),
    "input": Field("input", evaluated.template),
    "retry": Field("retry", fields.record("retry", _RETRY, partial(RetryPolicy, max_retries=UNDO_RETRIES))),
}

_META: Table = {
    "actor_id": Field("actor_id", fields.text),
    "actor_type": Field("actor_type", fields.one_of("human", "service")),
    "capability": Field("capability", fields.text),
    "risk_tags": Field("risk_tags", fields.texts),
    "requires": Field("requires", fields.texts),
    "labels": Field("labels", fields.text_mapping),
}

STEP: Table = {
    "name": Field("name", fields.text),
    "depends_on": Field("depends_on", fields.step_ids),
    "condition": Field("condition", evaluated.expression),
    "for_each": Field("for_each", evaluated.expression),
    "max_parallel": Field("max_parallel", fields.integer(1, 1_000_000_000)),
    "input": Field("input", evaluated.template),
    "input_schema": Field("input_schema", json_schema),
    "output_schema": Field("output_schema", json_schema),
    "output_path": Field("output_path", fields.context_path),
    "result_data_path": Field("result_path", fields.dotted_path),
    "on_error": Field("on_error", fields.step_id),
    "retry": Field("retry", fields.record("retry", _RETRY, RetryPolicy)),
    "timeout_sec": Field("timeout_ms", fields.seconds),
    "queue_timeout_sec": Field("queue_timeout_ms", fields.seconds),
    "priority": Field("priority", fields.choice(Priority)),
    "compensate": Field("compensate", fields.record("compensate", _COMPENSATE, Compensation)),
    "route_labels": Field("route_labels", fields.placement),
    "worker_id": Field("worker_id", fields.worker_id),
    "meta": Field("meta", fields.record("meta", _META, Meta, frozenset({"idempotency_key"}))),
}

LATER = frozenset(
    {
        "input_schema_id",
        "output_schema_id",
        "task",
    }
)

MAX_STEP_ID = 64
_step_id = fields.identifier(STEP_ID, MAX_STEP_ID)


def read_steps(place: Place) -> dict[str, Step]:
    """The steps in the order of the definition, from a mapping or from a list of steps with ids."""
    if not isinstance(place.value, dict | list):
        raise expected("a mapping of steps, or a list of steps with ids", place)
    most = place.reading.limits.max_steps
    if len(place.value) > most:
        raise Refused("limit_exceeded", f"a workflow may have {most} steps, this one has {len(place.value)}")
    places = places_by_id(place)
    place.reading.steps = places
    return {name: _read_step(name, step) for name, step in places.items()}


def places_by_id(place: Place) -> dict[str, Place]:
    """{step id: where the step stands}."""
    found: dict[str, Place] = {}
    for step in (*place.members(), *place.items()):
        name = _id_by_key(step) if isinstance(place.value, dict) else _id_in_list(step)
        if name in found:
            step.refuse("duplicate_key", f"another step has the id {shown(name)}, too")
        elif name is not None:
            found[name] = step
        if not isinstance(step.value, dict):
            take(_no_mapping, step)
    return found


def _id_by_key(step: Place) -> str:
    key = str(step.path[-1])
    inner = step.member("id")
    if not STEP_ID.match(key):
        step.refuse_key("id_format", fields.no_id(key, MAX_STEP_ID))
    if inner is not None and inner.value != key:
        inner.refuse("id_format", f"differs from the key of the step, {shown(key)}")
    return key


def _id_in_list(step: Place) -> str | None:
    inner = step.member("id")
    if inner is None:
        if isinstance(step.value, dict):
            step.refuse_absence("id")
        return None
    take(_step_id, inner)
    return inner.value if isinstance(inner.value, str) else None


def _no_mapping(step: Place) -> None:
    raise expected("a step, which is a mapping", step)


def _read_step(name: str, place: Place) -> Step:
    kind_name = _kind_name(place)
    kind = KINDS.get(kind_name)
    if kind is None:
        return Step(name, kind_name, **read_fields(place, STEP))
    owner = f"a step of type {kind_name}"
    table = common(kind)
    refuse_unknown_keys(place, owner, ["id", "type", *table, *kind.own, *_input_key(kind)], LATER, kind.inner)
    values = read_fields(place, table)
    own = _read_own(place, kind, owner)
    built = kind.build(Given(place, values, *own))
    return Step(name, kind_name, **{**values, **built})


def common(kind: Kind) -> Table:
    """The common keys of a step of this kind: all but those it reads in its own way."""
    taken = {*kind.own, *_input_key(kind)}
    table = {key: entry for key, entry in STEP.items() if key not in taken}
    if kind.input_required:
        table["input"] = table["input"]._replace(required=True)
    return table


def _input_key(kind: Kind) -> tuple[str, ...]:
    return ("input",) if kind.inner else ()


def _read_own(place: Place, kind: Kind, owner: str) -> Found:
    if not kind.inner:
        return gather((place, kind.own))
    inner = place.member("input") or Place({}, (*place.path, "input"), place.reading)
    if take(_mapping, inner) is None:
        return gather((place, kind.own))
    refuse_unknown_keys(inner, f"the input of {owner}", kind.inner)
    return gather((place, kind.own), (inner, kind.inner))


def _mapping(place: Place) -> bool:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    return True


def _kind_name(place: Place) -> str:
    """The kind a step says it is. One that does not exist is reported; its common keys are looked at all the same."""
    given = place.member("type")
    name = take(fields.text, given) if given else None
    if given is None or name is None:
        return DEFAULT_KIND
    name = ALIASES.get(name, name)
    if name not in KINDS:
        hint = given.did_you_mean([*KINDS, *ALIASES])
        given.refuse("unknown_type", f"there is no step type {shown(name)}{hint}")
    return name
