"""Regular expressions in linear time: RE2, because Python's own may take a tenant's pattern for ever."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN = 1000
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """Has `search(text)`, which takes time in proportion to pattern and text. Raises re2.error."""
    return re2.compile(pattern, _OPTIONS)


def unusable(pattern: str) -> str | None:
    """Why a pattern is refused, or None."""
    if len(pattern) > MAX_PATTERN:
        return f"a pattern may have {MAX_PATTERN} characters"
    try:
        compiled(pattern)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        return f"not a regular expression that runs in linear time (RE2): {text}"
    except UnicodeEncodeError:
        return "a pattern is text without surrogates"
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` occurs in `text`. Raises re2.error."""
    return compiled(pattern).search(text) is not None
