"""Whether governance works: what everybody whose jobs wait for it may know."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.schemas.queries import NoQuery
from cordum.api.schemas.reading import query
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("governance", __name__, url_prefix="/governance")


@routes.get("/health")
@requires(Role.VIEWER)
def health(caller: Caller) -> Response:
    query(NoQuery)
    return answer(engine().policies.health(caller))
