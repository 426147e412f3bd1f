"""What limits jobs together: who holds places, and who waits for them."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("concurrency", __name__)


@routes.get("/concurrency")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().concurrency(caller.tenant, **page_query(caller)))
