"""`signal`: waits for an event from outside. Here `name` is the signal's name."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Table
from cordum.domain.ids import WORKFLOW_ID
from cordum.domain.workflow import SignalWait

_OWN: Table = {
    "name": Field("name", fields.identifier(WORKFLOW_ID, 128), required=True),
    "correlation": Field("correlation", evaluated.text_template),
}


def _build(given: Given) -> dict[str, Any]:
    return {"own": SignalWait(**given.own)} if "name" in given.own else {}


SIGNAL = Kind("Waits for an event from outside.", own=_OWN, build=_build)
