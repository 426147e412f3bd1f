"""Hooks: keep and show them; and the one route that strangers use, who show a signature instead of a key."""

from __future__ import annotations

from flask import Blueprint, Response, request, url_for

from cordum.api.answers import answer, done_or_told
from cordum.api.context import engine
from cordum.api.identity import public, requires
from cordum.api.pages import listing, page_query
from cordum.api.schemas.bodies import HookBody
from cordum.api.schemas.queries import NoQuery
from cordum.api.schemas.reading import body, query, reasoned
from cordum.domain.roles import Role
from cordum.engine import Caller, Delivery

routes = Blueprint("hooks", __name__)


@routes.get("/hooks")
@requires(Role.OPERATOR)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().hooks.list(caller.tenant, **page_query(caller)))


@routes.post("/hooks")
@requires(Role.OPERATOR)
def create(caller: Caller) -> Response:
    query(NoQuery)
    made = engine().hooks.create(caller, body(HookBody))
    return answer(made, 201, {"Location": url_for("hooks.read", hook_id=made["id"])})


@routes.get("/hooks/<hook:hook_id>")
@requires(Role.OPERATOR)
def read(caller: Caller, hook_id: str) -> Response:
    query(NoQuery)
    return answer(engine().hooks.get(caller.tenant, hook_id))


@routes.delete("/hooks/<hook:hook_id>")
@requires(Role.OPERATOR)
def delete(caller: Caller, hook_id: str) -> Response:
    dry_run, reason = reasoned()
    return done_or_told(engine().hooks.delete(caller, hook_id, reason, dry_run=dry_run))


@routes.post("/hooks/<hook:hook_id>/rotate")
@requires(Role.OPERATOR)
def rotate(caller: Caller, hook_id: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().hooks.rotate(caller, hook_id, reason, dry_run=dry_run))


@routes.post("/hooks/<hook:hook_id>")
@public
def deliver(hook_id: str) -> Response:
    given = request.headers
    delivery = Delivery(
        given.get("X-Cordum-Timestamp", ""),
        given.get("X-Cordum-Signature", ""),
        given.get("X-Cordum-Delivery"),
        request.get_data(),
    )
    done, before = engine().hooks.deliver(hook_id, delivery)
    return answer(done, headers={"Idempotent-Replayed": "true"} if before else None)
