"""Signals by what they are about: a sender knows a name and a correlation, not the run that waits."""

from __future__ import annotations

import uuid

from cordum.domain.workflow import JSON
from cordum.engine.core import Core
from cordum.engine.values import Caller
from cordum.errors import IdempotencyKeyReused, StateConflict, Unavailable
from cordum.store.signals import Delivered, DeliverReply, Delivery

KEEP_MS = 7 * 24 * 3600 * 1000
MAX_KEPT = 10_000  # of one tenant
_UNNAMED_TTL_SEC = 600  # a delivery without a key is remembered while its sender may repeat it
_MOST_ATTEMPTS = 100


class Signals:
    def __init__(self, core: Core) -> None:
        self._core = core

    def send(
        self,
        caller: Caller,
        name: str,
        correlation: str,
        payload: JSON,
        key: str | None,
        scope: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Delivered:
        """Hand it to every step that waits for it, or keep it for the first that will; a key makes it one delivery."""
        named = max(self._core.settings.idempotency_ttl_sec, _UNNAMED_TTL_SEC) if key else _UNNAMED_TTL_SEC
        token, within = key or uuid.uuid4().hex, scope or f"signal {name}"
        delivery = Delivery(caller.tenant, name, correlation, payload, caller.person, token, within, named)
        done = self._core.store.signals.foresee(delivery, MAX_KEPT) if dry_run else self._delivered(delivery)
        if done.word is DeliverReply.KEY_REUSED:
            raise IdempotencyKeyReused("this delivery has been used for another signal: use a new key")
        if done.word is DeliverReply.FULL:
            raise StateConflict(
                f"{MAX_KEPT} signals wait already for steps that may never ask: let some be taken, or expire",
                code="too_many_signals",
            )
        for run_id in done.run_ids if not dry_run else ():
            self._core.advance(run_id)
        return done

    def _delivered(self, delivery: Delivery) -> Delivered:
        for _ in range(_MOST_ATTEMPTS):
            done = self._core.store.signals.deliver(delivery, KEEP_MS, MAX_KEPT)
            if done.word is not DeliverReply.MOVED:
                return done
        raise Unavailable("runs begin and cease to wait too fast, try again", code="conflict_repeated")
