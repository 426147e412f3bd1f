"""Approvals: list, read, approve, reject."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.api.schemas.bodies import CommentBody, ReasonBody
from cordum.api.schemas.queries import ApprovalsQuery, NoQuery
from cordum.api.schemas.reading import body, query
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("approvals", __name__)


@routes.get("/approvals")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().approvals(caller.tenant, **page_query(caller, ApprovalsQuery)))


@routes.get("/approvals/stats")
@requires(Role.VIEWER)
def stats(caller: Caller) -> Response:
    query(NoQuery)
    return answer(engine().approval_stats(caller.tenant))


@routes.get("/approvals/<job:job_id>")
@requires(Role.VIEWER)
def read(caller: Caller, job_id: str) -> Response:
    query(NoQuery)
    return answer(engine().approval(caller.tenant, job_id))


@routes.post("/approvals/<job:job_id>/approve")
@requires(Role.APPROVER)
def approve(caller: Caller, job_id: str) -> Response:
    query(NoQuery)
    return _decided(engine().approve(caller, job_id, body(CommentBody).get("reason")))


@routes.post("/approvals/<job:job_id>/reject")
@requires(Role.APPROVER)
def reject(caller: Caller, job_id: str) -> Response:
    query(NoQuery)
    return _decided(engine().reject(caller, job_id, body(ReasonBody)["reason"]))


def _decided(approval: dict[str, Any]) -> Response:
    # Existing clients read `trace_id` (CONTRACT.md 5.1), which is null where nothing is traced.
    return answer({"trace_id": None, **approval})
