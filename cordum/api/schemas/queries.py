"""What query parameters may say, route by route."""

from __future__ import annotations

from marshmallow import fields, validate

from cordum.api.schemas.fields import (
    MAX_LABELS,
    Label,
    Moment,
    Strict,
    Switch,
    Text,
    WholeNumber,
    one_of,
    shaped,
    up_to,
)
from cordum.domain.ids import GROUP_ID, MAX_TOPIC, RUN_ID, TENANT, WORKFLOW_ID
from cordum.domain.states import RunStatus, StepStatus

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_CHARS = 1_024


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
    cursor = up_to(MAX_CURSOR_CHARS, "cursor_invalid: not a cursor of this list")


ORDERS = ("asc", "desc")


def _order(default: str) -> Text:
    return one_of(ORDERS, load_default=default)


class TimelineQuery(PageQuery):
    order = _order("asc")


class OrderedQuery(PageQuery):
    order = _order("desc")


def _word(said: str) -> Text:
    return up_to(128, f"limit_exceeded: {said} has 1 to 128 characters", least=1)


class AuditQuery(OrderedQuery):
    type = _word("a type")
    actor = _word("a person")
    run_id = shaped(RUN_ID, "a run id")
    since = Moment()
    until = Moment()


class RunsOfWorkflowQuery(PageQuery):
    status = one_of(RunStatus)


class RunsQuery(RunsOfWorkflowQuery):
    workflow_id = shaped(WORKFLOW_ID, "a workflow id")


LETTER_STATES = ("open", "replayed", "discarded", "rescued")


class LettersQuery(PageQuery):
    state = one_of(LETTER_STATES)
    group = shaped(GROUP_ID, "a group of dead letters")
    topic = up_to(MAX_TOPIC, "id_format: not a topic")
    reason_code = up_to(64, "invalid_choice: not a reason code")
    workflow_id = shaped(WORKFLOW_ID, "a workflow id")


class ApprovalsQuery(PageQuery):
    include_resolved = Switch(truthy={"true", "1"}, falsy={"false", "0"}, load_default=False)


class WorkflowQuery(Strict):
    version = WholeNumber(validate=validate.Range(min=1, error="number_range: must be at least 1"))


GRAPH_FORMATS = ("json", "mermaid")


class RunGraphQuery(Strict):
    format = one_of(GRAPH_FORMATS, load_default="json")


class WorkflowGraphQuery(WorkflowQuery, RunGraphQuery):
    """One version's graph."""


class ApiKeysQuery(PageQuery):
    tenant = shaped(TENANT, "a tenant")


class StartQuery(Strict):
    dry_run = Switch(truthy={"true", "1"}, falsy={"false", "0"}, load_default=False)
    label = fields.List(
        Label(),
        load_default=list,
        validate=validate.Length(max=MAX_LABELS, error=f"limit_exceeded: at most {MAX_LABELS} labels"),
    )


class TopicQuery(Strict):
    topic = Text(required=True)


JOB_STATES = tuple(dict.fromkeys(status.public.value for status in StepStatus))


class JobsQuery(PageQuery):
    state = one_of(JOB_STATES)
    topic = up_to(MAX_TOPIC, "id_format: not a topic")


class TicksQuery(Strict):
    count = WholeNumber(load_default=10, validate=validate.Range(1, 100, error="number_range: must be from 1 to 100"))
