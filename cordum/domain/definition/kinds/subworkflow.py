"""`subworkflow`: a run of another workflow. Its keys stand on the step or under its `input`."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Table
from cordum.domain.ids import WORKFLOW_ID
from cordum.domain.workflow import SubworkflowCall

_OWN: Table = {
    "workflow_id": Field("workflow_id", fields.identifier(WORKFLOW_ID, 128), required=True),
    "version": Field("version", fields.integer(1, 1_000_000_000)),
    "input_mapping": Field("input_mapping", evaluated.template),
    "output_mapping": Field("output_mapping", evaluated.template),
}


def _build(given: Given) -> dict[str, Any]:
    return {"own": SubworkflowCall(**given.own)} if "workflow_id" in given.own else {}


SUBWORKFLOW = Kind("Runs another workflow and waits for its end.", own=_OWN, inner=_OWN, build=_build)
