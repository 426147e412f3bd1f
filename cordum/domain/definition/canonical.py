"""The one form in which a definition is stored: equal definitions have equal bytes, and so equal digests."""

from __future__ import annotations

import hashlib
import json

from cordum.domain.definition.document import Document
from cordum.domain.workflow import JSON


def canonical(document: Document, workflow_id: str) -> bytes:
    """Canonical JSON of a valid definition: keys sorted, but steps a list: their order is the order of dispatch.

    Loads again, as JSON, to an equal Workflow. `workflow_id` is written into a definition that has no id.
    """
    if not isinstance(document.value, dict):
        raise TypeError("only a valid definition has a canonical form")
    members = {"id": workflow_id, **document.value}
    members["steps"] = _listed(members["steps"])
    return json.dumps(members, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(data: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _listed(steps: JSON) -> JSON:
    if isinstance(steps, dict):
        return [{**step, "id": name} if isinstance(step, dict) else step for name, step in steps.items()]
    return steps
