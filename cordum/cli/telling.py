"""One event of a timeline in a few words; `--json` has all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cordum.cli.output import ABSENT, compact

# Too long for a line, and of use to programs only.
_LEFT_OUT = frozenset({"policy_snapshot", "topic"})


def details(event: Mapping[str, Any]) -> str:
    """What changed, who did it, and why."""
    moved = f"{event['from']} -> {event['to']}" if event.get("to") and event.get("from") else None
    actor = f"by {event['actor']}" if event.get("actor") else None
    return "  ".join(part for part in (moved, actor, _data(event.get("data") or {})) if part) or ABSENT


def _data(data: Mapping[str, Any]) -> str:
    known = {**data}
    words = []
    if "decision" in known and "rule_id" in known:
        rule = f"rule {known.pop('rule_id')}" if known.get("rule_id") else "no rule"
        known.pop("rule_id", None)
        words.append(f"{known.pop('decision')} by {rule}")
    if isinstance(error := known.pop("error", None), dict):
        words.append(f"{error.get('code')}: {error.get('message')}")
    if known.get("fraction") is not None:
        words.append(f"{known.pop('fraction'):.0%}")
    words += [str(known.pop(name)) for name in ("reason", "note", "comment") if known.get(name)]
    rest = {name: value for name, value in known.items() if name not in _LEFT_OUT and value not in (None, "")}
    return ", ".join(words + ([compact(rest)] if rest else []))
