"""The id of a request: the caller's own `X-Request-Id` when it is a plain token, else a new one."""

from __future__ import annotations

import re
import uuid

from flask import g, request

HEADER = "X-Request-Id"

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


def request_id() -> str:
    """The same text for the whole of one request."""
    if "request_id" not in g:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _TOKEN.match(given) else new_request_id()
    return str(g.request_id)


def new_request_id() -> str:
    return uuid.uuid4().hex
