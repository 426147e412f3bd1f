"""Requests are read here and nowhere else: every refusal has a place, a code and a mend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import request
from marshmallow import ValidationError, fields

from cordum.api.media import json_body
from cordum.api.schemas.bodies import ReasonBody
from cordum.api.schemas.fields import UNKNOWN, Strict
from cordum.api.schemas.queries import ActionQuery
from cordum.domain.definition.problems import Problems, ReadingStopped, shown
from cordum.domain.times import milliseconds
from cordum.domain.workflow import JSON
from cordum.errors import InvalidInput, Problem, Unprocessable

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}\Z")


def query(schema: type[Strict]) -> dict[str, Any]:
    """The parameters of the request; each once, unless its field is a list."""
    known = schema()
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        if isinstance(known.fields.get(name), fields.List):
            given[name] = values
        elif len(values) == 1:
            given[name] = values[0]
        else:
            problem = Problem(f"/query/{_name(name)}", "duplicate_key", "given more than once")
            raise Unprocessable("the query is not usable", problems=[problem])
    return _loaded(known, given, "/query", "the query is not usable")


def body(schema: type[Strict]) -> dict[str, Any]:
    """The JSON body; an empty one is an empty object."""
    return _loaded(schema(), json_body(when_empty={}), "", "the body is not usable")


def reasoned(schema: type[Strict] = ReasonBody) -> tuple[bool, str]:
    """Whether an action is only to be told (`?dry_run=true`), and its reason."""
    return query(ActionQuery)["dry_run"], body(schema)["reason"]


def input_body() -> dict[str, JSON]:
    """The input of a run: any JSON object, also an empty one, but it has to be there."""
    value = json_body()
    if not isinstance(value, dict):
        problem = Problem("", "type", "must be an object; send {} for a run without input")
        raise Unprocessable("the input of a run is a JSON object", problems=[problem])
    return value


def same_key(of_header: str | None, of_body: str | None) -> str | None:
    """The idempotency key of a request that may have it in two places."""
    if of_body is not None and not _IDEMPOTENCY_KEY.match(of_body):
        problem = Problem("/idempotency_key", "id_format", "must be 1 to 255 visible ASCII characters")
        raise Unprocessable("the idempotency_key is not usable", problems=[problem])
    if of_header and of_body and of_header != of_body:
        problem = Problem("/idempotency_key", "invalid_choice", "must be that of the header, or be left out")
        raise Unprocessable("two idempotency keys are given", problems=[problem])
    return of_header or of_body


def idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.match(key):
        problem = Problem("/headers/Idempotency-Key", "id_format", "must be 1 to 255 visible ASCII characters")
        raise InvalidInput("the Idempotency-Key is not usable", code="header_invalid", problems=[problem])
    return key


def moment(text: str, name: str) -> int:
    """A time that the body has under `name`, in milliseconds since the epoch."""
    found = milliseconds(text)
    if found is None:
        problem = Problem(f"/{name}", "time_format", "must be an RFC 3339 time such as 2026-01-31T08:00:00Z")
        raise Unprocessable("the body is not usable", problems=[problem])
    return found


def labels(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found = dict(pairs)
    if len(found) != len(pairs):
        problem = Problem("/query/label", "duplicate_key", "the same label is given twice")
        raise Unprocessable("the labels are not usable", problems=[problem])
    return found


def _loaded(schema: Strict, value: Any, base: str, refusal: str) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        problems = tuple(_problems(schema, error.messages_dict, base))
        raise Unprocessable(f"{refusal}: {problems[0]}", problems=problems) from None
    return loaded


def _problems(schema: Strict, messages: Mapping[Any, Any], base: str) -> Iterator[Problem]:
    found = Problems()
    try:
        for path, message in _flat(messages, ()):
            code, _, sentence = message.partition(": ")
            if message == UNKNOWN:
                sentence = f"unknown{found.did_you_mean(str(path[-1]), schema.fields)}"
            found.add(Problem(base + "".join(f"/{_name(part)}" for part in path), code, sentence))
    except ReadingStopped:
        pass
    return iter(found)


def _flat(messages: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """marshmallow nests messages as it nests data; `_schema` is the object itself."""
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            yield from _flat(below, path if key == "_schema" else (*path, key))
    else:
        yield from ((path, str(message)) for message in messages)


def _name(part: object) -> str:
    """A key as a segment of a JSON pointer, cut and cleaned the way messages are."""
    return shown(str(part))[1:-1].replace("~", "~0").replace("/", "~1")
