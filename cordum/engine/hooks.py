"""Hooks: made, shown, and carried out when a delivery comes that its sender has signed.

A delivery counts once: its name (or, without one, its signature) is the idempotency key of the run or the signal, in
the script that writes these. A secret is derived from a master key and kept nowhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cordum.domain.audit import Act
from cordum.domain.definition import read_json
from cordum.domain.expressions import ExpressionSyntaxError
from cordum.domain.hooks import (
    DELIVERY,
    WINDOW_SEC,
    Hook,
    SendSignal,
    StartRun,
    in_time,
    secret_of,
    signed_by,
)
from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.operations import required_reason
from cordum.engine.runs import check_input, refuse_by_policy
from cordum.engine.signals import Signals
from cordum.engine.starting import Start
from cordum.engine.values import Caller, Page
from cordum.engine.views import rfc3339
from cordum.engine.workflows import Workflows
from cordum.errors import IdempotencyKeyReused, NotFound, Problem, StateConflict, Unauthenticated, Unprocessable
from cordum.store.hooks import action_document, read_action
from cordum.store.runs import CreateReply, Idempotency

MAX_HOOKS = 1000  # of one tenant
_NOBODY = "no hook"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came: the values of three headers, and the body as it was sent."""

    timestamp: str
    signature: str
    name: str | None
    body: bytes


class Hooks:
    def __init__(self, core: Core, workflows: Workflows, signals: Signals) -> None:
        self._core = core
        self._store = core.store.hooks
        self._workflows = workflows
        self._signals = signals

    # -- keeping -------------------------------------------------------------------------------------------------

    def create(self, caller: Caller, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """A new hook as a document; its secret is under `secret`, here and never again."""
        action = _action(wanted)
        if isinstance(action, StartRun):
            self._known(caller.tenant, action)
        if len(self._store.ids(caller.tenant)) >= MAX_HOOKS:
            raise StateConflict(f"a tenant has at most {MAX_HOOKS} hooks: delete some", code="limit_exceeded")
        hook_id, nonce = f"hook-{os.urandom(8).hex()}", os.urandom(16).hex()
        now, about = self._store.read(hook_id).now, wanted.get("description", "")
        hook = Hook(hook_id, caller.tenant, caller.person, nonce, action, about, now)
        self._store.save(hook)
        return {**_view(hook), "secret": secret_of(self._master(), hook_id, nonce)}

    def _known(self, tenant: str, action: StartRun) -> tuple[int, str]:
        """Number and digest of what it starts."""
        try:
            found = self._core.store.workflows.pinned(tenant, action.workflow_id, action.version)
            return self._workflows.required(action.workflow_id, found)
        except NotFound as error:
            problem = Problem("/start/workflow_id", "unknown_workflow", f"{error.detail}: save it first")
            raise Unprocessable(f"the hook is not usable: {problem}", problems=[problem]) from None

    def list(self, tenant: str, limit: int, after: str | None) -> Page:
        ids = [one for one in self._store.ids(tenant) if after is None or one > after]
        found = [self._store.read(one).hook for one in ids[:limit]]
        return Page([_view(hook) for hook in found if hook], ids[limit - 1] if len(ids) > limit else None)

    def get(self, tenant: str, hook_id: str) -> dict[str, Any]:
        return _view(self._required(tenant, hook_id))

    def rotate(self, caller: Caller, hook_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Give it another secret, shown here and never again; what the one before has signed is refused from now on."""
        act = Act(caller.person, caller.tenant, required_reason(reason))
        hook = self._required(caller.tenant, hook_id)
        if dry_run:
            return {"dry_run": True, **_view(hook)}
        nonce = os.urandom(16).hex()
        if not self._store.rotate(hook.id, nonce, act):
            raise _no_hook(hook_id)
        return {**_view(hook), "secret": secret_of(self._master(), hook_id, nonce)}

    def delete(self, caller: Caller, hook_id: str, reason: str, *, dry_run: bool = False) -> dict[str, Any] | None:
        """From now on its deliveries are nobody's. None, or what a dry run tells: the hook that would go."""
        act = Act(caller.person, caller.tenant, required_reason(reason))
        hook = self._required(caller.tenant, hook_id)
        if dry_run:
            return {"dry_run": True, **_view(hook)}
        self._store.delete(hook.id, act)
        return None

    def _required(self, tenant: str, hook_id: str) -> Hook:
        hook = self._store.read(hook_id).hook
        if hook is None or hook.tenant != tenant:
            raise _no_hook(hook_id)
        return hook

    def _master(self) -> str:
        return self._core.settings.hook_master_key or self._store.master(os.urandom(32).hex())

    # -- deliveries ----------------------------------------------------------------------------------------------

    def deliver(self, hook_id: str, delivery: Delivery) -> tuple[dict[str, Any], bool]:
        """Carry a delivery out, once; the answer, and whether it had been carried out before.

        Unauthenticated, always the same, for what the hook's secret has not signed and for hooks that are not there.
        """
        seen = self._store.read(hook_id)
        hook = seen.hook
        secret = secret_of(self._master(), hook_id, hook.nonce if hook else _NOBODY)
        signed = signed_by(secret, delivery.signature, delivery.timestamp, delivery.name, delivery.body)
        if hook is None or not signed:
            raise Unauthenticated(
                "no hook of this id has signed this: X-Cordum-Signature must be sha256= and the hex HMAC-SHA256 of "
                "`<X-Cordum-Timestamp>.<body>` under its secret (`<timestamp>.<X-Cordum-Delivery>.<body>` with one)",
                code="signature_invalid",
            )
        if not in_time(delivery.timestamp, seen.now):
            raise Unauthenticated(
                f"signed more than {WINDOW_SEC} s from now: sign anew with the present time, in seconds since 1970",
                code="timestamp_outside_window",
            )
        if delivery.name is not None and not DELIVERY.match(delivery.name):
            problem = Problem("/headers/X-Cordum-Delivery", "id_format", "must be 1 to 128 visible ASCII characters")
            raise Unprocessable("the delivery's name is not usable", problems=[problem])
        scope = {"body": _object(read_json(delivery.body, max_depth=64), "the body")}
        key = delivery.name or delivery.signature
        try:
            if isinstance(hook.action, StartRun):
                return self._start(hook, hook.action, scope, key, delivery.body)
            return self._signal(hook, hook.action, scope, key)
        except IdempotencyKeyReused:
            raise StateConflict(
                "this delivery has come before with another body: give each its own X-Cordum-Delivery",
                code="delivery_reused",
            ) from None

    def _start(
        self, hook: Hook, action: StartRun, scope: Mapping[str, Any], key: str, body: bytes
    ) -> tuple[dict[str, Any], bool]:
        version, digest = self._known(hook.tenant, action)
        workflow = self._core.workflow(hook.tenant, action.workflow_id, digest)
        input_ = _object(action.input.render(scope), "the input that the hook makes of it")
        check_input(workflow, input_)
        ttl_sec = max(self._core.settings.idempotency_ttl_sec, 2 * WINDOW_SEC)
        once = Idempotency(key, hashlib.sha256(body).hexdigest(), ttl_sec, f"hook {hook.id}")
        start = Start(
            tenant=hook.tenant,
            person=hook.person,
            workflow=workflow,
            version=(version, digest),
            input=input_,
            labels={"hook": hook.id},
            triggered_by=hook.id,
        )
        created, _ = self._core.create(start, once, check=refuse_by_policy)
        if created.word is CreateReply.KEY_REUSED:
            raise IdempotencyKeyReused("")
        return {"hook_id": hook.id, "run_id": created.run_id}, created.word is CreateReply.REPLAYED

    def _signal(
        self, hook: Hook, action: SendSignal, scope: Mapping[str, Any], key: str
    ) -> tuple[dict[str, Any], bool]:
        correlation = action.correlation.render(scope)
        if not isinstance(correlation, str) or not 1 <= len(correlation) <= 256:
            raise Unprocessable(
                "the hook makes no correlation of this: it must be a text of 1 to 256 characters",
                code="correlation_invalid",
            )
        sender = Caller(hook.tenant, hook.person)
        payload = action.payload.render(scope)
        done = self._signals.send(sender, action.name, correlation, payload, key, f"hook {hook.id}")
        runs = list(done.run_ids)
        shown = {"hook_id": hook.id, "delivered_to": runs, "kept": not runs}
        return shown, done.word == "REPLAYED"


def _no_hook(hook_id: str) -> NotFound:
    return NotFound(f"there is no hook {hook_id}")


def _object(value: JSON, what: str) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise Unprocessable(
            f"{what} is no JSON object", code="type", problems=[Problem("", "type", "must be an object")]
        )
    return value


def _action(wanted: Mapping[str, Any]) -> StartRun | SendSignal:
    if ("start" in wanted) == ("signal" in wanted):
        problem = Problem("", "invalid_choice", "give either `start` or `signal`: what a delivery does")
        raise Unprocessable(f"the hook is not usable: {problem}", problems=[problem])
    try:
        return read_action(wanted)
    except ExpressionSyntaxError as error:
        path = "".join(f"/{part}" for part in error.path)
        problem = Problem(path, "expr_syntax", f"{error.message} (column {error.column})")
        raise Unprocessable(f"the hook is not usable: {problem}", problems=[problem]) from None


def _view(hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        **action_document(hook.action),
        "description": hook.description,
        "created_by": hook.person,
        "created_at": rfc3339(hook.created_at),
        "path": f"/api/v1/hooks/{hook.id}",
    }
