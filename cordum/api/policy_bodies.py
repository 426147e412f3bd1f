"""What requests about the policy may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, pre_load, validate

from cordum.api.schemas.fields import MAX_REASON_CHARS, SAID, SCHEMA_SAID, Count, Strict, Text
from cordum.domain.ids import MAX_TOPIC, TENANT, WORKFLOW_ID
from cordum.domain.policy import PolicyRequest
from cordum.engine.replays import MOST_RUNS

MAX_POLICY_CHARS = 256 * 1024


class Input(fields.Dict):
    """The input of a run: any object."""

    default_error_messages = SAID | {"invalid": "type: must be an object"}


class Texts(fields.List[str]):
    default_error_messages = SAID | {"invalid": "type: must be a list of texts"}

    def __init__(self) -> None:
        super().__init__(Text())


class TextMapping(fields.Dict):
    default_error_messages = SAID | {"invalid": "type: must be a mapping of texts"}

    def __init__(self) -> None:
        super().__init__(keys=Text(), values=Text())


class _PolicyMeta(Schema):
    """What programs written for Cordum's API send about a job, beside what means nothing here."""

    error_messages = SCHEMA_SAID

    class Meta:
        unknown = EXCLUDE

    capability = Text(allow_none=True)
    risk_tags = Texts()
    requires = Texts()
    actor_id = Text(allow_none=True)
    actor_type = Text(allow_none=True)
    labels = TextMapping()


# Sent by programs written for Cordum's HTTP API (CONTRACT.md section 5.1); they mean nothing here.
_IGNORED_IN_POLICY_REQUEST = frozenset(
    {
        *("job_id", "step_id", "org_id", "team_id", "principal_id", "priority", "estimated_cost", "budget"),
        *("memory_id", "adapter_id", "effective_config"),
    }
)


class PolicyRequestBody(Strict):
    """A job that might be dispatched. `meta` may say the same as the fields beside it, which win."""

    topic = Text(required=True, validate=validate.Length(1, MAX_TOPIC, error="id_format: not a topic"))
    tenant = Text(validate=validate.Regexp(TENANT, error="id_format: not a tenant"))
    workflow_id = Text()
    capability = Text(allow_none=True)
    risk_tags = Texts()
    requires = Texts()
    actor_id = Text(allow_none=True)
    actor_type = Text(allow_none=True)
    labels = TextMapping()
    input = fields.Raw(allow_none=True)
    meta = fields.Nested(_PolicyMeta)

    @pre_load
    def _ignore(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if name not in _IGNORED_IN_POLICY_REQUEST}


def _policy_text(required: bool = False) -> Text:
    said = f"limit_exceeded: must be at most {MAX_POLICY_CHARS} characters"
    return Text(required=required, validate=validate.Length(max=MAX_POLICY_CHARS, error=said))


def _bundle_id() -> Text:
    return Text(validate=validate.Regexp(WORKFLOW_ID, error="id_format: not the id of a draft"))


def _note() -> Text:
    return Text(validate=validate.Length(max=MAX_REASON_CHARS, error="limit_exceeded: too long"))


class DryRunBody(Strict):
    input = Input(load_default=dict)


class SimulateBody(PolicyRequestBody):
    policy = _policy_text()
    bundle_id = _bundle_id()


class ReplayBody(Strict):
    """Without `tenant` the caller's own; `limit` newest runs are looked at."""

    policy = _policy_text()
    bundle_id = _bundle_id()
    tenant = Text(validate=validate.Regexp(TENANT, error="id_format: not a tenant"))
    workflow_id = Text(validate=validate.Regexp(WORKFLOW_ID, error="id_format: not a workflow id"))
    limit = Count(1, MOST_RUNS)


class TestBody(Strict):
    __test__ = False  # pytest takes it for a test

    cases = _policy_text(required=True)
    policy = _policy_text()
    bundle_id = _bundle_id()


class PublishBody(Strict):
    policy = _policy_text()
    bundle_id = _bundle_id()
    cases = _policy_text()
    note = _note()


class RollbackBody(Strict):
    """Without `epoch` back to what was active before."""

    epoch = Count(1, 2**53)
    note = _note()


class BundleBody(Strict):
    policy = _policy_text(required=True)


def policy_request(given: Mapping[str, Any], tenant: str) -> PolicyRequest:
    """The request in a body; what it leaves out `meta` may say."""
    meta = given.get("meta", {})
    known = {**meta, **{name: value for name, value in given.items() if name in _REQUEST_FIELDS}}
    labels = {**meta.get("labels", {}), **given.get("labels", {})}
    lists = {name: tuple(known.pop(name, ())) for name in ("risk_tags", "requires")}
    return PolicyRequest(**({"tenant": tenant} | known | lists | {"labels": labels}))


_REQUEST_FIELDS = frozenset(one.name for one in dataclasses.fields(PolicyRequest))
