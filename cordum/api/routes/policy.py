"""The policy: asked, explained, tried out, tested; published, rolled back, drafted.

Asking is about the caller's tenant; what changes the policy, and its history, is about all of them.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cordum.api.answers import answer, no_content, problem_item
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.pages import listing, page_by_id, page_query
from cordum.api.policy_bodies import (
    BundleBody,
    PolicyRequestBody,
    PublishBody,
    ReplayBody,
    RollbackBody,
    SimulateBody,
    TestBody,
    policy_request,
)
from cordum.api.schemas.queries import NoQuery
from cordum.api.schemas.reading import body, idempotency_key, query
from cordum.domain.roles import Role
from cordum.engine import Caller
from cordum.errors import Problem, Unprocessable

routes = Blueprint("policy", __name__)


@routes.post("/evaluate")
@requires(Role.VIEWER)
def evaluate(caller: Caller) -> Response:
    query(NoQuery)
    return answer(engine().policies.evaluate(caller, policy_request(body(PolicyRequestBody), caller.tenant)))


@routes.post("/explain")
@requires(Role.VIEWER)
def explain(caller: Caller) -> Response:
    query(NoQuery)
    return answer(engine().policies.explain(caller, policy_request(body(PolicyRequestBody), caller.tenant)))


@routes.post("/simulate")
@requires(Role.ADMIN, cell=True)
def simulate(caller: Caller) -> Response:
    query(NoQuery)
    given = body(SimulateBody)
    request = policy_request(given, caller.tenant)
    return answer(engine().policies.simulate(caller, request, _text(given, needed=True) or b""))


@routes.post("/replay")
@requires(Role.ADMIN, cell=True)
def replay(caller: Caller) -> Response:
    query(NoQuery)
    given = body(ReplayBody)
    source = _text(given, needed=True) or b""
    which = {name: given[name] for name in ("tenant", "workflow_id", "limit") if name in given}
    return answer(engine().policies.replay(caller, source, **which))


@routes.post("/test")
@requires(Role.ADMIN, cell=True)
def test(caller: Caller) -> Response:
    query(NoQuery)
    given = body(TestBody)
    return answer(engine().policies.test(given["cases"].encode(), _text(given)))


@routes.get("/rules")
@requires(Role.VIEWER)
def rules(caller: Caller) -> Response:
    query(NoQuery)
    return answer({**engine().policies.rules(caller), "next_cursor": None})


@routes.get("/snapshots")
@requires(Role.ADMIN, cell=True)
def snapshots(caller: Caller) -> Response:
    page = engine().policies.history(**page_query(caller))
    return listing(caller, page, active=engine().policies.state())


@routes.post("/publish")
@requires(Role.ADMIN, cell=True)
def publish(caller: Caller) -> Response:
    query(NoQuery)
    given = body(PublishBody)
    cases = given["cases"].encode() if "cases" in given else None
    source = _text(given, needed=True) or b""
    asked = {"note": given.get("note", ""), "cases": cases, "request": _request(caller)}
    return answer(_with_items(engine().policies.publish(source, caller.person, **asked)))


@routes.post("/rollback")
@requires(Role.ADMIN, cell=True)
def rollback(caller: Caller) -> Response:
    query(NoQuery)
    given = body(RollbackBody)
    asked = {"epoch": given.get("epoch"), "note": given.get("note", ""), "request": _request(caller)}
    return answer(_with_items(engine().policies.rollback(caller.person, **asked)))


@routes.get("/bundles")
@requires(Role.ADMIN, cell=True)
def drafts(caller: Caller) -> Response:
    shown = [_with_items(draft) for draft in engine().policies.drafts()]
    return listing(caller, page_by_id(shown, **page_query(caller)))


@routes.get("/bundles/<bundle:bundle_id>")
@requires(Role.ADMIN, cell=True)
def draft(caller: Caller, bundle_id: str) -> Response:
    query(NoQuery)
    return answer(_with_items(engine().policies.draft(bundle_id)))


@routes.put("/bundles/<bundle:bundle_id>")
@requires(Role.ADMIN, cell=True)
def save_draft(caller: Caller, bundle_id: str) -> Response:
    query(NoQuery)
    source = body(BundleBody)["policy"].encode()
    return answer(_with_items(engine().policies.save_draft(bundle_id, source, caller.person)))


@routes.delete("/bundles/<bundle:bundle_id>")
@requires(Role.ADMIN, cell=True)
def delete_draft(caller: Caller, bundle_id: str) -> Response:
    query(NoQuery)
    engine().policies.delete_draft(bundle_id, caller.person)
    return no_content()


def _text(given: dict[str, Any], *, needed: bool = False) -> bytes | None:
    """The policy that a body brings, or names as a draft; one of the two at most."""
    if "policy" in given and "bundle_id" in given:
        raise _one_of_two("unknown_field", "give policy or bundle_id, not both")
    if "bundle_id" in given:
        return engine().policies.draft_source(given["bundle_id"])
    if "policy" in given:
        text: str = given["policy"]
        return text.encode()
    if needed:
        raise _one_of_two("missing_field", "give policy (its text) or bundle_id (a draft)")
    return None


def _request(caller: Caller) -> str:
    """By what a repeated request to change the policy is known: the key that was sent with it, and who sent it."""
    key = idempotency_key()
    return f"{caller.tenant} {caller.person} {key}" if key else ""


def _one_of_two(code: str, said: str) -> Unprocessable:
    return Unprocessable(f"the body is not usable: {said}", problems=[Problem("/policy", code, said)])


def _with_items(document: dict[str, Any]) -> dict[str, Any]:
    found = dict(document)
    for name in document.keys() & {"errors", "warnings"}:
        found[name] = [problem_item(one) for one in document[name]]
    return found
