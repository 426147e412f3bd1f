"""What is shared by many runs and counted: how many attempts may be on their way at one time, or begin within a time.

A job says which quotas it needs a place in. It takes all of them at once or waits for the first that is full; who holds
and who waits is kept by the scripts (`store/lua/_quota.lua`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class QuotaKind(StrEnum):
    TENANT = "tenant"  # all jobs of a tenant
    RULE = "rule"  # the jobs of a tenant that one policy rule lets run
    KEY = "key"  # the steps of a tenant that name one concurrency key
    POOL = "pool"  # the jobs of all tenants that only one pool may run
    VELOCITY = "velocity"  # the jobs that begin within a policy rule's window

    @property
    def reason(self) -> str:
        """Why a step waits for it (CONTRACT.md 3.1)."""
        return _REASONS[self]


_REASONS = {
    QuotaKind.TENANT: "tenant_limit",
    QuotaKind.RULE: "tenant_limit",
    QuotaKind.KEY: "concurrency_key",
    QuotaKind.POOL: "max_parallel",
    QuotaKind.VELOCITY: "policy_throttled",
}


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `most` at one time; with `window_ms`, at most so many that begin within any time of that length.

    `name`: the tenant, the rule's id, the concurrency key. `scope`: what its places are counted apart for, as a rule
    the tenant. `token`: what a place in a window is known by; the same token is counted once.
    """

    kind: QuotaKind
    name: str
    most: int
    scope: str
    window_ms: int = 0
    token: str = ""

    @property
    def id(self) -> str:
        """Short and safe in a key, whatever a user has named it."""
        text = "\n".join((self.kind.value, self.scope, self.name))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def pool_quota(name: str, most: int) -> Quota:
    """The places of a pool, shared by all tenants. Its limit may change while jobs wait; the one in force is kept by
    the script that publishes pools.
    """
    return Quota(QuotaKind.POOL, name, most, "")
