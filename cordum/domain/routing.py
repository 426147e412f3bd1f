"""Which queue a job goes to. This version knows shared topic queues only; the choice of a worker comes later."""

from __future__ import annotations

from cordum.domain.workflow import Priority

# Celery's Redis transport keeps one list per priority step; 0 is served first.
_NUMBER = {Priority.CRITICAL: 0, Priority.INTERACTIVE: 3, Priority.BATCH: 6}
PRIORITIES = tuple(sorted(_NUMBER.values()))


def priority_number(priority: Priority) -> int:
    return _NUMBER[priority]


def dead_letter_queue(topic: str) -> str:
    """The Celery queue, and the name of the task, for dead letters of a topic's jobs."""
    return f"dlq.{topic}"


def queue_list(topic: str, priority: int) -> str:
    """The Redis list that kombu reads for a queue and priority (kombu.transport.redis, `Channel._q_for_pri`)."""
    return f"{topic}\x06\x16{priority}" if priority else topic
