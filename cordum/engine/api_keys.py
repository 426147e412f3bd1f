"""API keys: made, listed, revoked, and turned into the Caller that asks.

With one key ever made, in whatever tenant, every request needs one; a revoked key still counts, so that revoking the
last one locks the door instead of opening it.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import Any

from cordum.domain.api_keys import ENTROPY_BYTES, ApiKey, digest_of, key_id_of, new_key_text
from cordum.domain.roles import Role
from cordum.engine.core import Core
from cordum.engine.refusals import Refusals
from cordum.engine.values import Caller
from cordum.engine.views import rfc3339
from cordum.errors import NotFound, TooManyRequests, Unauthenticated, Unavailable

# How long a good key, or the absence of all keys, is believed without asking Redis; a revocation acts within it.
BELIEVED_SEC = 1.0
_NOTED_MS = 60_000  # the precision of `last_used_at`
_CACHED = 1024
_MOST_ATTEMPTS = 20
_NO_KEY = "-"  # names no record


class ApiKeys:
    def __init__(self, core: Core) -> None:
        self._store = core.store.api_keys
        self._cell_tenant = core.settings.admin_tenant
        self._required = False
        self._asked_at = -BELIEVED_SEC
        self._refusals = Refusals()
        self._good: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    # -- who asks ------------------------------------------------------------------------------------------------

    def required(self) -> bool:
        """Whether requests need a key. Once true it stays so in this process, whatever becomes of Redis."""
        if not self._required and time.monotonic() - self._asked_at >= BELIEVED_SEC:
            self._required = self._store.look_up(_NO_KEY).any
            self._asked_at = time.monotonic()
        return self._required

    def insist(self) -> None:
        """Require keys from now on, also if there are none: for an API that others can reach."""
        self._required = True

    def identify(self, text: str | None, address: str = "") -> Caller:
        """Whose key this is. Raises Unauthenticated, always the same, for anything that is no good key now.

        TooManyRequests instead when `address` brings one after the other. A good key opens, whatever came before it.
        """
        digest = digest_of(text or "")
        known = self._good.get(digest)
        if known is not None and time.monotonic() - known[1] < BELIEVED_SEC:
            return known[0]
        self._good.pop(digest, None)
        asked_at = time.monotonic()
        found = self._store.look_up(key_id_of(text or "") or _NO_KEY)
        key = found.key or _NOBODY
        # All three are looked at in any case, so that how long it takes does not tell which was wrong.
        if not all([key.opens(digest), key.good_at(found.now), found.key is not None]):
            if wait_sec := self._refusals.wait_sec(address, time.monotonic()):
                said = "too many requests without a valid API key came from this address"
                raise TooManyRequests(said, retry_after_sec=wait_sec, code="too_many_refusals")
            raise Unauthenticated("a valid API key is needed, as X-API-Key or Authorization: Bearer")
        if found.now - (key.last_used_at or 0) >= _NOTED_MS:
            self._store.used(key.id, found.now)
        caller = self.caller_of(key)
        self._good[digest] = (caller, asked_at)
        if len(self._good) > _CACHED:
            self._good.popitem(last=False)
        return caller

    def caller_of(self, key: ApiKey) -> Caller:
        cell = key.role is Role.ADMIN and key.tenant == self._cell_tenant
        return Caller(tenant=key.tenant, person=key.person, role=key.role, cell=cell, key_id=key.id)

    def caller_by_id(self, key_id: str) -> Caller | None:
        """For a session that a key has begun: who it is, as long as the key is good."""
        found = self._store.look_up(key_id)
        return self.caller_of(found.key) if found.key and found.key.good_at(found.now) else None

    def session_secret(self) -> str:
        """Signs what stands for a key in a browser; the same for every process on this Redis."""
        return self._store.session_secret(os.urandom(32).hex())

    # -- keeping keys --------------------------------------------------------------------------------------------

    def create(
        self,
        tenant: str,
        person: str,
        role: Role,
        *,
        by: str,
        expires_in_sec: int | None = None,
        description: str = "",
    ) -> dict[str, Any]:
        """A new key as a document; its text is under `key`, here and never again."""
        for _ in range(_MOST_ATTEMPTS):
            text = new_key_text(os.urandom(ENTROPY_BYTES))
            name = key_id_of(text) or ""
            key = ApiKey(name, digest_of(text), tenant, person, role, created_by=by, description=description)
            if self._store.create(key, None if expires_in_sec is None else expires_in_sec * 1000):
                self._asked_at = -BELIEVED_SEC
                kept = self._store.look_up(name).key
                return {**key_view(kept or key), "key": text}
        raise Unavailable("no free id for a key was found, try again")

    def list(self, tenant: str | None) -> list[dict[str, Any]]:
        """The keys of one tenant, or of all, without what opens anything."""
        return [key_view(key) for key in self._store.of_tenant(tenant)]

    def revoke(self, tenant: str | None, key_id: str, *, by: str) -> None:
        """Revoke a key of this tenant (None: of any). NotFound when it has none of that id."""
        found = self._store.look_up(key_id).key
        if found is None or tenant not in (None, found.tenant):
            raise NotFound(f"there is no API key {key_id}")
        self._store.revoke(key_id, by, found.tenant)
        self._good.clear()


_NOBODY = ApiKey("", digest_of(""), "", "", Role.VIEWER)


def key_view(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "person": key.person,
        "role": key.role.value,
        "description": key.description or None,
        "created_at": rfc3339(key.created_at),
        "created_by": key.created_by,
        "expires_at": rfc3339(key.expires_at),
        "revoked_at": rfc3339(key.revoked_at),
        "last_used_at": rfc3339(key.last_used_at),
    }
