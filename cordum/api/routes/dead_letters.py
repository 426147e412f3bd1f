"""Dead letters: list."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("dead_letters", __name__)


@routes.get("/dlq")
@routes.get("/dlq/page", endpoint="page")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().dead_letters(caller.tenant, **page_query(caller)))
