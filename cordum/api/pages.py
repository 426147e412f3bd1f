"""Lists by pages. Owns the cursor: the engine's position, signed for one tenant, one path and one set of filters.

A cursor is worth nothing for another list, and cannot be made up: signing binds it by salt, so nothing but the position
is inside. The key belongs to the application (`CURSOR_KEY`); processes that answer for each other share one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from flask import Response, current_app, request
from itsdangerous import BadData, URLSafeSerializer

from cordum.api.answers import answer
from cordum.api.schemas.queries import PageQuery
from cordum.api.schemas.reading import query
from cordum.engine import Caller, Page
from cordum.errors import Problem, Unprocessable

CURSOR_KEY = "CURSOR_KEY"

_NOT_FILTERS = frozenset({"cursor", "limit"})


def page_query(caller: Caller, schema: type[PageQuery] = PageQuery) -> dict[str, Any]:
    """The parameters of a list, `cursor` replaced by `after`: the position in it, None at the start."""
    values = query(schema)
    values["after"] = _opened(caller, values.pop("cursor", None))
    return values


def listing(caller: Caller, page: Page, **more: Any) -> Response:
    """`more` stands beside the items."""
    return answer({**more, "items": page.items, "next_cursor": _signed(caller, page.next)})


def bare_listing(caller: Caller, page: Page) -> Response:
    """For the three lists that existing clients read as an array."""
    cursor = _signed(caller, page.next)
    return answer(page.items, headers={"X-Next-Cursor": cursor} if cursor else {})


def page_by_id(items: Sequence[dict[str, Any]], limit: int, after: str | None) -> Page:
    """A page of a list that is small enough to be there as a whole, in the order of ids."""
    ordered = sorted((item for item in items if after is None or item["id"] > after), key=lambda item: str(item["id"]))
    shown = ordered[:limit]
    return Page(items=shown, next=shown[-1]["id"] if len(ordered) > limit else None)


def page_by_number(items: Sequence[dict[str, Any]], key: str, limit: int, after: str | None) -> Page:
    """A page of a list that is there as a whole, its numbers falling."""
    left = [item for item in items if after is None or item[key] < int(after)]
    shown = left[:limit]
    return Page(items=shown, next=str(shown[-1][key]) if len(left) > limit else None)


def _signed(caller: Caller, position: str | None) -> str | None:
    return None if position is None else str(_signer(caller).dumps(position))


def _opened(caller: Caller, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        return str(_signer(caller).loads(cursor))
    except BadData:
        problem = Problem("/query/cursor", "cursor_invalid", "not a cursor of this list")
        raise Unprocessable("the cursor is not usable", code="cursor_invalid", problems=[problem]) from None


def _signer(caller: Caller) -> URLSafeSerializer:
    filters = sorted(pair for pair in request.args.items(multi=True) if pair[0] not in _NOT_FILTERS)
    salt = json.dumps([caller.tenant, request.path, filters])
    return URLSafeSerializer(current_app.config[CURSOR_KEY], salt, signer_kwargs={"digest_method": hashlib.sha256})
