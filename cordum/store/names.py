"""Names that stand in keys, lists and sets for what has two parts."""

from __future__ import annotations

import hashlib


def signal_digest(name: str, correlation: str) -> str:
    """What a signal is about, as part of a key."""
    return hashlib.sha256(f"{name}\n{correlation}".encode()).hexdigest()[:32]


def wait_name(run_id: str, step: str) -> str:
    """A step that waits; neither part holds a blank."""
    return f"{run_id} {step}"


def named_wait(name: str) -> tuple[str, str]:
    run_id, _, step = name.partition(" ")
    return run_id, step


def schedule_name(tenant: str, schedule_id: str) -> str:
    """A schedule among those of all tenants; neither part holds a blank."""
    return f"{tenant} {schedule_id}"


def named_schedule(name: str) -> tuple[str, str]:
    tenant, _, schedule_id = name.partition(" ")
    return tenant, schedule_id
