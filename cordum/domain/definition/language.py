"""JSON Schemas of mappings, made from the very tables that read them: the two cannot drift apart."""

from __future__ import annotations

from collections.abc import Mapping

from cordum.domain.definition.places import Described, Field, Table
from cordum.domain.workflow import JSON


def mapping_of(table: Table) -> dict[str, JSON]:
    """The schema of a mapping that `table` reads and that may hold nothing else."""
    schema: dict[str, JSON] = {"type": "object", "properties": properties_of(table), "additionalProperties": False}
    if needed := required_of(table):
        schema["allOf"] = needed
    return schema


def one_of_places(table: Table, inner: Table) -> list[JSON]:
    """The conditions of a step whose required keys may stand on it, or under its `input`."""
    outside, inside = required_keys(table), required_keys(inner)
    found: list[JSON] = []
    for attribute in dict.fromkeys((*outside, *inside)):
        places: list[JSON] = [{"required": [key]} for key in outside.get(attribute, ())]
        places += [
            {"required": ["input"], "properties": {"input": {"required": [key]}}} for key in inside.get(attribute, ())
        ]
        found.append({"anyOf": places})
    return found


def properties_of(table: Table) -> dict[str, JSON]:
    return {key: _schema(key, entry) for key, entry in table.items()}


def required_of(table: Table) -> list[JSON]:
    """One condition for each attribute that must be given, by any of its names."""
    return [{"anyOf": [{"required": [key]} for key in keys]} for keys in required_keys(table).values()]


def required_keys(table: Table) -> Mapping[str, list[str]]:
    """{attribute that must be given: the keys that give it}."""
    names: dict[str, list[str]] = {}
    for key, entry in table.items():
        if entry.required:
            names.setdefault(entry.attribute, []).append(key)
    return names


def _schema(key: str, entry: Field) -> JSON:
    if not isinstance(entry.reader, Described):
        raise TypeError(f"the reader of {key} does not say what it accepts")
    return entry.reader.schema
