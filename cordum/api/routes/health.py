"""Health: the process is there (`/healthz`, `/livez`), and it can do its work (`/readyz`)."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import public
from cordum.api.schemas.queries import NoQuery
from cordum.api.schemas.reading import query

routes = Blueprint("health", __name__)


@routes.get("/healthz")
@routes.get("/livez", endpoint="livez")
@public
def healthz() -> Response:
    query(NoQuery)
    return answer({"status": "ok"})


@routes.get("/readyz")
@public
def readyz() -> Response:
    query(NoQuery)
    engine().ping()
    return answer({"status": "ready"})
