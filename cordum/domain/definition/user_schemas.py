"""JSON Schemas that a definition carries for its own data."""

from __future__ import annotations

from cordum.domain.definition.places import Place, accepts, expected
from cordum.domain.workflow import JSON


@accepts({"type": ["object", "boolean"]})
def json_schema(place: Place) -> JSON:
    if not isinstance(place.value, dict | bool):
        raise expected("a JSON Schema, which is a mapping", place)
    return place.value
