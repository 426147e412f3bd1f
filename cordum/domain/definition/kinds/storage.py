"""`storage`: reads, writes or deletes one value of the run's context."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Place, Table, accepts
from cordum.domain.expressions import Template
from cordum.domain.workflow import Storage, StorageOperation


@accepts({"type": "string"})
def _key(place: Place) -> Template | None:
    compiled = evaluated.text_template(place)
    if compiled and not compiled.dynamic:
        fields.dotted_path(place)
    return compiled


_INNER: Table = {
    "operation": Field("operation", fields.choice(StorageOperation), required=True),
    "key": Field("key", _key, required=True),
    "value": Field("value", evaluated.any_template, nullable=True),
}


def _build(given: Given) -> dict[str, Any]:
    operation, value = given.own.get("operation"), given.places.get("value")
    if operation is StorageOperation.WRITE and value is None:
        _input(given).refuse_absence("value")
    elif operation is not None and operation is not StorageOperation.WRITE and value is not None:
        value.refuse_key("invalid_choice", f'"value" goes with operation write, not with {operation}')
    return {"own": Storage(**given.own)} if {"operation", "key"} <= given.own.keys() else {}


def _input(given: Given) -> Place:
    return given.step.member("input") or given.step


STORAGE = Kind("Reads, writes or deletes a value of the run's context.", inner=_INNER, build=_build)
