"""Schedules: keep, show, pause, resume; by hand: trigger and backfill."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer, done_or_told
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.api.schemas.bodies import BackfillBody, NewScheduleBody, ScheduleBody
from cordum.api.schemas.queries import ActionQuery, NoQuery, TicksQuery
from cordum.api.schemas.reading import body, idempotency_key, moment, query, reasoned
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("schedules", __name__)


@routes.get("/schedules")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().schedules.list(caller.tenant, **page_query(caller)))


@routes.post("/schedules")
@requires(Role.OPERATOR)
def create(caller: Caller) -> Response:
    query(NoQuery)
    made = engine().schedules.create(caller, body(NewScheduleBody))
    return answer(made, 201, {"Location": url_for("schedules.read", schedule_id=made["id"])})


@routes.get("/schedules/<schedule:schedule_id>")
@requires(Role.VIEWER)
def read(caller: Caller, schedule_id: str) -> Response:
    query(NoQuery)
    return answer(engine().schedules.get(caller.tenant, schedule_id))


@routes.put("/schedules/<schedule:schedule_id>")
@requires(Role.OPERATOR)
def replace(caller: Caller, schedule_id: str) -> Response:
    query(NoQuery)
    engine().schedules.get(caller.tenant, schedule_id)
    return answer(engine().schedules.replace(caller, schedule_id, body(ScheduleBody)))


@routes.delete("/schedules/<schedule:schedule_id>")
@requires(Role.OPERATOR)
def delete(caller: Caller, schedule_id: str) -> Response:
    dry_run, reason = reasoned()
    return done_or_told(engine().schedules.delete(caller, schedule_id, reason, dry_run=dry_run))


@routes.get("/schedules/<schedule:schedule_id>/next")
@requires(Role.VIEWER)
def next_ticks(caller: Caller, schedule_id: str) -> Response:
    count = query(TicksQuery)["count"]
    return answer({"items": engine().schedules.next_ticks(caller.tenant, schedule_id, count), "next_cursor": None})


@routes.post("/schedules/<schedule:schedule_id>/pause")
@requires(Role.OPERATOR)
def pause(caller: Caller, schedule_id: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().schedules.pause(caller, schedule_id, reason, dry_run=dry_run))


@routes.post("/schedules/<schedule:schedule_id>/resume")
@requires(Role.OPERATOR)
def resume(caller: Caller, schedule_id: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().schedules.resume(caller, schedule_id, reason, dry_run=dry_run))


@routes.post("/schedules/<schedule:schedule_id>/trigger")
@requires(Role.OPERATOR)
def trigger(caller: Caller, schedule_id: str) -> Response:
    query(NoQuery)
    run_id = engine().schedules.trigger(caller, schedule_id, idempotency_key())
    return answer(engine().run(caller.tenant, run_id), headers={"Location": url_for("runs.read", run_id=run_id)})


@routes.post("/schedules/<schedule:schedule_id>/backfill")
@requires(Role.OPERATOR)
def backfill(caller: Caller, schedule_id: str) -> Response:
    dry_run, asked = query(ActionQuery)["dry_run"], body(BackfillBody)
    first, last = moment(asked["first"], "from"), moment(asked["last"], "to")
    done = engine().schedules.backfill(caller, schedule_id, first, last, asked["reason"], dry_run=dry_run)
    return answer(done)
