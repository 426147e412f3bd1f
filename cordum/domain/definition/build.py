"""From a document to a Workflow: everything is looked at in one pass, and every problem reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeAlias

from cordum.domain.definition import evaluated, fields
from cordum.domain.definition.document import Document, TreeBuilder
from cordum.domain.definition.graph import check_graph
from cordum.domain.definition.json_reader import read_json_text, utf8
from cordum.domain.definition.places import (
    DEFAULT_LIMITS,
    Field,
    Limits,
    Place,
    Reading,
    Table,
    read_fields,
    refuse_unknown_keys,
)
from cordum.domain.definition.policy_overrides import policy_override
from cordum.domain.definition.problems import Problems, ReadingStopped
from cordum.domain.definition.steps import places_by_id, read_steps
from cordum.domain.definition.user_schemas import json_schema
from cordum.domain.definition.yaml_reader import read_yaml_text
from cordum.domain.ids import WORKFLOW_ID
from cordum.domain.workflow import FailurePolicy, Workflow
from cordum.errors import DefinitionInvalid, DefinitionUnreadable, Problem

Media: TypeAlias = Literal["yaml", "json"]

# In this order: steps come before what may name them.
WORKFLOW: Table = {
    "id": Field("id", fields.identifier(WORKFLOW_ID, 128)),
    "steps": Field("steps", read_steps, required=True),
    "name": Field("name", fields.text),
    "description": Field("description", fields.text),
    "version": Field("version_label", fields.free_label),
    "timeout_sec": Field("timeout_ms", fields.workflow_seconds),
    "on_failure": Field("on_failure", fields.choice(FailurePolicy)),
    "output": Field("output", evaluated.template),
    "labels": Field("labels", fields.text_mapping),
    "input_schema": Field("input_schema", json_schema),
    "policy_override": Field("policy_override", policy_override),
}
_LATER = frozenset({"max_concurrent_runs"})

# What is refused before there is a document: the text is not, or must not be, read as one.
_UNREADABLE = frozenset({"yaml_syntax", "json_syntax", "tag_forbidden", "alias_forbidden", "too_deep"})

# Sent by programs written for Cordum's HTTP API (CONTRACT.md section 5.1); they mean nothing here.
IGNORED = frozenset({"org_id", "team_id"})


class Checked(NamedTuple):
    """A valid workflow, and warnings in the form of problems."""

    workflow: Workflow
    warnings: tuple[Problem, ...]


def parse_document(data: bytes, media: Media, *, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The values in `data` and their places. Raises DefinitionInvalid when they cannot be read, or not safely."""
    problems = Problems()
    document = _parse(data, media, limits, problems)
    if document is None or problems:
        raise _invalid(problems)
    return document


def read_workflow(
    data: bytes, media: Media, *, default_id: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> Checked:
    """The workflow that `data` defines, with warnings. Raises DefinitionInvalid with all its problems."""
    problems = Problems()
    document = _parse(data, media, limits, problems)
    # A duplicate key leaves a document that is still worth looking at; the other problems have lost a value.
    if document is None or any(problem.code != "duplicate_key" for problem in problems):
        raise _invalid(problems)
    return _check(document, default_id, limits, problems)


def load_workflow(
    data: bytes, media: Media, *, default_id: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> Workflow:
    """The workflow that `data` defines. Raises DefinitionInvalid with all its problems."""
    return read_workflow(data, media, default_id=default_id, limits=limits).workflow


def build_workflow(document: Document, *, default_id: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Workflow:
    """The workflow that `document` defines; its id is `default_id` when the document has none.

    Raises DefinitionInvalid with all problems, in the order of their places.
    """
    return _check(document, default_id, limits, Problems()).workflow


def _parse(data: bytes, media: Media, limits: Limits, problems: Problems) -> Document | None:
    tree = TreeBuilder(problems)
    try:
        if len(data) > limits.max_bytes:
            message = f"a definition may have {limits.max_bytes} bytes, this one has {len(data)}"
            problems.stop(Problem("", "limit_exceeded", message))
        text = utf8(data, f"{media}_syntax", problems)
        read = read_yaml_text if media == "yaml" else read_json_text
        read(text, tree)
    except ReadingStopped:
        return None
    return tree.document()


def check_workflow(document: Document, *, default_id: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Checked:
    """As `build_workflow`, and what is legal but most likely not meant."""
    return _check(document, default_id, limits, Problems())


def _check(document: Document, default_id: str | None, limits: Limits, problems: Problems) -> Checked:
    root = Place(document.value, (), Reading(document, problems, limits))
    values: dict[str, Any] = {}
    with suppress(ReadingStopped):
        values = _read(root, default_id)
    if problems:
        raise _invalid(problems)
    return Checked(Workflow(**values), tuple(root.reading.warnings))


def _read(root: Place, default_id: str | None) -> dict[str, Any]:
    if not isinstance(root.value, dict):
        root.refuse("type", "a workflow definition is a mapping")
        return {}
    own_id = root.value.get("id", default_id)
    root.reading.workflow_id = own_id if isinstance(own_id, str) else ""
    refuse_unknown_keys(root, "a workflow", [*WORKFLOW, *IGNORED], _LATER)
    values = read_fields(root, WORKFLOW)
    if "id" not in root.value:
        if default_id is None:
            root.refuse_absence("id")
        values["id"] = default_id
    check_graph(root, values.get("steps", {}))
    return values


def problem_of_step(document: Document, step_id: str, key: str, code: str, message: str) -> Problem:
    """Something about a step of a valid definition that shows only beside others, at the place of `key`."""
    root = Place(document.value, (), Reading(document, Problems(), DEFAULT_LIMITS))
    step = places_by_id(root.below(("steps",)))[step_id]
    place = step.member(key) or ((inner := step.member("input")) and inner.member(key)) or step
    return place.problem(code, message)


def refusal(problems: Iterable[Problem]) -> DefinitionInvalid:
    """The error that says these are wrong with a definition."""
    collected = Problems()
    for problem in problems:
        collected.add(problem)
    return _invalid(collected)


def _invalid(problems: Problems) -> DefinitionInvalid:
    found = problems.in_order_of_place()
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    unreadable = any(problem.code in _UNREADABLE for problem in found)
    refusal = DefinitionUnreadable if unreadable else DefinitionInvalid
    return refusal(f"the definition is not valid: {found[0]}{more}", problems=found)
