"""Signals that find their run by what they are about: handed to whoever waits, else kept for a while."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cordum.domain.plan import Event
from cordum.domain.workflow import JSON
from cordum.store import codec, keys, names
from cordum.store.commit import event_text
from cordum.store.connection import Connection
from cordum.store.envelope import coordinator_message


class DeliverReply(StrEnum):
    DELIVERED = "DELIVERED"
    KEPT = "KEPT"
    REPLAYED = "REPLAYED"
    KEY_REUSED = "KEY_REUSED"
    MOVED = "MOVED"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One signal and the delivery that it came with: `key` within `scope`; `fingerprint` tells what it said."""

    tenant: str
    name: str
    correlation: str
    payload: JSON
    actor: str
    key: str
    scope: str
    ttl_sec: int

    @property
    def fingerprint(self) -> str:
        text = codec.to_json([self.name, self.correlation, self.payload])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The answer, and the runs that have heard it (none: it is kept)."""

    word: DeliverReply
    run_ids: tuple[str, ...] = ()


class Signals:
    def __init__(self, connection: Connection, cell: keys.CellKeys) -> None:
        self._connection = connection
        self._cell = cell

    def foresee(self, delivery: Delivery, most: int) -> Delivered:
        """What `deliver` would answer now; nothing is changed."""
        about, cell = names.signal_digest(delivery.name, delivery.correlation), self._cell

        def ask(client: Any) -> Any:
            with client.pipeline(transaction=True) as pipe:
                pipe.get(cell.idempotency(delivery.tenant, delivery.scope, delivery.key))
                pipe.smembers(cell.signal_waiting(delivery.tenant, about))
                pipe.get(cell.clock)
                return pipe.execute()

        known, members, clock = self._connection.read(ask)
        if known:
            fingerprint, _, outcome = known.partition(" ")
            word = DeliverReply.REPLAYED if fingerprint == delivery.fingerprint else DeliverReply.KEY_REUSED
            return Delivered(word, tuple(outcome.split()))
        if members:
            waits = [names.named_wait(member) for member in sorted(members)]
            return Delivered(DeliverReply.DELIVERED, tuple(dict.fromkeys(run_id for run_id, _ in waits)))
        index = cell.kept_index(delivery.tenant)
        kept: Any = self._connection.read(lambda client: client.zcount(index, f"({clock or 0}", "+inf"))
        return Delivered(DeliverReply.FULL if kept >= most else DeliverReply.KEPT)

    def deliver(self, delivery: Delivery, keep_ms: int, most: int) -> Delivered:
        """One try; MOVED when others have begun or ceased to wait since this call has looked."""
        about = names.signal_digest(delivery.name, delivery.correlation)
        waiting = self._cell.signal_waiting(delivery.tenant, about)
        members: Any = self._connection.read(lambda client: client.smembers(waiting))
        seen = [names.named_wait(member) for member in sorted(members)]
        owns = [keys.RunKeys.of(run_id) for run_id, _ in seen]
        outcome = list(dict.fromkeys(run_id for run_id, _ in seen))
        signal = {"name": delivery.name, "payload": delivery.payload, "correlation": delivery.correlation}
        data: dict[str, JSON] = {"name": delivery.name, "correlation": delivery.correlation}
        reply = self._connection.run(
            "deliver_signal",
            {
                "waiting": waiting,
                "kept": self._cell.kept_signals(delivery.tenant, about),
                "kept_index": self._cell.kept_index(delivery.tenant),
                "delivery": self._cell.idempotency(delivery.tenant, delivery.scope, delivery.key),
                "clock": self._cell.clock,
                "wakeups": self._cell.wakeups,
                "coordinator": self._cell.coordinator,
                "audit": self._cell.audit(delivery.tenant),
                "audited": self._cell.audited,
            },
            [key for own in owns for key in (own.run, own.inbox, own.once, own.timeline)],
            [part for pair in seen for part in pair],
            seen=len(seen),
            token=hashlib.sha256(f"{delivery.scope}\n{delivery.key}\n{about}".encode()).hexdigest()[:32],
            fingerprint=delivery.fingerprint,
            ttl_sec=delivery.ttl_sec,
            keep_ms=keep_ms,
            most=most,
            outcome=" ".join(outcome),
            signal=codec.to_json(signal),
            event=event_text("", Event("signal.received", actor=delivery.actor, data=data)),
            message=coordinator_message(),
            tenant=delivery.tenant,
        )
        return Delivered(DeliverReply(reply[0]), tuple(reply[1].split()) if len(reply) > 1 else ())
