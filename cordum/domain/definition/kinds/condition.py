"""`condition`: the truth of its expression is the output; here `condition` is no gate."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field
from cordum.domain.workflow import Gauge


def _build(given: Given) -> dict[str, Any]:
    return {"own": Gauge(**given.own)} if given.own else {}


CONDITION = Kind(
    "Its output is the truth of its expression.",
    own={"condition": Field("condition", evaluated.expression, required=True)},
    build=_build,
)
