"""What JSON bodies may say, route by route."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from cordum.api.schemas.fields import (
    MAX_LABEL_CHARS,
    MAX_REASON_CHARS,
    SAID,
    Anything,
    Count,
    Flag,
    Labels,
    Mapped,
    Strict,
    Switch,
    Text,
    one_of,
    shaped,
    up_to,
)
from cordum.domain.api_keys import PERSON
from cordum.domain.ids import GROUP_ID, MAX_TOPIC, STEP_ID, TENANT, WORKFLOW_ID
from cordum.domain.roles import Role
from cordum.domain.schedules import SCHEDULE_ID, CatchUp, Overlap

MAX_RATE = 100
MAX_KEY_AGE_SEC = 10 * 365 * 24 * 3600
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
    topic = up_to(256, "limit_exceeded: at most 256 characters", required=True)
    pools = _Said(required=True)


def _correlation(**how: Any) -> Text:
    return up_to(256, "limit_exceeded: must have 1 to 256 characters", least=1, **how)


class SignalBody(Strict):
    payload = Anything(allow_none=True)
    correlation = _correlation()


class SignalByCorrelationBody(Strict):
    payload = Anything(allow_none=True)
    correlation = _correlation(required=True)


class RerunBody(UnsaidBody):
    from_step = shaped(STEP_ID, "a step id")
    dry_run = Flag(load_default=False)


class CompleteBody(ReasonBody):
    output = Anything(allow_none=True)


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
    group = shaped(GROUP_ID, "a group of dead letters")
    topic = up_to(MAX_TOPIC, "id_format: not a topic")
    reason_code = up_to(64, "invalid_choice: not a reason code")
    workflow_id = shaped(WORKFLOW_ID, "a workflow id")
    include_governance = Switch(truthy={True}, falsy={False})


class BulkRetryBody(ReasonBody):
    filter = fields.Nested(LetterFilter, required=True, error_messages=SAID)
    rate = Rate()
    dry_run = Switch(truthy={True}, falsy={False})


class ApiKeyBody(Strict):
    """A key that is to be made; without `tenant` for the caller's own."""

    tenant = shaped(TENANT, "a tenant")
    person = shaped(PERSON, "the name of a person", required=True)
    role = one_of(Role, required=True)
    expires_in_sec = Count(1, MAX_KEY_AGE_SEC)
    description = up_to(MAX_LABEL_CHARS, "limit_exceeded: too long")


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

    workflow_id = shaped(WORKFLOW_ID, "a workflow id", required=True)
    version = Count(1, 10**9)
    cron = Text(required=True)
    timezone = Text()
    input = Mapped()
    overlap = one_of(Overlap)
    catch_up = one_of(CatchUp)
    starts_at = Text(allow_none=True)
    ends_at = Text(allow_none=True)
    paused = Flag()
    labels = Labels()
    description = up_to(MAX_LABEL_CHARS, "limit_exceeded: too long")


class NewScheduleBody(ScheduleBody):
    id = shaped(SCHEDULE_ID, "a schedule id")


class HookStart(Strict):
    workflow_id = shaped(WORKFLOW_ID, "a workflow id", required=True)
    version = Count(1, 10**9)
    input = Anything()


class HookSignal(Strict):
    name = shaped(STEP_ID, "the name of a signal", required=True)
    correlation = Text(required=True)
    payload = Anything(allow_none=True)


class HookBody(Strict):
    """What a delivery does: one of both."""

    start = fields.Nested(HookStart)
    signal = fields.Nested(HookSignal)
    description = up_to(MAX_LABEL_CHARS, "limit_exceeded: too long")


class BackfillBody(ReasonBody):
    first = Text(required=True, data_key="from")
    last = Text(required=True, data_key="to")
