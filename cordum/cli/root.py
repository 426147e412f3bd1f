"""`cordum`: the group of all commands, and how an error becomes lines on stderr and an exit code."""

from __future__ import annotations

from typing import Any

import click

from cordum._version import __version__
from cordum.cli.approvals import approvals, approve, reject
from cordum.cli.audit import audit
from cordum.cli.bench import bench
from cordum.cli.bundle import bundle
from cordum.cli.dead_letters import dlq
from cordum.cli.definitions import diff, graph, schema, workflows
from cordum.cli.demo import demo
from cordum.cli.dev import dev
from cordum.cli.doctor import doctor
from cordum.cli.failpoints import failpoints
from cordum.cli.fleet import drain, queues, workers
from cordum.cli.flower import flower
from cordum.cli.hooks import hook
from cordum.cli.jobs import job, jobs
from cordum.cli.keys import keys
from cordum.cli.operations import complete, pause, rerun, resume, retry, signal, skip, why
from cordum.cli.output import complain
from cordum.cli.policy import policy
from cordum.cli.roles import api, coordinator, worker
from cordum.cli.runs import cancel, delete, get, run, runs, timeline
from cordum.cli.scenarios import test
from cordum.cli.schedules import schedule
from cordum.cli.watch import watch
from cordum.cli.workflows import apply, validate
from cordum.errors import ConfigurationRefused, CordumError

FAILED, REFUSED, INTERRUPTED = 1, 78, 130


class Commands(click.Group):
    """Lists commands in the order of a day's work, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except ConfigurationRefused as error:
            complain(error)
            ctx.exit(REFUSED)
        except CordumError as error:
            complain(error)
            ctx.exit(FAILED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="cordum")
def main() -> None:
    """Durable, governed workflows on Celery and Redis.

    Start with `cordum demo`, then `cordum dev`. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 waiting for somebody,
    78 configuration refused.
    """


for command in (
    *(demo, dev),
    *(validate, apply, test, graph, diff, schema, workflows),
    *(run, watch, get, why, timeline, runs, cancel, bundle, delete),
    *(job, jobs),
    *(pause, resume, retry, rerun, signal, skip, complete),
    *(workers, queues, drain),
    *(approvals, approve, reject, dlq),
    *(schedule, hook),
    *(policy, keys, audit),
    *(api, coordinator, worker, flower, doctor, failpoints, bench),
):
    main.add_command(command)
