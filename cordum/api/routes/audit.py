"""The audit of a tenant: listed, judged, handed out; and the policy's decisions, of the tenant or of one job."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.api.schemas.queries import AuditQuery, NoQuery, OrderedQuery, PageQuery
from cordum.api.schemas.reading import query
from cordum.domain.ids import JobId
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import NotFound

routes = Blueprint("audit", __name__)


@routes.get("/audit")
@requires(Role.ADMIN)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().audit.list(caller.tenant, **page_query(caller, AuditQuery)))


@routes.get("/audit/verify")
@requires(Role.ADMIN)
def verify(caller: Caller) -> Response:
    query(NoQuery)
    return answer(engine().audit.verify(caller.tenant))


@routes.get("/audit/export")
@requires(Role.ADMIN)
def export(caller: Caller) -> Response:
    query(NoQuery)
    return Response(engine().audit.export(caller.tenant), content_type="application/x-ndjson")


@routes.get("/governance/decisions")
@requires(Role.VIEWER)
def decisions(caller: Caller) -> Response:
    return listing(caller, engine().audit.decisions(caller.tenant, **page_query(caller, OrderedQuery)))


@routes.get("/jobs/<job:job_id>/decisions")
@requires(Role.VIEWER)
def decisions_of_job(caller: Caller, job_id: str) -> Response:
    job = JobId.parse(job_id)
    if job is None:
        raise NotFound(f"there is no job {job_id}")
    return listing(caller, engine().decisions(caller.tenant, job, **page_query(caller, PageQuery)))
