"""Workers and queues. They serve all tenants, so these routes are for those who look after the cell."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_by_id, page_query
from cordum.api.schemas.queries import NoQuery
from cordum.api.schemas.reading import query, reasoned
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("fleet", __name__)


@routes.get("/workers")
@requires(Role.VIEWER, cell=True)
def list_workers(caller: Caller) -> Response:
    return listing(caller, page_by_id(engine().fleet.workers(), **page_query(caller)))


@routes.get("/workers/<worker:worker_id>")
@requires(Role.VIEWER, cell=True)
def read_worker(caller: Caller, worker_id: str) -> Response:
    query(NoQuery)
    return answer(engine().fleet.worker(worker_id))


@routes.post("/workers/<worker:worker_id>/drain")
@requires(Role.OPERATOR, cell=True)
def drain_worker(caller: Caller, worker_id: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().fleet.drain(caller, worker_id, reason, dry_run=dry_run))


@routes.delete("/workers/<worker:worker_id>/drain")
@requires(Role.OPERATOR, cell=True)
def open_worker(caller: Caller, worker_id: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().fleet.drain(caller, worker_id, reason, draining=False, dry_run=dry_run))


@routes.post("/pools/<pool:pool>/drain")
@requires(Role.OPERATOR, cell=True)
def drain_pool(caller: Caller, pool: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().fleet.drain_pool(caller, pool, reason, dry_run=dry_run))


@routes.delete("/pools/<pool:pool>/drain")
@requires(Role.OPERATOR, cell=True)
def open_pool(caller: Caller, pool: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().fleet.drain_pool(caller, pool, reason, draining=False, dry_run=dry_run))


@routes.get("/queues")
@requires(Role.VIEWER, cell=True)
def list_queues(caller: Caller) -> Response:
    queues = [{"id": one["name"], **one} for one in engine().fleet.queues()]
    return listing(caller, page_by_id(queues, **page_query(caller)))


@routes.post("/queues/<topic:topic>/pause")
@requires(Role.OPERATOR, cell=True)
def pause_queue(caller: Caller, topic: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().fleet.pause(caller, topic, reason, dry_run=dry_run))


@routes.post("/queues/<topic:topic>/resume")
@requires(Role.OPERATOR, cell=True)
def resume_queue(caller: Caller, topic: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().fleet.resume(caller, topic, reason, dry_run=dry_run))
