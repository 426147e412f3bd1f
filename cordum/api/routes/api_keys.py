"""API keys: list, make, revoke. The text of a key is in the answer that made it and nowhere else."""

from __future__ import annotations

from flask import Blueprint, Response, url_for

from cordum.api.answers import answer, no_content
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_by_id, page_query
from cordum.api.schemas.bodies import ApiKeyBody
from cordum.api.schemas.queries import ApiKeysQuery, NoQuery
from cordum.api.schemas.reading import body, query
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import Forbidden

routes = Blueprint("api_keys", __name__)


@routes.get("/api-keys")
@requires(Role.ADMIN)
def list_all(caller: Caller) -> Response:
    asked = page_query(caller, ApiKeysQuery)
    tenant = _tenant(caller, asked.pop("tenant", None))
    return listing(caller, page_by_id(engine().api_keys.list(tenant), **asked))


@routes.post("/api-keys")
@requires(Role.ADMIN)
def create(caller: Caller) -> Response:
    query(NoQuery)
    wanted = body(ApiKeyBody)
    made = engine().api_keys.create(
        _tenant(caller, wanted.get("tenant")),
        wanted["person"],
        Role(wanted["role"]),
        by=caller.person,
        expires_in_sec=wanted.get("expires_in_sec"),
        description=wanted.get("description", ""),
    )
    return answer(made, 201, {"Location": url_for("api_keys.revoke", key_id=made["id"])})


@routes.delete("/api-keys/<key:key_id>")
@requires(Role.ADMIN)
def revoke(caller: Caller, key_id: str) -> Response:
    query(NoQuery)
    engine().api_keys.revoke(None if caller.cell else caller.tenant, key_id, by=caller.person)
    return no_content()


def _tenant(caller: Caller, wanted: str | None) -> str:
    """Whose keys: another tenant's are an admin's of the whole cell only."""
    if wanted not in (None, caller.tenant) and not caller.cell:
        raise Forbidden("these are another tenant's keys", code="tenant_mismatch")
    return wanted or caller.tenant
