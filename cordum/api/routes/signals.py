"""Signals to whoever waits for them."""

from __future__ import annotations

from flask import Blueprint, Response

from cordum.api.answers import answer
from cordum.api.context import engine
from cordum.api.identity import requires
from cordum.api.schemas.bodies import SignalByCorrelationBody
from cordum.api.schemas.queries import ActionQuery
from cordum.api.schemas.reading import body, idempotency_key, query
from cordum.domain.roles import Role
from cordum.engine import Caller

routes = Blueprint("signals", __name__)


@routes.post("/signals/<step:name>")
@requires(Role.OPERATOR)
def send(caller: Caller, name: str) -> Response:
    dry_run, said, key = query(ActionQuery)["dry_run"], body(SignalByCorrelationBody), idempotency_key()
    done = engine().signals.send(caller, name, said["correlation"], said.get("payload"), key, dry_run=dry_run)
    headers = {"Idempotent-Replayed": "true"} if done.word == "REPLAYED" else {}
    runs = list(done.run_ids)
    shown = {"name": name, "correlation": said["correlation"], "delivered_to": runs, "kept": not runs}
    return answer({"dry_run": True, **shown} if dry_run else shown, headers=headers)
