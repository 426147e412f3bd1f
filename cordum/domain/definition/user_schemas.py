"""JSON Schemas that a definition carries for its own data."""

from __future__ import annotations

from cordum.domain.definition.places import Place, accepts, expected
from cordum.domain.schemas import faults
from cordum.domain.workflow import JSON


@accepts({"type": ["object", "boolean"]})
def json_schema(place: Place) -> JSON:
    """A schema that can be used; each of its faults is reported at its own place."""
    if not isinstance(place.value, dict | bool):
        raise expected("a JSON Schema, which is a mapping", place)
    found = faults(place.value)
    for fault in found:
        place.below(fault.path).refuse("schema_invalid", fault.message)
    return None if found else place.value
