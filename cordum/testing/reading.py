"""Reading scenario files. Strict: an unknown key or a wrong type is refused with its place.

Owns what a scenario may say. What a workflow or a policy may say is the business of their own readers, which see them
when the scenario is played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cordum.domain.definition import Limits, fields, parse_document
from cordum.domain.definition.places import (
    Field,
    Place,
    Reader,
    Reading,
    Refused,
    Table,
    expected,
    read_fields,
    refuse_unknown_keys,
    take,
)
from cordum.domain.definition.problems import Problems, ReadingStopped, shown
from cordum.domain.workflow import JSON
from cordum.errors import DefinitionInvalid, InvalidInput, Unprocessable
from cordum.testing.scenario import Action, Do, Entry, Scenario, When

MAX_FILE_BYTES = 16 * 1024 * 1024
_COUNT = 1_000_000

_Value = TypeVar("_Value")


def load_scenarios(path: Path) -> list[Scenario]:
    """The scenarios of a file; Unprocessable (`scenario_invalid`) with everything that is wrong in it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    limits = Limits(max_bytes=MAX_FILE_BYTES)
    try:
        document = parse_document(data, "yaml", limits=limits)
    except DefinitionInvalid as error:
        raise Unprocessable(f"{path}: {error.problems[0]}", code="scenario_invalid", problems=error.problems) from None
    problems = Problems()
    found: list[Scenario] = []
    with suppress(ReadingStopped):
        found = _scenarios(Place(document.value, (), Reading(document, problems, limits)))
    if problems:
        wrong = problems.in_order_of_place()
        raise Unprocessable(f"{path}: {wrong[0]}", code="scenario_invalid", problems=wrong)
    return found


# -- shapes ------------------------------------------------------------------------------------------------------


def _mapping(place: Place) -> dict[str, JSON]:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    return place.value


def _items(place: Place) -> list[Place]:
    if not isinstance(place.value, list):
        raise expected("a list", place)
    return list(place.items())


def _each(reader: Reader[_Value]) -> Reader[list[_Value]]:
    """A list, every item read by `reader`."""
    return lambda place: [value for item in _items(place) if (value := take(reader, item)) is not None]


def _by_step(reader: Reader[_Value]) -> Reader[dict[str, _Value]]:
    """A mapping from step ids, every value read by `reader`."""

    def read(place: Place) -> dict[str, _Value]:
        _mapping(place)
        found = {str(member.path[-1]): take(reader, member) for member in place.members()}
        return {step: value for step, value in found.items() if value is not None}

    return read


def _truth(place: Place) -> bool:
    if not isinstance(place.value, bool):
        raise expected("true or false", place)
    return place.value


def _pair(place: Place) -> list[str]:
    found = _texts(place)
    if len(found) != 2:
        raise expected("a list of two steps", place)
    return found


_count = fields.integer(0, _COUNT)
_number = fields.number(0, 1e12)
_counts = _by_step(_count)
_text_mapping = _by_step(fields.text)
_texts = _each(fields.text)
_pairs = _each(_pair)
_mappings = _each(_mapping)
# What a person may give as any JSON value, null too: taken as it stands.
_ANY = Field("", lambda place: place.value)


def _read(place: Place, owner: str, table: Table) -> dict[str, Any]:
    """Like every other mapping of the language, but a key of any value may hold null."""
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    refuse_unknown_keys(place, owner, table.keys())
    values = read_fields(place, {key: entry for key, entry in table.items() if entry.reader is not _ANY.reader})
    for key, entry in table.items():
        if entry.reader is _ANY.reader and (member := place.member(key)) is not None:
            values[entry.attribute] = member.value
    return values


def _any(name: str) -> Field:
    return Field(name, _ANY.reader)


# -- workers -----------------------------------------------------------------------------------------------------

_ENTRY: Table = {
    "do": Field("do", fields.choice(Do), required=True),
    "output": _any("output"),
    "error": Field("error", fields.text),
}


def _entry(place: Place) -> Entry:
    values = _read(place, "an entry of a worker", _ENTRY)
    return Entry(**values) if "do" in values else Entry()


def _workers(place: Place) -> dict[str, tuple[Entry, ...]]:
    return _by_step(_entries)(place)


def _entries(place: Place) -> tuple[Entry, ...]:
    listed = [take(_entry, item) for item in _items(place)]
    if not listed:
        raise Refused("number_range", "at least one entry is needed")
    return tuple(entry for entry in listed if entry is not None)


# -- actions -----------------------------------------------------------------------------------------------------


def _after(place: Place) -> int:
    return round(_number(place) * 1000)


_WHEN: Table = {
    "run": Field("run", fields.text),
    "step": Field("step", fields.text),
    "child_step": Field("child_step", fields.text),
    "status": Field("status", fields.text),
    "attempts": Field("attempts", _count),
    "after_sec": Field("after_ms", _after),
}


def _when(place: Place) -> When:
    when = When(**_read(place, "when", _WHEN))
    if (when.status or when.attempts is not None) and not (when.step or when.child_step):
        raise Refused("missing_field", '"status" and "attempts" need a "step"')
    return when


_REASON = {"reason": Field("reason", fields.text)}
_STEP = {"step": Field("step", fields.text, required=True)}
_OPTIONS: Mapping[str, Table] = {
    "start": {
        "workflow_id": Field("workflow_id", fields.text),
        "input": Field("input", _mapping),
        "idempotency_key": Field("idempotency_key", fields.text),
        "tenant": Field("tenant", fields.text),
        "concurrent": Field("concurrent", fields.integer(1, 1000)),
        "expect_same_run": Field("expect_same_run", _truth),
    },
    "approve": _STEP | _REASON,
    "reject": _STEP | _REASON,
    "cancel_run": {**_REASON, "compensate": Field("compensate", _truth)},
    "pause": _REASON,
    "resume": _REASON,
    "signal": {
        "name": Field("name", fields.text, required=True),
        "correlation": _any("correlation"),
        "payload": _any("payload"),
    },
    "rerun": {"from_step": Field("from_step", fields.text, required=True)} | _REASON,
    "retry": _REASON,
    "skip": _STEP | _REASON,
    "complete": _STEP | _REASON | {"output": _any("output")},
    "advance": {"seconds": Field("seconds", _number, required=True)},
    "deliver_result": {
        "job": Field("job", fields.text, required=True),
        "result": Field("result", fields.one_of("succeed", "retry", "fatal"), required=True),
        "output": _any("output"),
        "error": Field("error", fields.text),
    },
}
_COMMON: Table = {
    "when": Field("when", _when),
    "as": Field("person", fields.text),
    "expect_status": Field("expect_status", fields.free_label),
    "expect_error": Field("expect_error", fields.free_label),
}
_DO: Table = {"do": Field("do", fields.one_of(*_OPTIONS), required=True)}


def _action(place: Place) -> Action | None:
    if not isinstance(place.value, dict):
        raise expected("a mapping", place)
    do = read_fields(place, _DO).get("do")
    if do is None:
        return None
    values = _read(place, f"the action {shown(do)}", {**_DO, **_COMMON, **_OPTIONS[do]})
    common = {entry.attribute: values.pop(entry.attribute, None) for entry in _COMMON.values()}
    common["when"] = common["when"] or When()
    values.pop("do")
    return Action(do, options=values, **common)


def _actions(place: Place) -> tuple[Action, ...]:
    found = [take(_action, item) for item in _items(place)]
    return tuple(action for action in found if action is not None)


# -- expectations ------------------------------------------------------------------------------------------------

_SHAPES: Mapping[str, Callable[[Place], Any]] = {
    # saving the definition
    "create": fields.one_of("rejected"),
    "code": fields.text,
    # the run and its steps
    "run": fields.text,
    "generation": _count,
    "steps": _text_mapping,
    "outputs": _mapping,
    "outputs_exact": _mapping,
    "output": _mapping,
    "context": _mapping,
    "step_errors": _text_mapping,
    "attempts": _counts,
    # jobs
    "dispatches": _counts,
    "total_dispatches": _count,
    "worker_calls": _counts,
    "worker_input": _mapping,
    "order": _texts,
    "before": _pairs,
    "max_in_flight": _count,
    "cancels": _texts,
    "dead_letters": _mappings,
    # other runs
    "compensation": _text_mapping,
    "child_runs": _count,
    "child_run": fields.text,
    "child_input": _mapping,
    "child_input_exact": _mapping,
    "runs_created": _count,
    # virtual time
    "backoff_sec": _mapping,
    "min_elapsed_sec": _number,
    "max_elapsed_sec": _number,
}
_EXPECT: Table = {name: Field(name, shape) for name, shape in _SHAPES.items()}
_DEAD_LETTER = frozenset({"step", "attempts", "reason_code", "rescued", "status"})


def _expect(place: Place) -> dict[str, Any]:
    found = _read(place, "expect", {**_EXPECT, "new_run": Field("new_run", _new_run)})
    if ("create" in found) != ("code" in found) or ("create" in found and len(found) != 2):
        raise Refused("missing_field", '"create" and "code" go together, and nothing else with them')
    letters = place.member("dead_letters")
    for letter in letters.items() if letters else ():
        refuse_unknown_keys(letter, "a dead letter", _DEAD_LETTER)
        if letter.member("step") is None:
            letter.refuse_absence("step")
    return found


def _new_run(place: Place) -> Any:
    if place.value == "none":
        return "none"
    return _read(
        place,
        "new_run",
        {**_EXPECT, "input": Field("input", _mapping), "rerun_of": Field("rerun_of", fields.one_of("original"))},
    )


# -- the whole ---------------------------------------------------------------------------------------------------

_SCENARIO: Table = {
    "name": Field("name", fields.text, required=True),
    "group": Field("group", fields.text),
    "workflow": Field("workflow", _mapping, required=True),
    "workflows": Field("workflows", _mappings),
    "input": Field("input", _mapping),
    "policy": Field("policy", _mapping),
    "workers": Field("workers", _workers),
    "actions": Field("actions", _actions),
    "expect": Field("expect", _expect, required=True),
}


def _scenario(place: Place) -> Scenario | None:
    values = _read(place, "a scenario", _SCENARIO)
    return Scenario(**values) if {"name", "workflow", "expect"} <= values.keys() else None


def _scenarios(root: Place) -> list[Scenario]:
    if not isinstance(root.value, list):
        root.refuse("type", "a scenario file is a list of scenarios")
        return []
    found: dict[str, Scenario] = {}
    for item in root.items():
        scenario = take(_scenario, item)
        if scenario is not None and scenario.name in found:
            item.refuse("duplicate_key", f"another scenario has the name {shown(scenario.name)}, too")
        elif scenario is not None:
            found[scenario.name] = scenario
    return list(found.values())
