"""The JSON Schema of the workflow language, for editors; made of the tables that the reader reads by.

It says which keys there are and what shape their values have. What holds between steps (ids that exist, cycles), and
what is inside expressions and users' schemas, is for the reader alone.
"""

from __future__ import annotations

from cordum.domain.definition import fields
from cordum.domain.definition.build import IGNORED, WORKFLOW
from cordum.domain.definition.kinds import ALIASES, DEFAULT_KIND, KINDS, Kind
from cordum.domain.definition.language import mapping_of, one_of_places, properties_of
from cordum.domain.definition.steps import common
from cordum.domain.ids import STEP_ID
from cordum.domain.schemas.form import DIALECT
from cordum.domain.workflow import JSON


def language_schema() -> dict[str, JSON]:
    """The schema, as 2020-12."""
    properties = properties_of({key: entry for key, entry in WORKFLOW.items() if key != "steps"})
    definitions: dict[str, JSON] = {f"step_{name}": _step(name, kind) for name, kind in KINDS.items()}
    definitions["step"] = _any_step()
    return {
        "$schema": DIALECT,
        "$id": "urn:cordum:workflow",
        "title": "A cordum workflow",
        "type": "object",
        "required": ["steps"],
        "properties": {**properties, "steps": _steps(), **dict.fromkeys(sorted(IGNORED), True)},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _steps() -> JSON:
    step: JSON = {"$ref": "#/$defs/step"}
    return {
        "description": "The steps by their ids, or a list of steps that carry ids.",
        "anyOf": [
            {"type": "object", "propertyNames": {"pattern": fields.ecma(STEP_ID)}, "additionalProperties": step},
            {"type": "array", "items": {"allOf": [step, {"required": ["id"]}]}},
        ],
    }


def _any_step() -> dict[str, JSON]:
    """A step is what its type says, a worker if it says nothing."""
    names: list[JSON] = [*KINDS, *ALIASES]
    rules: list[JSON] = [
        {"if": {"required": ["type"], "properties": {"type": {"const": name}}}, "then": _reference(name)}
        for name in (*KINDS, *ALIASES)
    ]
    rules.append({"if": {"not": {"required": ["type"]}}, "then": _reference(DEFAULT_KIND)})
    return {"type": "object", "properties": {"type": {"enum": names}}, "allOf": rules}


def _reference(name: str) -> JSON:
    return {"$ref": f"#/$defs/step_{ALIASES.get(name, name)}"}


def _step(name: str, kind: Kind) -> JSON:
    table = {**common(kind), **kind.own}
    properties: dict[str, JSON] = {"id": {"type": "string"}, "type": {"type": "string"}, **properties_of(table)}
    if kind.inner:
        inside = mapping_of(kind.inner)
        inside.pop("allOf", None)  # what must be given may stand outside
        properties["input"] = inside
    schema: dict[str, JSON] = {
        "description": kind.does,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    needed = one_of_places(table, kind.inner)
    return {**schema, "allOf": needed} if needed else schema
