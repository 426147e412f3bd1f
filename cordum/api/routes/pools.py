"""Pools and topics: who serves what. They are about all tenants."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.answers import answer, no_content
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_by_id, page_query
from cordum.api.schemas.bodies import PoolBody, TopicBody
from cordum.api.schemas.queries import NoQuery, TopicQuery
from cordum.api.schemas.reading import body, query
from cordum.domain.roles import Role
from cordum.engine import Caller, Page

routes = Blueprint("pools", __name__)


@routes.get("/pools")
@requires(Role.VIEWER, cell=True)
def list_pools(caller: Caller) -> Response:
    return listing(caller, page_by_id(engine().pools.pools(), **page_query(caller)))


@routes.get("/pools/<pool:pool>")
@requires(Role.VIEWER, cell=True)
def read_pool(caller: Caller, pool: str) -> Response:
    query(NoQuery)
    return answer(engine().pools.pool(pool))


@routes.put("/pools/<pool:pool>")
@requires(Role.ADMIN, cell=True)
def put_pool(caller: Caller, pool: str) -> Response:
    query(NoQuery)
    return answer(engine().pools.put_pool(caller, pool, body(PoolBody)))


@routes.delete("/pools/<pool:pool>")
@requires(Role.ADMIN, cell=True)
def delete_pool(caller: Caller, pool: str) -> Response:
    query(NoQuery)
    engine().pools.delete_pool(caller, pool)
    return no_content()


@routes.get("/topics")
@requires(Role.VIEWER, cell=True)
def list_topics(caller: Caller) -> Response:
    page_query(caller)  # but all are shown: their order says which counts
    return listing(caller, Page(engine().pools.topics()))


@routes.post("/topics")
@requires(Role.ADMIN, cell=True)
def put_topic(caller: Caller) -> Response:
    query(NoQuery)
    wanted = body(TopicBody)
    return answer(engine().pools.put_topic(caller, wanted["topic"], wanted["pools"]), 201)


@routes.delete("/topics")
@requires(Role.ADMIN, cell=True)
def delete_topic(caller: Caller) -> Response:
    engine().pools.delete_topic(caller, query(TopicQuery)["topic"])
    return no_content()
