"""API keys as values: their form, what is kept of one, and whether it is good now.

A key is `ck_<8 characters that name it>_<32 random bytes>`. Of the secret only SHA-256 is kept: with 256 random bits
there is nothing to guess, so a slow hash would cost every request and protect nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from cordum.domain.roles import Role

KEY_ID = re.compile(r"[a-z2-7]{8}\Z")
PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,127}\Z")
ENTROPY_BYTES = 5 + 32

_KEY = re.compile(r"ck_([a-z2-7]{8})_[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. Times are milliseconds by Redis' clock; `digest`: SHA-256 of its text, in hexadecimal."""

    id: str
    digest: str
    tenant: str
    person: str
    role: Role
    created_at: int = 0
    created_by: str = ""
    description: str = ""
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None

    def good_at(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def opens(self, digest: str) -> bool:
        """Whether this is the digest of its text, in the same time whatever it differs in."""
        return hmac.compare_digest(self.digest.encode(), digest.encode())


def new_key_text(entropy: bytes) -> str:
    """A key's text from 37 random bytes."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key takes {ENTROPY_BYTES} random bytes")
    name = base64.b32encode(entropy[:5]).decode().lower()
    return f"ck_{name}_{base64.urlsafe_b64encode(entropy[5:]).decode().rstrip('=')}"


def key_id_of(text: str) -> str | None:
    """The id in a key's text; None for a text that cannot be a key."""
    match = _KEY.match(text)
    return match[1] if match else None


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
