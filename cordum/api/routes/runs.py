"""Runs: start, read, list, timeline, cancel, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer, done_or_told
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import bare_listing, listing, page_query
from cordum.api.schemas.bodies import CancelBody, UnsaidBody
from cordum.api.schemas.queries import ActionQuery, NoQuery, RunsOfWorkflowQuery, RunsQuery, StartQuery, TimelineQuery
from cordum.api.schemas.reading import body, idempotency_key, input_body, labels, query, reasoned
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import NotFound

routes = Blueprint("runs", __name__)


@routes.post("/workflows/<workflow:workflow_id>/runs")
@requires(Role.OPERATOR)
def start(caller: Caller, workflow_id: str) -> Response:
    asked, key = query(StartQuery), idempotency_key()
    tags = labels(asked["label"])
    if asked["dry_run"]:
        return answer(engine().try_start(caller, workflow_id, input_body(), tags))
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
    return bare_listing(caller, engine().timeline(caller.tenant, run_id, **page_query(caller, TimelineQuery)))


@routes.get("/workflow-runs/<run:run_id>/bundle")
@requires(Role.VIEWER)
def bundle(caller: Caller, run_id: str) -> Response:
    query(NoQuery)
    named = {"Content-Disposition": f'attachment; filename="{run_id}.bundle.json"'}
    return answer(engine().bundle(caller.tenant, run_id), headers=named)


@routes.post("/workflow-runs/<run:run_id>/cancel")
@requires(Role.OPERATOR)
def cancel(caller: Caller, run_id: str) -> Response:
    return _cancel(caller, run_id, query(ActionQuery)["dry_run"], body(CancelBody))


@routes.post("/workflows/<workflow:workflow_id>/runs/<run:run_id>/cancel")
@requires(Role.OPERATOR)
def cancel_of_workflow(caller: Caller, workflow_id: str, run_id: str) -> Response:
    dry_run, said = query(ActionQuery)["dry_run"], body(CancelBody)
    if engine().run(caller.tenant, run_id)["workflow_id"] != workflow_id:
        raise NotFound(f"there is no run {run_id}")
    return _cancel(caller, run_id, dry_run, said)


@routes.delete("/workflow-runs/<run:run_id>")
@requires(Role.ADMIN)
def delete(caller: Caller, run_id: str) -> Response:
    dry_run, reason = reasoned(UnsaidBody)
    return done_or_told(engine().delete_run(caller, run_id, reason, dry_run=dry_run))


def _cancel(caller: Caller, run_id: str, dry_run: bool, said: Mapping[str, Any]) -> Response:
    told = engine().cancel_run(caller, run_id, said["reason"], compensate=said["compensate"], dry_run=dry_run)
    return done_or_told(told)
