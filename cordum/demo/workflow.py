"""The workflow the demo runs: the reference example as it is, or, to show retries, with a retry on the failing step."""

from __future__ import annotations

import re

from cordum.demo.workspace import SHIPPED_DATA
from cordum.errors import Unprocessable

# The package's own copy of config/workflows/incident_triage_parallel.yaml, so that an installed cordum has it too.
EXAMPLE = SHIPPED_DATA / "incident_triage_parallel.yaml"

FAILURES = 2
RETRY = "retry: {max_retries: 2, initial_backoff_sec: 1, max_backoff_sec: 8, multiplier: 2}"


def demo_workflow(fail: str | None = None) -> bytes:
    """The example, byte for byte; with `fail` (the last segment of a topic) that step can be retried.

    A step that has a retry of its own keeps it. Raises Unprocessable when no step has such a topic.
    """
    text = EXAMPLE.read_text(encoding="utf-8")
    if fail is None:
        return text.encode()
    steps = re.split(r"^(?=  \w)", text, flags=re.MULTILINE)
    topic = re.compile(rf"^( +)topic: \S+\.{re.escape(fail)}\n", re.MULTILINE)
    if not any(topic.search(step) for step in steps):
        raise Unprocessable(f"no worker of the demo is called {fail!r}; it has {', '.join(worker_names())}")
    return "".join(step if " retry:" in step else topic.sub(rf"\g<0>\g<1>{RETRY}\n", step) for step in steps).encode()


def worker_names() -> list[str]:
    """What `fail` may be: the last segments of the example's topics."""
    return re.findall(r"topic: \S+\.(\w+)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)


def fail_setting(fail: str) -> str:
    """The value of CORDUM_DEMO_FAIL that goes with `demo_workflow(fail)`."""
    return f"{fail}:{FAILURES}"


def variant_note(fail: str) -> str:
    """What a reader of the report must know about a run of `demo_workflow(fail)`."""
    return (
        f"Variant of the example: the {fail} worker was told to fail {FAILURES} times, and its step may be retried"
        f" ({RETRY}). The example itself is unchanged."
    )
