"""Metrics, for Prometheus to scrape; the same from whatever API process answers, because all are read from Redis.

They tell of all tenants, so a tenant's viewer may not see them.
"""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.metrics import CONTENT_TYPE, exposition
from cordum.api.schemas.queries import NoQuery
from cordum.api.schemas.reading import query
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("metrics", __name__)


@routes.get("/metrics")
@requires(Role.ADMIN, cell=True)
def scrape(caller: Caller) -> Response:
    query(NoQuery)
    return Response(exposition(engine().metrics()), content_type=CONTENT_TYPE)
