"""Graphs of workflows and runs, as data or as Mermaid's text."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.schemas.queries import RunGraphQuery, WorkflowGraphQuery
from cordum.api.schemas.reading import query
from cordum.domain.picture import graph, mermaid
from cordum.domain.roles import Role
from cordum.domain.workflow import Workflow
from cordum.engine import Caller

routes = Blueprint("graphs", __name__)


@routes.get("/workflows/<workflow:workflow_id>/graph")
@requires(Role.VIEWER)
def of_workflow(caller: Caller, workflow_id: str) -> Response:
    asked = query(WorkflowGraphQuery)
    return _drawn(asked["format"], engine().definition(caller.tenant, workflow_id, asked.get("version")))


@routes.get("/workflow-runs/<run:run_id>/graph")
@requires(Role.VIEWER)
def of_run(caller: Caller, run_id: str) -> Response:
    asked = query(RunGraphQuery)
    return _drawn(asked["format"], *engine().definition_of_run(caller.tenant, run_id))


def _drawn(form: str, workflow: Workflow, statuses: Mapping[str, str] | None = None) -> Response:
    drawn = graph(workflow, statuses)
    if form == "mermaid":
        return Response(mermaid(drawn), content_type="text/plain; charset=utf-8")
    return answer(drawn)
