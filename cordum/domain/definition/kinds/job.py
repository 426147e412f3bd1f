"""Kinds that dispatch a job to a topic's workers: `worker`, and those whose topic says what they do."""

from __future__ import annotations

import re
from typing import Any

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.kinds.kind import Given, Kind
from cordum.domain.definition.places import Field, Table
from cordum.domain.workflow import Concurrency

_CONCURRENCY: Table = {
    "key": Field("key", evaluated.text_template, required=True),
    "limit": Field("limit", fields.integer(1, 1_000_000), required=True),
}


_OWN: Table = {
    "topic": Field("topic", fields.topic),
    "concurrency": Field("concurrency", fields.record("concurrency", _CONCURRENCY, Concurrency)),
}


def default_topic(workflow_id: str) -> str:
    """Where a worker's jobs go unless it says so. A topic's segment has no dots, a workflow's id may."""
    return "job.workflow." + re.sub(r"[^A-Za-z0-9_-]", "-", workflow_id)


def _worker(given: Given) -> dict[str, Any]:
    return {**given.own, "topic": given.own.get("topic") or default_topic(given.step.reading.workflow_id)}


WORKER = Kind("Dispatches a job to the workers of its topic.", own=_OWN, build=_worker)


def dispatched_as(name: str) -> Kind:
    """A kind whose jobs go to `job.<name>` unless it says otherwise."""

    def build(given: Given) -> dict[str, Any]:
        return {**given.own, "topic": given.own.get("topic") or f"job.{name}"}

    return Kind(f"Dispatches a job to the workers of its topic, job.{name} by default.", own=_OWN, build=build)
