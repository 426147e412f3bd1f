"""Dead letters: list, read, group, retry one or many, discard."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cordum.api.answers import answer, done_or_told
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_query
from cordum.api.schemas.bodies import BulkRetryBody, LetterRetryBody, UnsaidBody
from cordum.api.schemas.queries import ActionQuery, LettersQuery, NoQuery
from cordum.api.schemas.reading import body, idempotency_key, query, reasoned
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("dead_letters", __name__)


@routes.get("/dlq")
@requires(Role.VIEWER)
def list_all(caller: Caller) -> Response:
    return listing(caller, engine().dead_letters(caller.tenant, **page_query(caller, LettersQuery)))


@routes.get("/dlq/page")
@requires(Role.VIEWER)
def page(caller: Caller) -> Response:
    """With how many there are, and whether they are more than are kept."""
    asked = page_query(caller, LettersQuery)
    return listing(caller, engine().dead_letters(caller.tenant, **asked), **engine().letters.counts(caller.tenant))


@routes.get("/dlq/groups")
@requires(Role.VIEWER)
def groups(caller: Caller) -> Response:
    """The largest first, all of them: there is one for each kind of fault."""
    query(NoQuery)
    return answer({"items": engine().letters.groups(caller.tenant), "next_cursor": None})


@routes.get("/dlq/<job:job_id>")
@requires(Role.VIEWER)
def read(caller: Caller, job_id: str) -> Response:
    query(NoQuery)
    return answer(engine().letters.get(caller.tenant, job_id))


@routes.post("/dlq/<job:job_id>/retry")
@requires(Role.OPERATOR)
def retry(caller: Caller, job_id: str) -> Response:
    dry_run, asked = query(ActionQuery)["dry_run"], body(LetterRetryBody)
    edit = (asked["input"],) if "input" in asked else None
    return answer(engine().letters.retry(caller, job_id, asked["reason"], edit, dry_run=dry_run))


@routes.delete("/dlq/<job:job_id>")
@requires(Role.OPERATOR)
def discard(caller: Caller, job_id: str) -> Response:
    dry_run, reason = reasoned(UnsaidBody)
    return done_or_told(engine().letters.discard(caller, job_id, reason, dry_run=dry_run))


@routes.post("/dlq/retry")
@requires(Role.OPERATOR)
def retry_many(caller: Caller) -> Response:
    """Answers with the bulk retry, which goes on by itself."""
    dry_run, asked = query(ActionQuery)["dry_run"], body(BulkRetryBody)
    filters: dict[str, Any] = asked["filter"]
    reason, rate = asked["reason"], asked.get("rate")
    if dry_run or asked.get("dry_run"):
        return answer(engine().bulk_retries.preview(caller, filters, reason, rate))
    return answer(engine().bulk_retries.begin(caller, filters, reason, rate, idempotency_key()))


@routes.get("/dlq/retry")
@requires(Role.VIEWER)
def list_bulk_retries(caller: Caller) -> Response:
    return listing(caller, engine().bulk_retries.list(caller.tenant, **page_query(caller)))


@routes.get("/dlq/retry/<bulk:bulk_id>")
@requires(Role.VIEWER)
def read_bulk_retry(caller: Caller, bulk_id: str) -> Response:
    query(NoQuery)
    return answer(engine().bulk_retries.get(caller.tenant, bulk_id))


@routes.post("/dlq/retry/<bulk:bulk_id>/stop")
@requires(Role.OPERATOR)
def stop_bulk_retry(caller: Caller, bulk_id: str) -> Response:
    dry_run, reason = reasoned()
    return answer(engine().bulk_retries.stop(caller, bulk_id, reason, dry_run=dry_run))
