"""Times as text: RFC 3339, as definitions and templates write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(text: str) -> int | None:
    """The moment that `text` names, in milliseconds since 1970, cut to whole ones; None when it is no RFC 3339 time."""
    match = _RFC3339.match(text)
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    offset = "+00:00" if zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{offset}") - _EPOCH
    except (ValueError, OverflowError):
        return None
    return whole // timedelta(milliseconds=1) + int((fraction or ".0")[1:4].ljust(3, "0"))
