"""Single jobs: submit, list, read, cancel. What the policy has said of one is in `audit`."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.api.schemas.bodies import JobBody, UnsaidBody
from cordum.api.schemas.queries import ActionQuery, JobsQuery, NoQuery
from cordum.api.schemas.reading import body, idempotency_key, query, reasoned, same_key
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("jobs", __name__)


@routes.post("/jobs")
@requires(Role.OPERATOR)
def submit(caller: Caller) -> Response:
    dry_run, asked = query(ActionQuery)["dry_run"], body(JobBody)
    key = same_key(idempotency_key(), asked.pop("idempotency_key", None) or None)
    if dry_run:
        return answer(engine().single_jobs.preview(caller, asked))
    started = engine().single_jobs.submit(caller, asked, key)
    headers = {"Location": url_for("jobs.read", job_id=started.id)}
    if started.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answer({**started.run, "job_id": started.id}, headers=headers)


@routes.get("/jobs")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    wanted = {"state": None, "topic": None, **page_query(caller, JobsQuery)}
    return listing(caller, engine().single_jobs.list(caller.tenant, **wanted))


@routes.get("/jobs/<job:job_id>")
@requires(Role.VIEWER)
def read(caller: Caller, job_id: str) -> Response:
    query(NoQuery)
    return answer(engine().single_jobs.get(caller.tenant, job_id))


@routes.post("/jobs/<job:job_id>/cancel")
@requires(Role.OPERATOR)
def cancel(caller: Caller, job_id: str) -> Response:
    dry_run, reason = reasoned(UnsaidBody)
    return answer(engine().single_jobs.cancel(caller, job_id, reason, dry_run=dry_run))
