"""The same jobs as Celery tasks, configured as Celery's documentation has it; what is not named is Celery's default."""

from __future__ import annotations

import os

from celery import Celery, chain, group
from celery.canvas import Signature

from cordum.bench import triage

BROKER, BACKEND = "BENCH_BROKER_URL", "BENCH_RESULT_BACKEND"


def make_app(broker: str | None, backend: str | None) -> Celery:
    """An application with these tasks; without a backend nothing keeps results."""
    made = Celery("bench", broker=broker, backend=backend, set_as_current=False)
    made.conf.update(
        broker_connection_retry_on_startup=True, worker_hijack_root_logger=False, task_ignore_result=backend is None
    )
    for task in (triage.classify, triage.logs, triage.metrics, triage.rollback):
        made.task(task, name=task.__name__)
    return made


def close_app(made: Celery) -> None:
    """Results that never came must not be unsubscribed from later, when there is no Redis any more."""
    consumer = getattr(made.backend, "result_consumer", None)
    if consumer is not None:
        consumer.subscribed_to.clear()
        consumer.stop()
    made.close()


def canvas(made: Celery, incident: int) -> Signature:
    """The graph: Celery makes a chord of a group with a task behind it."""
    classify, logs, metrics, rollback = (made.tasks[step] for step in triage.STEPS)
    flow: Signature = chain(classify.s(incident), group(logs.s(), metrics.s()), rollback.s())
    return flow


app = make_app(os.environ.get(BROKER), os.environ.get(BACKEND))
