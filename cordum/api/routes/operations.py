"""What operators do with a run: pause, resume, signal, retry, rerun, skip and complete by hand."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.schemas.bodies import CompleteBody, RerunBody, SignalBody
from cordum.api.schemas.queries import ActionQuery
from cordum.api.schemas.reading import body, idempotency_key, query, reasoned
from cordum.domain.roles import Role
from cordum.engine import Caller, Preview

routes = Blueprint("operations", __name__, url_prefix="/workflow-runs/<run:run_id>")


@routes.post("/pause")
@requires(Role.OPERATOR)
def pause(caller: Caller, run_id: str) -> Response:
    dry_run, reason = reasoned()
    return _told(caller, run_id, engine().pause_run(caller, run_id, reason, dry_run=dry_run))


@routes.post("/resume")
@requires(Role.OPERATOR)
def resume(caller: Caller, run_id: str) -> Response:
    dry_run, reason = reasoned()
    return _told(caller, run_id, engine().resume_run(caller, run_id, reason, dry_run=dry_run))


@routes.post("/signals/<step:name>")
@requires(Role.OPERATOR)
def signal(caller: Caller, run_id: str, name: str) -> Response:
    dry_run, said, token = query(ActionQuery)["dry_run"], body(SignalBody), idempotency_key()
    payload, correlation = said.get("payload"), said.get("correlation")
    told = engine().signal_run(caller, run_id, name, payload, correlation, token, dry_run=dry_run)
    return answer({"run_id": run_id, "name": name} if told is None else told)


@routes.post("/retry")
@requires(Role.OPERATOR)
def retry(caller: Caller, run_id: str) -> Response:
    dry_run, reason = reasoned()
    return _told(caller, run_id, engine().retry_run(caller, run_id, reason, dry_run=dry_run))


@routes.post("/rerun")
@requires(Role.OPERATOR)
def rerun(caller: Caller, run_id: str) -> Response:
    dry_run, asked = query(ActionQuery)["dry_run"], body(RerunBody)
    if dry_run or asked["dry_run"]:
        return answer(engine().preview_rerun(caller, run_id, asked.get("from_step"), asked["reason"]))
    started = engine().rerun(caller, run_id, asked.get("from_step"), asked["reason"])
    return answer(started.run, headers={"Location": url_for("runs.read", run_id=started.run["run_id"])})


@routes.post("/steps/<ref:step>/skip")
@requires(Role.OPERATOR)
def skip(caller: Caller, run_id: str, step: str) -> Response:
    dry_run, reason = reasoned()
    return _told(caller, run_id, engine().skip_step(caller, run_id, step, reason, dry_run=dry_run))


@routes.post("/steps/<ref:step>/complete")
@requires(Role.OPERATOR)
def complete(caller: Caller, run_id: str, step: str) -> Response:
    dry_run, asked = query(ActionQuery)["dry_run"], body(CompleteBody)
    told = engine().complete_step(caller, run_id, step, asked["reason"], asked.get("output"), dry_run=dry_run)
    return _told(caller, run_id, told)


def _told(caller: Caller, run_id: str, preview: Preview | None) -> Response:
    """The run as it is afterwards; of a dry run, what would have been done."""
    return answer(engine().run(caller.tenant, run_id) if preview is None else preview)
