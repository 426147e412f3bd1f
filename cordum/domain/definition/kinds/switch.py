"""`switch`: one branch of several, by the value of an expression.

The branches are a list of cases, or a mapping from the text of the value to a step.
"""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.language import mapping_of
from cordum.domain.definition.places import (
    Field,
    Place,
    Table,
    accepts,
    expected,
    read_fields,
    refuse_unknown_keys,
    take,
)
from cordum.domain.workflow import JSON, Case, Switch


@accepts({})
def _literal(place: Place) -> tuple[JSON]:
    """Any value as it stands, in a tuple: null is a value, too."""
    return (place.value,)


_VALUE = Field("value", _literal, required=True, nullable=True)
_TARGET = Field("target", fields.step_id, required=True)
_CASE: Table = {
    "when": _VALUE,
    "match": _VALUE,
    "value": _VALUE,
    "next": _TARGET,
    "step": _TARGET,
    "target": _TARGET,
}


def _case(place: Place) -> Case | None:
    if not isinstance(place.value, dict):
        raise expected("a case, which is a mapping with when and next", place)
    refuse_unknown_keys(place, "a case", _CASE)
    found = read_fields(place, _CASE)
    return Case(found["value"][0], found["target"]) if len(found) == 2 else None


@accepts(
    {
        "anyOf": [
            {"type": "array", "items": mapping_of(_CASE)},
            {"type": "object", "additionalProperties": fields.step_id.schema},
        ]
    }
)
def _cases(place: Place) -> tuple[tuple[Case, ...], bool]:
    """The cases, and whether values are compared by their text."""
    if isinstance(place.value, dict):
        targets = {str(member.path[-1]): take(fields.step_id, member) for member in place.members()}
        return tuple(Case(value, target) for value, target in targets.items() if target is not None), True
    if not isinstance(place.value, list):
        raise expected("a list of cases, or a mapping from values to steps", place)
    found = [take(_case, item) for item in place.items()]
    return tuple(case for case in found if case is not None), False


def _build(given: Given) -> dict[str, Any]:
    if not {"condition", "cases"} <= given.own.keys():
        return {}
    cases, by_text = given.own["cases"]
    return {"own": Switch(given.own["condition"], cases, given.own.get("default"), by_text)}


SWITCH = Kind(
    "Takes the first branch whose value equals that of its expression.",
    own={"condition": Field("condition", evaluated.expression, required=True)},
    inner={"cases": Field("cases", _cases, required=True), "default": Field("default", fields.step_id)},
    build=_build,
)
