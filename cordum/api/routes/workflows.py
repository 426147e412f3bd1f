"""Workflows: save, validate, read, forget."""

from __future__ import annotations

import hashlib

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer, no_content, problem_item
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.media import definition_body
from cordum.api.pages import bare_listing, listing, page_by_id, page_by_number, page_query
from cordum.api.policy_bodies import DryRunBody
from cordum.api.schemas.queries import NoQuery, WorkflowQuery
from cordum.api.schemas.reading import body, query
from cordum.domain.definition import Media
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import DefinitionInvalid, Problem

routes = Blueprint("workflows", __name__)


@routes.post("/workflows")
@requires(Role.OPERATOR)
def save(caller: Caller) -> Response:
    query(NoQuery)
    data, media = definition_body()
    saved = engine().save_workflow(caller.tenant, data, media, _generated_id(data), actor=caller.person)
    shown = {"id": saved.id, "version": saved.version, "digest": saved.digest, "created": saved.created}
    warnings = [problem_item(problem) for problem in saved.warnings]
    place = url_for("workflows.read", workflow_id=saved.id)
    return answer({**shown, "warnings": warnings}, 201, {"Location": place})


@routes.post("/workflows/validate")
@requires(Role.VIEWER)
def validate(caller: Caller) -> Response:
    query(NoQuery)
    errors, warnings = _verdict(caller, *definition_body())
    return answer(
        {
            "valid": not errors,
            "errors": [problem_item(problem) for problem in errors],
            "warnings": [problem_item(problem) for problem in warnings],
        }
    )


@routes.post("/workflows/<workflow:workflow_id>/dry-run")
@requires(Role.VIEWER)
def dry_run(caller: Caller, workflow_id: str) -> Response:
    query(NoQuery)
    return answer(engine().policies.dry_run(caller, workflow_id, body(DryRunBody)["input"]))


@routes.get("/workflows")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    page = page_by_id(engine().workflows(caller.tenant), **page_query(caller))
    return bare_listing(caller, page)


@routes.get("/workflows/<workflow:workflow_id>")
@requires(Role.VIEWER)
def read(caller: Caller, workflow_id: str) -> Response:
    asked = query(WorkflowQuery)
    return answer(engine().workflow(caller.tenant, workflow_id, asked.get("version")))


@routes.get("/workflows/<workflow:workflow_id>/versions")
@requires(Role.VIEWER)
def versions(caller: Caller, workflow_id: str) -> Response:
    asked = page_query(caller)
    found = engine().workflow_versions(caller.tenant, workflow_id)
    return listing(caller, page_by_number(found, "version", **asked))


@routes.delete("/workflows/<workflow:workflow_id>")
@requires(Role.OPERATOR)
def delete(caller: Caller, workflow_id: str) -> Response:
    query(NoQuery)
    engine().delete_workflow(caller.tenant, workflow_id, actor=caller.person)
    return no_content()


def _generated_id(data: bytes) -> str:
    """For a definition without an id; sent twice, it is still one workflow."""
    return f"wf-{hashlib.sha256(data).hexdigest()[:20]}"


def _verdict(caller: Caller, data: bytes, media: Media) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Errors and warnings."""
    try:
        checked = engine().validate_workflow(caller.tenant, data, media, _generated_id(data))
    except DefinitionInvalid as refusal:
        return refusal.problems, ()
    return (), checked.warnings
