"""Keys for tests: one line makes one, and gives the header that carries it."""

from __future__ import annotations

from cordum.domain.roles import Role
from cordum.engine import Engine


def headers(engine: Engine, tenant: str, person: str, role: Role = Role.ADMIN) -> dict[str, str]:
    return {"X-API-Key": engine.api_keys.create(tenant, person, role, by="test")["key"]}
