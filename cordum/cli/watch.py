"""`watch`, and following a run to its end: looks at it again and again, and says with an exit code how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from cordum.cli.display import progress
from cordum.cli.output import print_json, printable, say, status_text, undone_by
from cordum.cli.remote import json_option, remote
from cordum.client import ENDED, ApiError, Client
from cordum.errors import Unavailable

OK, FAILED, WAITING = 0, 1, 3

POLL_SEC = 0.2
PATIENCE_SEC = 15.0
"""How long an API that is away is waited for, as when it is being restarted."""

Run = dict[str, Any]

no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Stop with exit code 3 when somebody's decision is needed."
)


@click.command()
@click.argument("run_id", metavar="RUN")
@no_wait_option
@json_option
@remote
@click.pass_context
def watch(ctx: click.Context, client: Client, run_id: str, no_wait: bool, as_json: bool) -> None:
    """Follow a run to its end, step by step. Exit code 0 when it succeeded, 1 when it ended otherwise."""
    ctx.exit(watch_run(client, run_id, as_json=as_json, no_wait=no_wait))


def watch_run(client: Client, run_id: str, *, as_json: bool, no_wait: bool) -> int:
    """Follow, show, and give the exit code. As JSON nothing is shown but the run as it is in the end."""

    def over(run: Run) -> bool:
        return no_wait and run["status"] == "waiting"

    if as_json:
        run = follow(client, run_id, lambda _: None, until=over)
        print_json(run)
    else:
        with progress(f"decide with: cordum approve {printable(run_id)}") as shown:
            run = follow(client, run_id, shown.show, until=over)
        _conclude(run)
    return OK if run["status"] == "succeeded" else FAILED if run["status"] in ENDED else WAITING


def follow(
    client: Client,
    run_id: str,
    show: Callable[[Run], None],
    *,
    until: Callable[[Run], bool] = lambda _: False,
    pause: Callable[[float], None] = time.sleep,
) -> Run:
    """The run when it has ended, or when `until` says so; `show` gets it each time somebody looks."""
    seen = time.monotonic()
    while True:
        try:
            run = client.get(run_id)
        except (Unavailable, ApiError) as error:
            away = isinstance(error, Unavailable) or error.can_retry
            if not away or time.monotonic() - seen > PATIENCE_SEC:
                raise
        else:
            seen = time.monotonic()
            show(run)
            if run["status"] in ENDED or until(run):
                return run
        pause(POLL_SEC)


def _conclude(run: Run) -> None:
    error = run.get("error") or {}
    why = f"  {printable(error.get('message'))} [{printable(error.get('code'))}]" if error else ""
    say(f"{printable(run['id'])}  {status_text(run['status'])}{why}")
    if undone := undone_by(run):
        say(f"undone by {undone}")
