"""`loop`: one step again and again. Its keys stand on the step or under its `input`; `condition` is `while`."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Table
from cordum.domain.workflow import Loop

MAX_ITERATIONS = 1_000_000

_OWN: Table = {
    "body_step": Field("body", fields.step_id, required=True),
    "max_iterations": Field("max_iterations", fields.integer(1, MAX_ITERATIONS)),
    "condition": Field("while_", evaluated.expression),
    "while": Field("while_", evaluated.expression),
    "until": Field("until", evaluated.expression),
}


def _build(given: Given) -> dict[str, Any]:
    return {"own": Loop(**given.own)} if "body" in given.own else {}


LOOP = Kind("Repeats a step while its condition holds, or until another does.", own=_OWN, inner=_OWN, build=_build)
