"""`delay`: a durable timer, of so many seconds or until a moment."""

from __future__ import annotations

from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Place, Refused, Table, accepts
from cordum.domain.definition.problems import shown
from cordum.domain.expressions import Template
from cordum.domain.times import milliseconds
from cordum.domain.workflow import JSON, Delay

_EXPRESSION: JSON = {"type": "string", "pattern": r"\$\{"}


@accepts({"anyOf": [fields.seconds.schema, _EXPRESSION]})
def _seconds(place: Place) -> Template | None:
    compiled = evaluated.any_template(place)
    if compiled and not compiled.dynamic:
        fields.seconds(place)
    return compiled


@accepts({"type": "string"})
def _moment(place: Place) -> Template | None:
    compiled = evaluated.text_template(place)
    if compiled and not compiled.dynamic and milliseconds(fields.text(place)) is None:
        rule = "write it like 2026-01-31T08:00:00Z, or as an expression"
        raise Refused("time_format", f"{shown(fields.text(place))} is no RFC 3339 time: {rule}")
    return compiled


_OWN: Table = {"delay_sec": Field("seconds", _seconds), "delay_until": Field("until", _moment)}


def _build(given: Given) -> dict[str, Any]:
    if len(given.places) > 1:
        given.places["until"].refuse_key("invalid_choice", 'a delay has "delay_sec" or "delay_until", not both')
    elif not given.places:
        given.step.refuse_absence("delay_sec")
    return {"own": Delay(**given.own)}


DELAY = Kind("Waits for a time.", own=_OWN, build=_build)
