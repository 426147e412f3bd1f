"""Whether a job's input seems to hold secrets: by the names of its keys, and by forms that only secrets have.

A guess on purpose on the side of finding one: what it is for is to ask a person, or to refuse.
"""

from __future__ import annotations

import re

from cordum.domain.workflow import JSON

MOST_VALUES = 10_000
MOST_CHARS = 256 * 1024
"""An input with more than this counts as holding one: nobody has looked at all of it."""

_NAME = re.compile(
    r"(?i)(^|[_.-])(password|passwd|pwd|secret|token|api_?key|private_?key|access_?key|client_?secret|credentials?"
    r"|authorization)([_.-]|$)|(?<=[a-z])(Password|Secret|Token|ApiKey)$"
)
_FORM = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    r"|\$\{secret:"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10}"
    r"|\bck_[a-z2-7]{8}_[A-Za-z0-9_-]{43}"
    r"|\beyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10}"
    r"|\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:[^\s/@]{1,100}@"
)


def looks_secret(text: str) -> bool:
    """Whether a text has a form that only secrets have."""
    return _FORM.search(text) is not None


def names_a_secret(name: str) -> bool:
    """Whether what stands under this key is most likely secret."""
    return _NAME.search(name) is not None


def holds_secrets(value: JSON) -> bool:
    left, chars_left = MOST_VALUES, MOST_CHARS
    open_: list[JSON] = [value]
    while open_:
        left -= 1
        if left < 0:
            return True
        one = open_.pop()
        if isinstance(one, str):
            chars_left -= len(one)
            if chars_left < 0 or looks_secret(one):
                return True
        elif isinstance(one, list):
            open_.extend(one)
        elif isinstance(one, dict):
            if any(names_a_secret(name) and held not in (None, "", [], {}) for name, held in one.items()):
                return True
            open_.extend(one.values())
    return False
