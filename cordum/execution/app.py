"""`app`: the Celery application behind `celery -A cordum …`.

Importing it opens nothing and looks for no Redis; that happens when Celery first reads its configuration.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click
from celery import Celery, signals
from click import Option

from cordum.errors import ConfigurationRefused
from cordum.execution import process
from cordum.execution.beat import EmbeddedBeat
from cordum.execution.config import celery_config, refuse_other_brokers
from cordum.execution.flower import REFUSED, guard
from cordum.execution.handlers import registry
from cordum.execution.job_log import install
from cordum.execution.revoke import answer_revokes
from cordum.execution.strange_messages import StrangeMessages
from cordum.execution.takeoff.step import TakeOff
from cordum.execution.tasks import add_coordinator_task, add_dead_letter_task, add_job_task
from cordum.execution.wildcard import TopicQueues
from cordum.execution.worker import WorkerIdentity, WorkerLease

__all__ = ["app"]


def _configuration() -> dict[str, Any]:
    try:
        refuse_other_brokers()
        return celery_config(process.address())
    except ConfigurationRefused as error:
        if click.get_current_context(silent=True) is None:
            raise
        # Not raised: a command of Celery's would show its traceback.
        for line in error.detail.splitlines():
            click.echo(f"error: {line}", err=True)
        raise SystemExit(REFUSED) from None


app = Celery("cordum", amqp="cordum.execution.broker:Amqp", set_as_current=False)
app.add_defaults(_configuration)
app.user_options["worker"].add(
    Option(["--without-embedded-beat"], is_flag=True, help="Coordinator: leave the beat to `celery beat`.")
)
app.steps["worker"] |= {WorkerIdentity, EmbeddedBeat}
app.steps["consumer"] |= {StrangeMessages, TopicQueues, WorkerLease, TakeOff}
add_coordinator_task(app)
answer_revokes()
registry.follow(partial(add_job_task, app))
add_dead_letter_task(app)


def _on_logging(**_: Any) -> None:
    install(process.settings().log_level)


signals.after_setup_logger.connect(_on_logging, weak=False)
signals.import_modules.connect(guard, sender=app, weak=False)
