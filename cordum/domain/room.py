"""Who fills a place where `max_parallel` gives only so many (CONTRACT.md 3.4).

What is on its way does, and a child run that is open; what waits for people, time or signals does not. A group, fan-out
or loop does while something in it does: one that only waits, perhaps for its own siblings, would keep them from ever
beginning.
"""

from __future__ import annotations

from cordum.domain.instances import Instance, Role
from cordum.domain.turn import Turn


def is_busy(turn: Turn, ref: str) -> bool:
    if not turn.steps[ref].status.busy:
        return False
    instance = turn.instances[ref]
    match instance.role:
        case Role.UNIT:
            return True
        case Role.GROUP:
            return any(is_busy(turn, member) for member in turn.instances.members(instance))
    return any(is_busy(turn, child) for child in turn.children(ref))


def has_room(turn: Turn, instance: Instance) -> bool:
    """Whether an instance may become busy: in its group or fan-out, and in everything around that one.

    A fan-out lets no more children begin than it has places for; but one that people have approved comes back to find
    its place another's.
    """
    if instance.host is None:
        return True
    host = turn.instances[instance.host]
    limit = _limit(host)
    if limit is not None and not is_busy(turn, instance.ref):
        others = turn.children(host.ref) if host.role is Role.FAN else turn.instances.members(host)
        taken = sum(is_busy(turn, other) for other in others)
        if taken >= limit:
            return False
    return has_room(turn, host)


def _limit(host: Instance) -> int | None:
    if host.role is Role.FAN:
        return host.step.max_parallel
    return host.step.group.max_parallel if host.role is Role.GROUP and host.step.group else None
