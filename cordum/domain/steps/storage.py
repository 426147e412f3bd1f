"""The run's context as a place to keep things: read, written and deleted by dotted key (CONTRACT.md 3.13, Outputs)."""

from __future__ import annotations

from cordum.domain.context import MISSING, look_up, path_of
from cordum.domain.instances import Instance
from cordum.domain.steps.ending import fail, finish
from cordum.domain.turn import Turn
from cordum.domain.workflow import JSON, Storage, StorageOperation
from cordum.errors import ExpressionError


def ready(turn: Turn, instance: Instance) -> None:
    storage = instance.step.own
    assert isinstance(storage, Storage)
    try:
        key = _key(storage.key.render(turn.scope(instance)))
        value = storage.value.render(turn.scope(instance)) if storage.value is not None else None
    except ExpressionError as error:
        fail(turn, instance, "expression_error", error.detail)
        return
    output: dict[str, JSON] = {"operation": storage.operation.value, "key": key}
    match storage.operation:
        case StorageOperation.WRITE:
            turn.write(instance.step.id, path_of(key), value)
            output["value"] = value
        case StorageOperation.DELETE:
            turn.write(instance.step.id, path_of(key), deleted=True)
        case StorageOperation.READ:
            found = look_up(turn.context, path_of(key))
            if found is MISSING:
                fail(turn, instance, "fatal", f"the context holds nothing under {key!r}")
                return
            output["value"] = found
    finish(turn, instance, output)


def _key(rendered: JSON) -> str:
    key = rendered if isinstance(rendered, str) else ""
    if not key or not all(path_of(key)):
        raise ExpressionError("key must be names joined by dots")
    return key
