"""What operators do with a run: pause, resume, signal, retry, rerun, skip and complete by hand."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.schemas import (
    CompleteBody,
    NoQuery,
    ReasonBody,
    RejectBody,
    RerunBody,
    SignalBody,
    body,
    idempotency_key,
    query,
)
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("operations", __name__, url_prefix="/workflow-runs/<run:run_id>")


@routes.post("/pause")
@requires(Role.OPERATOR)
def pause(caller: Caller, run_id: str) -> Response:
    query(NoQuery)
    engine().pause_run(caller, run_id, body(ReasonBody).get("reason"))
    return answer(engine().run(caller.tenant, run_id))


@routes.post("/resume")
@requires(Role.OPERATOR)
def resume(caller: Caller, run_id: str) -> Response:
    query(NoQuery)
    engine().resume_run(caller, run_id, body(ReasonBody).get("reason"))
    return answer(engine().run(caller.tenant, run_id))


@routes.post("/signals/<step:name>")
@requires(Role.OPERATOR)
def signal(caller: Caller, run_id: str, name: str) -> Response:
    query(NoQuery)
    said, token = body(SignalBody), idempotency_key()
    engine().signal_run(caller, run_id, name, said.get("payload"), said.get("correlation"), token)
    return answer({"run_id": run_id, "name": name})


@routes.post("/retry")
@requires(Role.OPERATOR)
def retry(caller: Caller, run_id: str) -> Response:
    query(NoQuery)
    engine().retry_run(caller, run_id, body(RejectBody)["reason"])
    return answer(engine().run(caller.tenant, run_id))


@routes.post("/rerun")
@requires(Role.OPERATOR)
def rerun(caller: Caller, run_id: str) -> Response:
    query(NoQuery)
    asked = body(RerunBody)
    started = engine().rerun(caller, run_id, asked.get("from_step"), asked["reason"])
    return answer(started.run, headers={"Location": url_for("runs.read", run_id=started.run["run_id"])})


@routes.post("/steps/<ref:step>/skip")
@requires(Role.OPERATOR)
def skip(caller: Caller, run_id: str, step: str) -> Response:
    query(NoQuery)
    engine().skip_step(caller, run_id, step, body(RejectBody)["reason"])
    return answer(engine().run(caller.tenant, run_id))


@routes.post("/steps/<ref:step>/complete")
@requires(Role.OPERATOR)
def complete(caller: Caller, run_id: str, step: str) -> Response:
    query(NoQuery)
    asked = body(CompleteBody)
    engine().complete_step(caller, run_id, step, asked["reason"], asked.get("output"))
    return answer(engine().run(caller.tenant, run_id))
