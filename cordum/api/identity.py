"""Who is asking: the one place that turns a request into a Caller, and the role each route asks for.

Development rules (CONTRACT.md 3.13): without keys the headers say tenant and person, and everyone has every role.
Keys replace `caller_of` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Concatenate, ParamSpec

from flask import Request, Response, request

from cordum.domain.ids import TENANT
from cordum.engine import Caller
from cordum.errors import InvalidInput, Problem

DEFAULT_TENANT = "default"
ANONYMOUS = "anonymous"

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,127}\Z")

P = ParamSpec("P")


class Role(StrEnum):
    PUBLIC = "public"  # asks for nobody: health
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


def requires(role: Role) -> Callable[[Callable[Concatenate[Caller, P], Response]], Callable[P, Response]]:
    """Declare the role of a view; the view gets the caller as its first argument."""

    def decorate(view: Callable[Concatenate[Caller, P], Response]) -> Callable[P, Response]:
        @wraps(view)
        def identified(*args: P.args, **kwargs: P.kwargs) -> Response:
            return view(caller_of(request), *args, **kwargs)

        return _declared(identified, role)

    return decorate


def public(view: Callable[P, Response]) -> Callable[P, Response]:
    """Declare that a view is for everyone and knows no caller."""
    return _declared(view, Role.PUBLIC)


def role_of(view: Callable[..., object]) -> Role | None:
    """The role that a view declares; None is a mistake, and a test says so."""
    role = vars(view).get("role")
    return role if isinstance(role, Role) else None


def caller_of(asked: Request) -> Caller:
    tenant = _header(asked, "X-Tenant-ID", TENANT, DEFAULT_TENANT)
    person = _header(asked, "X-Principal-Id", _PERSON, ANONYMOUS)
    return Caller(tenant=tenant, person=person)


def _header(asked: Request, name: str, wanted: re.Pattern[str], default: str) -> str:
    """One value; a header given twice arrives joined by a comma, which no format allows."""
    value = asked.headers.get(name, "") or default
    if not wanted.match(value):
        problem = Problem(f"/headers/{name}", "id_format", f"must match {wanted.pattern.removesuffix(chr(92) + 'Z')}")
        raise InvalidInput(f"the header {name} is not usable", code="header_invalid", problems=[problem])
    return value


def _declared(view: Callable[P, Response], role: Role) -> Callable[P, Response]:
    vars(view)["role"] = role
    return view
