"""Runs: start, read, list, timeline, cancel."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer, no_content
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import bare_listing, listing, page_query
from cordum.api.schemas import (
    ActionQuery,
    NoQuery,
    ReasonBody,
    RunsOfWorkflowQuery,
    RunsQuery,
    StartQuery,
    body,
    idempotency_key,
    input_body,
    labels,
    query,
)
from cordum.domain.roles import Role
from cordum.engine import Caller, Preview
from cordum.errors import NotFound

routes = Blueprint("runs", __name__)


@routes.post("/workflows/<workflow:workflow_id>/runs")
@requires(Role.OPERATOR)
def start(caller: Caller, workflow_id: str) -> Response:
    key, tags = idempotency_key(), labels(query(StartQuery)["label"])
    started = engine().start_run(caller, workflow_id, input_body(), idempotency_key=key, labels=tags)
    headers = {"Location": url_for("runs.read", run_id=started.run["run_id"])}
    if started.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer(started.run, headers=headers)


@routes.get("/workflows/<workflow:workflow_id>/runs")
@requires(Role.VIEWER)
def list_of_workflow(caller: Caller, workflow_id: str) -> Response:
    asked = page_query(caller, RunsOfWorkflowQuery)
    return bare_listing(caller, engine().runs(caller.tenant, workflow_id=workflow_id, **asked))


@routes.get("/workflow-runs")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().runs(caller.tenant, **page_query(caller, RunsQuery)))


@routes.get("/workflow-runs/<run:run_id>")
@requires(Role.VIEWER)
def read(caller: Caller, run_id: str) -> Response:
    query(NoQuery)
    return answer(engine().run(caller.tenant, run_id))


@routes.get("/workflow-runs/<run:run_id>/timeline")
@requires(Role.VIEWER)
def timeline(caller: Caller, run_id: str) -> Response:
    return bare_listing(caller, engine().timeline(caller.tenant, run_id, **page_query(caller)))


@routes.post("/workflow-runs/<run:run_id>/cancel")
@requires(Role.OPERATOR)
def cancel(caller: Caller, run_id: str) -> Response:
    dry_run, reason = query(ActionQuery)["dry_run"], body(ReasonBody).get("reason")
    return _cancelled(engine().cancel_run(caller, run_id, reason, dry_run=dry_run))


@routes.post("/workflows/<workflow:workflow_id>/runs/<run:run_id>/cancel")
@requires(Role.OPERATOR)
def cancel_of_workflow(caller: Caller, workflow_id: str, run_id: str) -> Response:
    dry_run, reason = query(ActionQuery)["dry_run"], body(ReasonBody).get("reason")
    if engine().run(caller.tenant, run_id)["workflow_id"] != workflow_id:
        raise NotFound(f"there is no run {run_id}")
    return _cancelled(engine().cancel_run(caller, run_id, reason, dry_run=dry_run))


def _cancelled(preview: Preview | None) -> Response:
    return no_content() if preview is None else answer(preview)
