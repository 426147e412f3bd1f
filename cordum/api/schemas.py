"""What requests may say: the only parser of bodies and query parameters. Every refusal has a place, a code and a mend.

Messages are written `code: sentence`, because marshmallow carries nothing but text from a field to its error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from flask import request
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from cordum.api.media import json_body
from cordum.domain.api_keys import PERSON
from cordum.domain.definition.problems import Problems, ReadingStopped, shown
from cordum.domain.ids import GROUP_ID, MAX_TOPIC, RUN_ID, STEP_ID, TENANT, WORKFLOW_ID
from cordum.domain.roles import Role
from cordum.domain.schedules import SCHEDULE_ID, CatchUp, Overlap
from cordum.domain.states import RunStatus, StepStatus
from cordum.domain.times import milliseconds
from cordum.domain.workflow import JSON
from cordum.errors import InvalidInput, Problem, Unprocessable

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_REASON_CHARS = 2_000
MAX_CURSOR_CHARS = 1_024
MAX_RATE = 100
MAX_KEY_AGE_SEC = 10 * 365 * 24 * 3600
MAX_LABELS = 32
MAX_LABEL_CHARS = 256

_LABEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")
_WHOLE = re.compile(r"-?[0-9]{1,18}\Z")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}\Z")
_UNKNOWN = "unknown_field: unknown"

SAID: dict[str, str | list[Any] | dict[Any, Any]] = {
    "required": "missing_field: required",
    "null": "type: must not be null",
    "type": "type: wrong type",
    "invalid": "type: must be text",
    "invalid_utf8": "type: must be text",
    "validator_failed": "type: not allowed",
}

SCHEMA_SAID = {"unknown": _UNKNOWN, "type": "type: must be an object"}


class Strict(Schema):
    """Knows its fields and refuses all others."""

    error_messages = SCHEMA_SAID

    class Meta:
        unknown = RAISE


class Text(fields.String):
    default_error_messages = SAID


class WholeNumber(fields.Integer):
    """Digits and nothing else: `int()` alone would take underscores, blanks and other scripts' digits."""

    default_error_messages = SAID | {"invalid": "type: must be a whole number", "too_large": "number_range: too large"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not _WHOLE.match(value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Switch(fields.Boolean):
    default_error_messages = SAID | {"invalid": "type: must be true or false"}


class Label(fields.Field[tuple[str, str]]):
    """`name=value`."""

    default_error_messages = SAID | {
        "invalid": "type: must be name=value, with a plain name and at most 256 characters"
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, str]:
        name, equals, text = str(value).partition("=")
        if not equals or not _LABEL_NAME.match(name) or len(text) > MAX_LABEL_CHARS:
            raise self.make_error("invalid", input=value)
        return name, text


# --- query parameters ---


class NoQuery(Strict):
    """A route that takes no parameters."""


class ActionQuery(Strict):
    """An action that can be told instead of done."""

    dry_run = Switch(truthy={"true", "1"}, falsy={"false", "0"}, load_default=False)


class PageQuery(Strict):
    limit = WholeNumber(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT, error=f"number_range: must be from 1 to {MAX_LIMIT}"),
    )
    cursor = Text(
        validate=validate.Length(max=MAX_CURSOR_CHARS, error="cursor_invalid: not a cursor of this list"),
    )


ORDERS = ("asc", "desc")


def _order(default: str) -> Text:
    return Text(
        load_default=default,
        validate=validate.OneOf(ORDERS, error=f"invalid_choice: must be one of {', '.join(ORDERS)}"),
    )


class TimelineQuery(PageQuery):
    order = _order("asc")


class OrderedQuery(PageQuery):
    order = _order("desc")


class Moment(fields.Field[int]):
    """An RFC 3339 time, as milliseconds."""

    default_error_messages = SAID | {"invalid": "time_format: must be an RFC 3339 time"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        found = milliseconds(value) if isinstance(value, str) else None
        if found is None:
            raise self.make_error("invalid", input=value)
        return found


def _word(said: str) -> Text:
    return Text(validate=validate.Length(min=1, max=128, error=f"limit_exceeded: {said} has 1 to 128 characters"))


class AuditQuery(OrderedQuery):
    type = _word("a type")
    actor = _word("a person")
    run_id = Text(validate=validate.Regexp(RUN_ID, error="id_format: not a run id"))
    since = Moment()
    until = Moment()


class RunsOfWorkflowQuery(PageQuery):
    status = Text(
        validate=validate.OneOf(list(RunStatus), error=f"invalid_choice: must be one of {', '.join(RunStatus)}")
    )


class RunsQuery(RunsOfWorkflowQuery):
    workflow_id = Text(validate=validate.Regexp(WORKFLOW_ID, error="id_format: not a workflow id"))


LETTER_STATES = ("open", "replayed", "discarded", "rescued")


class LettersQuery(PageQuery):
    state = Text(
        validate=validate.OneOf(LETTER_STATES, error=f"invalid_choice: must be one of {', '.join(LETTER_STATES)}")
    )
    group = Text(validate=validate.Regexp(GROUP_ID, error="id_format: not a group of dead letters"))
    topic = Text(validate=validate.Length(max=MAX_TOPIC, error="id_format: not a topic"))
    reason_code = Text(validate=validate.Length(max=64, error="invalid_choice: not a reason code"))
    workflow_id = Text(validate=validate.Regexp(WORKFLOW_ID, error="id_format: not a workflow id"))


class ApprovalsQuery(PageQuery):
    include_resolved = Switch(truthy={"true", "1"}, falsy={"false", "0"}, load_default=False)


class WorkflowQuery(Strict):
    version = WholeNumber(validate=validate.Range(min=1, error="number_range: must be at least 1"))


GRAPH_FORMATS = ("json", "mermaid")


class RunGraphQuery(Strict):
    format = Text(
        load_default="json",
        validate=validate.OneOf(GRAPH_FORMATS, error=f"invalid_choice: must be one of {', '.join(GRAPH_FORMATS)}"),
    )


class WorkflowGraphQuery(WorkflowQuery, RunGraphQuery):
    """One version's graph."""


class ApiKeysQuery(PageQuery):
    tenant = Text(validate=validate.Regexp(TENANT, error="id_format: not a tenant"))


class StartQuery(Strict):
    dry_run = Switch(truthy={"true", "1"}, falsy={"false", "0"}, load_default=False)
    label = fields.List(
        Label(),
        load_default=list,
        validate=validate.Length(max=MAX_LABELS, error=f"limit_exceeded: at most {MAX_LABELS} labels"),
    )


# --- bodies ---


class Flag(fields.Boolean):
    """A truth value of a JSON body, and nothing that looks like one."""

    default_error_messages = SAID | {"invalid": "type: must be true or false"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


UNSAID = "none given"
"""The reason of an act whose client cannot give one: programs for Cordum's published API (CONTRACT.md 5.1)."""


def _reason(**how: Any) -> Text:
    return Text(
        error_messages={"required": "missing_field: required: say why, it goes into the audit"},
        **how,
        validate=[
            validate.Length(
                max=MAX_REASON_CHARS, error=f"limit_exceeded: must be at most {MAX_REASON_CHARS} characters"
            ),
            validate.Regexp(r".*\S", re.DOTALL, error="missing_field: must say something"),
        ],
    )


class CommentBody(Strict):
    """Approving: a reason is welcome."""

    reason = _reason()


class ReasonBody(Strict):
    """What a person does against a run, a queue, a worker, a schedule, a hook."""

    reason = _reason(required=True)


class UnsaidBody(Strict):
    """The same where programs for Cordum's published API send none."""

    reason = _reason(load_default=UNSAID)


class CancelBody(UnsaidBody):
    """`compensate`: undo what the run has done."""

    compensate = Flag(load_default=False)


class _Said(fields.Raw):
    """What the pools' own reader judges."""

    default_error_messages = SAID


class PoolBody(Strict):
    requires = _Said()
    max_parallel = _Said(allow_none=True)
    description = _Said()


class TopicBody(Strict):
    topic = Text(required=True, validate=validate.Length(max=256, error="limit_exceeded: at most 256 characters"))
    pools = _Said(required=True)


class TopicQuery(Strict):
    topic = Text(required=True)


class Anything(fields.Raw):
    """Any JSON value, null too."""


class SignalBody(Strict):
    payload = Anything(allow_none=True)
    correlation = Text(validate=validate.Length(min=1, max=256, error="limit_exceeded: must have 1 to 256 characters"))


class SignalByCorrelationBody(Strict):
    payload = Anything(allow_none=True)
    correlation = Text(
        required=True, validate=validate.Length(min=1, max=256, error="limit_exceeded: must have 1 to 256 characters")
    )


class RerunBody(UnsaidBody):
    from_step = Text(validate=validate.Regexp(STEP_ID, error="id_format: not a step id"))
    dry_run = Flag(load_default=False)


class CompleteBody(ReasonBody):
    output = Anything(allow_none=True)


class Count(fields.Integer):
    """A number of a JSON body: a number there, too, and no text that looks like one."""

    default_error_messages = SAID | {"invalid": "type: must be a whole number", "too_large": "number_range: too large"}

    def __init__(self, least: int, most: int) -> None:
        said = f"number_range: must be from {least} to {most}"
        super().__init__(strict=True, validate=validate.Range(least, most, error=said))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class Rate(fields.Float):
    """Dead letters a second."""

    default_error_messages = SAID | {"invalid": "type: must be a number", "too_large": "number_range: too large"}

    def __init__(self) -> None:
        said = f"number_range: must be more than 0 and at most {MAX_RATE}"
        super().__init__(validate=validate.Range(0, MAX_RATE, min_inclusive=False, error=said))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid", input=value)
        return float(value)


class LetterRetryBody(UnsaidBody):
    """`input` takes the place of what the step was given."""

    input = Anything(allow_none=True)


class LetterFilter(Strict):
    group = Text(validate=validate.Regexp(GROUP_ID, error="id_format: not a group of dead letters"))
    topic = Text(validate=validate.Length(max=MAX_TOPIC, error="id_format: not a topic"))
    reason_code = Text(validate=validate.Length(max=64, error="invalid_choice: not a reason code"))
    workflow_id = Text(validate=validate.Regexp(WORKFLOW_ID, error="id_format: not a workflow id"))
    include_governance = Switch(truthy={True}, falsy={False})


class BulkRetryBody(ReasonBody):
    filter = fields.Nested(LetterFilter, required=True, error_messages=SAID)
    rate = Rate()
    dry_run = Switch(truthy={True}, falsy={False})


class ApiKeyBody(Strict):
    """A key that is to be made; without `tenant` for the caller's own."""

    tenant = Text(validate=validate.Regexp(TENANT, error="id_format: not a tenant"))
    person = Text(required=True, validate=validate.Regexp(PERSON, error="id_format: not the name of a person"))
    role = Text(
        required=True, validate=validate.OneOf(list(Role), error=f"invalid_choice: must be one of {', '.join(Role)}")
    )
    expires_in_sec = Count(1, MAX_KEY_AGE_SEC)
    description = Text(validate=validate.Length(max=MAX_LABEL_CHARS, error="limit_exceeded: too long"))


class Mapped(fields.Raw):
    """A JSON object."""

    default_error_messages = SAID

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("type", input=value)
        return value


class Labels(Mapped):
    default_error_messages = SAID | {
        "invalid": f"type: must map at most {MAX_LABELS} plain names to texts of at most {MAX_LABEL_CHARS} characters"
    }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        labels = super()._deserialize(value, attr, data, **kwargs)
        plain = all(
            _LABEL_NAME.match(name) and isinstance(text, str) and len(text) <= MAX_LABEL_CHARS
            for name, text in labels.items()
        )
        if not plain or len(labels) > MAX_LABELS:
            raise self.make_error("invalid", input=value)
        return labels


def _choice(choices: type[StrEnum]) -> Text:
    names = list(choices)
    return Text(validate=validate.OneOf(names, error=f"invalid_choice: must be one of {', '.join(names)}"))


JOB_STATES = tuple(dict.fromkeys(status.public.value for status in StepStatus))


class JobsQuery(PageQuery):
    state = Text(validate=validate.OneOf(JOB_STATES, error=f"invalid_choice: must be one of {', '.join(JOB_STATES)}"))
    topic = Text(validate=validate.Length(max=MAX_TOPIC, error="id_format: not a topic"))


class JobBody(Strict):
    """A single job. What belongs to a step is judged by the reader of definitions, `Anything` here.

    The last ones are known to Cordum's published API, and mean nothing here (CONTRACT.md 5.1).
    """

    topic = priority = retry = timeout_sec = queue_timeout_sec = concurrency = Anything(allow_none=True)
    worker_id = route_labels = actor_id = actor_type = capability = risk_tags = requires = Anything(allow_none=True)
    input = Mapped()
    prompt = context = Anything(allow_none=True)
    labels = Labels()
    deadline_ms = Count(0, 10**12)
    idempotency_key = Text(allow_none=True)
    adapter_id = memory_id = context_mode = pack_id = tags = Anything(allow_none=True)
    tenant_id = org_id = team_id = project_id = principal_id = Anything(allow_none=True)
    max_input_tokens = max_output_tokens = max_total_tokens = Anything(allow_none=True)
    allow_summarization = allow_retrieval = Anything(allow_none=True)


class ScheduleBody(Strict):
    """What a schedule does from now on; whatever is left out has its default."""

    workflow_id = Text(required=True, validate=validate.Regexp(WORKFLOW_ID, error="id_format: not a workflow id"))
    version = Count(1, 10**9)
    cron = Text(required=True)
    timezone = Text()
    input = Mapped()
    overlap = _choice(Overlap)
    catch_up = _choice(CatchUp)
    starts_at = Text(allow_none=True)
    ends_at = Text(allow_none=True)
    paused = Flag()
    labels = Labels()
    description = Text(validate=validate.Length(max=MAX_LABEL_CHARS, error="limit_exceeded: too long"))


class NewScheduleBody(ScheduleBody):
    id = Text(validate=validate.Regexp(SCHEDULE_ID, error="id_format: not a schedule id"))


class HookStart(Strict):
    workflow_id = Text(required=True, validate=validate.Regexp(WORKFLOW_ID, error="id_format: not a workflow id"))
    version = Count(1, 10**9)
    input = Anything()


class HookSignal(Strict):
    name = Text(required=True, validate=validate.Regexp(STEP_ID, error="id_format: not the name of a signal"))
    correlation = Text(required=True)
    payload = Anything(allow_none=True)


class HookBody(Strict):
    """What a delivery does: one of both."""

    start = fields.Nested(HookStart)
    signal = fields.Nested(HookSignal)
    description = Text(validate=validate.Length(max=MAX_LABEL_CHARS, error="limit_exceeded: too long"))


class BackfillBody(ReasonBody):
    first = Text(required=True, data_key="from")
    last = Text(required=True, data_key="to")


class TicksQuery(Strict):
    count = WholeNumber(load_default=10, validate=validate.Range(1, 100, error="number_range: must be from 1 to 100"))


# --- reading ---


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
            if message == _UNKNOWN:
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
