"""`notify`: emits an event. Its text stands under `input`; only words of choice are judged before it is rendered."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Place, Table, accepts
from cordum.domain.expressions import ExpressionSyntaxError, Template
from cordum.domain.workflow import JSON, Notify, NotifyChannel

_level = fields.one_of("INFO", "WARN", "ERROR", "CRITICAL")
_EXPRESSION: JSON = {"type": "string", "pattern": r"\$\{"}


@accepts({"anyOf": [_level.schema, _EXPRESSION]})
def _level_or_template(place: Place) -> Template | None:
    """A level, unless it is known only when the step runs."""
    compiled = evaluated.text_template(place)
    if compiled and not compiled.dynamic:
        _level(place)
    return compiled


_CHANNEL = Field("channel", fields.choice(NotifyChannel))
_INNER: Table = {
    "level": Field("level", _level_or_template),
    "message": Field("message", evaluated.text_template),
    "code": Field("code", evaluated.any_template),
    "component": Field("component", evaluated.text_template),
    "channel": _CHANNEL,
}


def _build(given: Given) -> dict[str, Any]:
    built: dict[str, Any] = {"own": Notify(given.own["channel"]) if "channel" in given.own else Notify()}
    message = given.step.member("input")
    if message and isinstance(message.value, dict):
        with suppress(ExpressionSyntaxError):  # it has been reported where it stands
            built["input"] = Template.compile({key: value for key, value in message.value.items() if key != "channel"})
    return built


NOTIFY = Kind("Emits an event of the workflow; never blocks.", own={"channel": _CHANNEL}, inner=_INNER, build=_build)
