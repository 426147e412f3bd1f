"""Values as they are shown to people who have to judge: bounded in size, and without what looks secret."""

from __future__ import annotations

import json
from typing import Any

from cordum.domain.policy_secrets import looks_secret, names_a_secret
from cordum.domain.workflow import JSON

HIDDEN = "[hidden]"
MOST_CHARS = 8 * 1024
"""A value whose JSON has more is shown by its beginning."""


def shown_to_people(value: JSON, most_chars: int = MOST_CHARS) -> JSON:
    """The value without secrets; one that is too large as {truncated, chars, beginning}."""
    clean = redacted(value)
    text = json.dumps(clean, ensure_ascii=False)
    if len(text) <= most_chars:
        return clean
    return {"truncated": True, "chars": len(text), "beginning": text[:most_chars]}


def redacted(value: JSON) -> JSON:
    """The same form; texts that look like secrets, and what stands under a name of one, are hidden."""
    if isinstance(value, str):
        return HIDDEN if looks_secret(value) else value
    if isinstance(value, list):
        return [redacted(one) for one in value]
    if isinstance(value, dict):
        return {name: _member(name, held) for name, held in value.items()}
    return value


def _member(name: str, held: Any) -> JSON:
    if names_a_secret(name) and held not in (None, "", [], {}):
        return HIDDEN
    return redacted(held)
