"""Who is asking: the one place that turns a request into a Caller, and the role each route asks for.

With keys the key says tenant, person and role. Development rules (CONTRACT.md 3.13): without keys the headers say
tenant and person, and everyone has every role.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from flask import Flask, Request, Response, current_app, request

from cordum.api.context import engine
from cordum.domain.api_keys import PERSON
from cordum.domain.ids import TENANT
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import Forbidden, InvalidInput, Problem
from cordum.loopback import names_this_machine

DEFAULT_TENANT = "default"
ANONYMOUS = "anonymous"

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Access:
    """What a view asks of its caller: a role (None: it asks for nobody), and whether it is about the whole cell."""

    role: Role | None
    cell: bool = False


def requires(
    role: Role, *, cell: bool = False
) -> Callable[[Callable[Concatenate[Caller, P], Response]], Callable[P, Response]]:
    """Declare the role of a view; the view gets the caller as its first argument."""
    access = Access(role, cell)

    def decorate(view: Callable[Concatenate[Caller, P], Response]) -> Callable[P, Response]:
        @wraps(view)
        def identified(*args: P.args, **kwargs: P.kwargs) -> Response:
            return view(_admitted(caller_of(request), access), *args, **kwargs)

        return _declared(identified, access)

    return decorate


def public(view: Callable[P, Response]) -> Callable[P, Response]:
    """Declare that a view is for everyone and knows no caller."""
    return _declared(view, Access(None))


def access_of(view: Callable[..., object]) -> Access | None:
    """What a view declares; None is a mistake, and a test says so."""
    access = vars(view).get("access")
    return access if isinstance(access, Access) else None


def refuse_undeclared(app: Flask) -> None:
    """A route that says nothing about its callers answers nobody."""

    def check() -> None:
        view = current_app.view_functions.get(request.endpoint or "")
        if view is not None and access_of(view) is None:
            raise Forbidden("nobody may use this path")

    app.before_request(check)


def caller_of(asked: Request) -> Caller:
    keys = engine().api_keys
    if keys.required():
        caller = keys.identify(_presented_key(asked), asked.remote_addr or "")
        return _of_this_tenant(caller, asked.headers.get("X-Tenant-ID"))
    if not names_this_machine(asked.host):
        raise Forbidden("without API keys only requests to this machine's own name are answered", code="host_not_local")
    tenant = _header(asked, "X-Tenant-ID", TENANT, DEFAULT_TENANT)
    person = _header(asked, "X-Principal-Id", PERSON, ANONYMOUS)
    return Caller(tenant=tenant, person=person, cell=True)


def _presented_key(asked: Request) -> str | None:
    """The key in a request. Two different ones are none: nobody knows which was meant."""
    given = {key for key in (asked.headers.get("X-API-Key"), _bearer(asked)) if key}
    return given.pop() if len(given) == 1 else None


def _bearer(asked: Request) -> str | None:
    scheme, _, credentials = asked.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _of_this_tenant(caller: Caller, wanted: str | None) -> Caller:
    if wanted and wanted != caller.tenant:
        raise Forbidden("the API key belongs to another tenant than X-Tenant-ID says", code="tenant_mismatch")
    return caller


def _admitted(caller: Caller, access: Access) -> Caller:
    if access.role is not None and not caller.role.includes(access.role):
        raise Forbidden(f"this takes the role {access.role.value}, the key has {caller.role.value}", code="role_needed")
    if access.cell and not caller.cell:
        raise Forbidden("this is about all tenants: it takes an admin of the admin tenant", code="cell_admin_needed")
    return caller


def _header(asked: Request, name: str, wanted: re.Pattern[str], default: str) -> str:
    """One value; a header given twice arrives joined by a comma, which no format allows."""
    value = asked.headers.get(name, "") or default
    if not wanted.match(value):
        problem = Problem(f"/headers/{name}", "id_format", f"must match {wanted.pattern.removesuffix(chr(92) + 'Z')}")
        raise InvalidInput(f"the header {name} is not usable", code="header_invalid", problems=[problem])
    return value


def _declared(view: Callable[P, Response], access: Access) -> Callable[P, Response]:
    vars(view)["access"] = access
    return view
