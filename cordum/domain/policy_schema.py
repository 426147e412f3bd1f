"""The policy file as a JSON Schema (2020-12), for editors. What it cannot say, such as globs, the reader says."""

from __future__ import annotations

from typing import Any

from cordum.domain.policy import LONGEST_WINDOW_SEC, MOST_REQUESTS, Verdict

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_ANY_TEXTS = {"type": "array", "items": _TEXT}
_LABELS = {"type": "object", "additionalProperties": _TEXT}
_DEFAULT = {"enum": ["allow", "deny", "require_approval"]}


def _object(properties: dict[str, Any], required: tuple[str, ...] = (), doc: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        found["required"] = list(required)
    if doc:
        found["description"] = doc
    return found


def _whole(least: int, doc: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "description": doc}


def _doc(schema: dict[str, Any], doc: str) -> dict[str, Any]:
    return {**schema, "description": doc}


_BOUNDS = _object({name: {"type": "number"} for name in ("gte", "gt", "lte", "lt")}) | {"minProperties": 1}

MATCH = _object(
    {
        "topics": _doc(_TEXTS, "Patterns; * crosses dots."),
        "tenants": _doc(_TEXTS, "Patterns."),
        "workflows": _doc(_TEXTS, "Patterns of workflow ids."),
        "capabilities": _doc(_TEXTS, "The step's capability is one of these."),
        "risk_tags": _doc(_TEXTS, "The step has at least one of these."),
        "requires": _doc(_TEXTS, "The step requires all of these."),
        "actor_ids": _doc(_TEXTS, "meta.actor_id, else the person who submitted the run."),
        "actor_types": _doc(_TEXTS, "human or service."),
        "labels": _doc(_LABELS, "All of these, with these values."),
        "label_threshold": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [{"type": "number"}, _BOUNDS]},
            "description": "Labels read as numbers; a plain number is the least that matches.",
        },
        "secrets_present": {"type": "boolean", "description": "Whether the input seems to hold secrets."},
        "input": {
            "type": ["string", "boolean"],
            "description": "An expression over input, labels, topic, tenant, workflow_id and actor_id.",
        },
    },
    doc="All that are set must hold.",
)
BUDGETS = _object(
    {
        "max_runtime_ms": _whole(1, "The attempt's time limit, if it is shorter than the step's own."),
        "max_retries": _whole(0, "If it is less than the step's own."),
        "max_result_bytes": _whole(1, "A larger result fails the step."),
        "max_concurrent_jobs": _whole(1, "Jobs on their way at one time, of one tenant; what else there is waits."),
    }
)
CONSTRAINTS = _object({"budgets": BUDGETS})
VELOCITY = _object(
    {
        "max_requests": {**_whole(1, "Jobs that may begin within the window."), "maximum": MOST_REQUESTS},
        "window_sec": {"type": "number", "minimum": 0.001, "maximum": LONGEST_WINDOW_SEC},
        "key": {"enum": ["tenant", "topic", "workflow", "actor"]},
    },
    ("max_requests", "window_sec"),
    "At most so many jobs begin within any such time; further ones wait. With `throttle` it must be there.",
)
REMEDIATION = _object(
    {
        "id": _TEXT,
        "title": _TEXT,
        "summary": _TEXT,
        "replacement_topic": _TEXT,
        "replacement_capability": _TEXT,
        "add_labels": _LABELS,
        "remove_labels": _ANY_TEXTS,
    },
    ("id",),
)
RULE = _object(
    {
        "id": _TEXT,
        "match": MATCH,
        "decision": {"enum": [verdict.value for verdict in Verdict]},
        "reason": _TEXT,
        "constraints": CONSTRAINTS,
        "velocity": VELOCITY,
        "remediations": {"type": "array", "items": REMEDIATION},
    },
    ("id", "decision"),
    "The first rule in file order whose match holds decides.",
)
_OWN_BUDGETS = _object({name: doc for name, doc in BUDGETS["properties"].items() if name != "max_concurrent_jobs"})
OVERRIDE_RULE = _object(
    {
        "id": _TEXT,
        "match": MATCH,
        "decision": {"enum": ["allow", "allow_with_constraints", "require_approval", "deny"]},
        "reason": _TEXT,
        "constraints": _object({"budgets": _OWN_BUDGETS}),
    },
    ("id", "decision"),
    "The first rule whose match holds is held beside the policy's decision; the stricter of both counts.",
)
OVERRIDE = _object(
    {"rules": {"type": "array", "items": OVERRIDE_RULE}},
    ("rules",),
    "The workflow's own rules for its jobs: they can only make the policy's decisions stricter.",
)
TENANT_RULES = _object(
    {
        "default_decision": _DEFAULT,
        "constraints": _doc(CONSTRAINTS, "Everything of this tenant runs within these."),
        "fail_mode": _doc(
            {"enum": ["closed", "open"]},
            "Whether its jobs wait (closed, the default) or go (open) while there is no policy that can be used.",
        ),
    }
)
POLICY = _object(
    {
        "version": {"type": ["string", "integer"]},
        "default_decision": _doc(_DEFAULT, "Where no rule matches; deny when left out."),
        "tenants": {"type": "object", "additionalProperties": TENANT_RULES},
        "rules": {"type": "array", "items": RULE},
    }
)


def policy_schema() -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "cordum policy", **POLICY}
