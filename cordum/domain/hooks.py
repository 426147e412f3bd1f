"""Inbound webhooks: what one does with a delivery, and how a delivery shows who has sent it.

What is signed is `<timestamp>.<body>`, or `<timestamp>.<delivery>.<body>` where the sender names the delivery, so that
neither can be exchanged: a body is a JSON object and begins with no name. Timestamps are whole seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from cordum.domain.expressions import Template

HOOK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
DELIVERY = re.compile(r"[!-~]{1,128}\Z")
WINDOW_SEC = 300
_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z")
_PREFIX = "sha256="


@dataclass(frozen=True, slots=True)
class StartRun:
    """Start a run of a workflow; `input` is rendered with `body`. `version` None: the latest."""

    workflow_id: str
    input: Template
    version: int | None = None


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send a signal to whoever waits; both templates are rendered with `body`."""

    name: str
    correlation: Template
    payload: Template


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook. What it does counts as done by `person`; `nonce` is what its secret is derived with."""

    id: str
    tenant: str
    person: str
    nonce: str
    action: StartRun | SendSignal
    description: str = ""
    created_at: int = 0


def secret_of(master: str, hook_id: str, nonce: str) -> str:
    """The secret of a hook: kept nowhere, made anew from the master key each time."""
    return "whsec_" + hmac.new(master.encode(), f"hook {hook_id} {nonce}".encode(), hashlib.sha256).hexdigest()


def signature(secret: str, timestamp: str, delivery: str | None, body: bytes) -> str:
    """The value of `X-Cordum-Signature`."""
    named = "" if delivery is None else f"{delivery}."
    text = f"{timestamp}.{named}".encode() + body
    return _PREFIX + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def signed_by(secret: str, given: str, timestamp: str, delivery: str | None, body: bytes) -> bool:
    """Whether the signature is the secret's; takes as long for a wrong one as for a right one."""
    wanted = signature(secret, timestamp, delivery, body)
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))


def in_time(timestamp: str, now: int) -> bool:
    """Whether it was signed within five minutes of `now` (milliseconds)."""
    return bool(_TIMESTAMP.match(timestamp)) and abs(int(timestamp) * 1000 - now) <= WINDOW_SEC * 1000
