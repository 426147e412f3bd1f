"""The pages that show: runs, one run, approvals, one approval."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from cordum.console.context import engine
from cordum.console.visitors import may_decide
from cordum.domain.ids import RUN_ID, WORKFLOW_ID, JobId
from cordum.domain.states import RunStatus
from cordum.errors import NotFound

routes = Blueprint("pages", __name__)

RUNS = 25
EVENTS = 100
APPROVALS = 25


@routes.get("/")
def home() -> Response:
    return redirect(url_for(".runs"), 303)


@routes.get("/runs")
def runs() -> str:
    status = _one_of("status", list(RunStatus))
    workflow = _matching("workflow", WORKFLOW_ID.match)
    page = engine().runs(
        g.caller.tenant, workflow_id=workflow, status=status, limit=RUNS, after=_matching("after", RUN_ID.match)
    )
    return render_template(
        "runs.html",
        caller=g.caller,
        runs=page.items,
        following=page.next,
        status=status,
        statuses=list(RunStatus),
        workflow=workflow,
        asked=len(engine().approvals(g.caller.tenant, limit=APPROVALS).items),
    )


@routes.get("/runs/<run_id>")
def run(run_id: str) -> str:
    if not RUN_ID.match(run_id):
        raise NotFound("There is no such run.")
    found = engine().run(g.caller.tenant, run_id)
    events = engine().timeline(g.caller.tenant, run_id, after=_matching("after", _is_number), limit=EVENTS)
    return render_template(
        "run.html",
        caller=g.caller,
        run=found,
        steps=list(found["steps"].values()),
        asks=[step["job_id"] for step in found["steps"].values() if _asks(step)],
        events=events.items,
        following=events.next,
        live=found["completed_at"] is None and "still" not in request.args,
    )


@routes.get("/approvals")
def approvals() -> str:
    resolved = request.args.get("all") == "1"
    page = engine().approvals(
        g.caller.tenant, include_resolved=resolved, limit=APPROVALS, after=_matching("after", JobId.parse)
    )
    return render_template(
        "approvals.html", caller=g.caller, approvals=page.items, following=page.next, resolved=resolved
    )


@routes.get("/approvals/<job_id>")
def approval(job_id: str) -> str:
    return approval_page(job_id)


def approval_page(job_id: str, said: str = "", typed: str = "") -> str:
    """What a person needs to know to decide.

    `said`: why a decision was not taken; `typed`: the reason that was given with it.
    """
    if JobId.parse(job_id) is None:
        raise NotFound("There is no such approval.")
    found = engine().approval(g.caller.tenant, job_id)
    return render_template(
        "approval.html",
        caller=g.caller,
        one=found,
        may_decide=may_decide(g.caller),
        said=said,
        typed=typed,
    )


def _asks(step: Any) -> bool:
    return step["wait"] is not None and step["wait"]["reason"] == "approval"


def _one_of(name: str, known: list[Any]) -> str | None:
    value = request.args.get(name)
    return value if value in known else None


def _matching(name: str, known: Any) -> str | None:
    """A parameter of the address; what cannot be one is as good as absent."""
    value = request.args.get(name)
    return value if value and known(value) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
