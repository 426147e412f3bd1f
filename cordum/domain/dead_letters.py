"""What dead letters have in common: which are alike, and which are a decision rather than a fault."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cordum.domain.run import Failure

# Somebody, or a rule, has said no: trying again will not change that, and is not done in bulk unless asked for.
GOVERNANCE = frozenset({"safety_denied", "approval_rejected", "approval_expired", "cancelled_by_policy"})

_SHOWN = 200
_READ = 2000  # of a message; what tells failures apart stands at its beginning
# What differs from one failure to the next though the cause is the same; the order counts.
_VARIABLE = (
    (re.compile(r"'[^'\n]{0,500}'|\"[^\"\n]{0,500}\"|`[^`\n]{0,500}`"), "<text>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    # Ids: letters and digits together, `INC-4821`, `c1-01k…`.
    (re.compile(r"\b(?=[\w-]*[0-9])(?=[\w-]*[A-Za-z])[A-Za-z0-9_]+([-_][A-Za-z0-9_]+)+\b"), "<id>"),
    (re.compile(r"\b(?=\w*[0-9])(?=\w*[A-Za-z])\w{12,}\b"), "<id>"),
    (re.compile(r"[0-9]+([.,:][0-9]+)*"), "<n>"),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What failures of one cause share. `kind` is the exception's class, or the reason code where there was none."""

    kind: str
    message: str
    topic: str
    governance: bool = False

    @property
    def id(self) -> str:
        """The same for the same signature, everywhere and always."""
        return hashlib.sha256("\0".join((self.kind, self.message, self.topic)).encode()).hexdigest()[:16]


def signature(topic: str | None, failure: Failure) -> Signature:
    message = failure.message.encode(errors="replace").decode()
    return Signature(failure.kind or failure.code, normalised(message), topic or "", failure.code in GOVERNANCE)


def normalised(message: str) -> str:
    """The message with numbers, ids, hexadecimal and quoted text replaced; cut to what a table can show."""
    text = message[:_READ]
    for pattern, name in _VARIABLE:
        text = pattern.sub(name, text)
    return " ".join(text.split())[:_SHOWN]
