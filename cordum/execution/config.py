"""Celery's configuration for cordum, each value with the reason where it is not plain.

The engine alone decides what runs again; so everything in Celery that repeats, restores, hoards or stores is off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cordum.errors import ConfigurationRefused
from cordum.redis_address import RedisAddress

__all__ = ["celery_config", "refuse_other_brokers"]

_OTHER_BROKERS = (
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
)


def refuse_other_brokers(env: Mapping[str, str] = os.environ) -> None:
    """Celery prefers these variables (its option -b sets one) to any configuration: queue and state would part."""
    given = [name for name in _OTHER_BROKERS if env.get(name)]
    if given:
        raise ConfigurationRefused(
            f"{', '.join(given)} is set (or the option -b given), but cordum's queues live in its own Redis; "
            "unset it and use CORDUM_REDIS_URL"
        )


def celery_config(address: RedisAddress) -> dict[str, Any]:
    return _BROKER | _TASKS | _WORKER | _BEAT | {"broker_url": address.kombu_url()}


_BROKER: dict[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": {
        # One redelivery mechanism only: cordum's lease.
        "ack_emulation": False,
        # The numbers of critical, interactive and batch.
        "priority_steps": [0, 3, 6],
        # Topics of one priority in turn. The strategy named `priority` would serve the first of `-Q a,b` until it is
        # empty; kombu tries all lists of a priority before the next one under either.
        "queue_order_strategy": "round_robin",
        # Longer than a blocking pop waits (kombu: 1 s); redis-py's own default must not decide this.
        "socket_timeout": 15.0,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
    },
}

_TASKS: dict[str, Any] = {
    "result_backend": None,
    "task_ignore_result": True,
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,
    # What a worker without -Q consumes: nothing is ever sent there.
    "task_default_queue": "cordum.unused",
    "task_create_missing_queues": True,
    "task_send_sent_event": False,
    "timezone": "UTC",
    "enable_utc": True,
}

_WORKER: dict[str, Any] = {
    # With both, a message leaves its list only when a slot is free for it.
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_enable_prefetch_count_reduction": False,
    # A job outlives the loss of the broker's connection: its lease decides.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # A child may take long to import its handlers.
    "worker_proc_alive_timeout": 30.0,
    "worker_detect_quorum_queues": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": False,
}

_BEAT: dict[str, Any] = {
    "beat_scheduler": "cordum.execution.beat:RingScheduler",
}
