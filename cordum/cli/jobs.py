"""`job`, `jobs`: single jobs, which no workflow asks for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, say, status_text, table
from cordum.cli.previews import dry_run_option, reason_option, tell_preview
from cordum.cli.remote import json_option, remote
from cordum.cli.runs import value_of
from cordum.client import ENDED, Client

FAILED = 1
_POLL_SEC = 0.2
_id = click.argument("job_id", metavar="JOB")


@click.group(short_help="Submit, show and cancel single jobs.")
def job() -> None:
    """Single jobs: under the same policy, routing, retries and dead letters as those of workflows."""


@job.command()
@click.argument("topic")
@click.option("--input", "input_", metavar="JSON", help="What the job is given: a JSON object.")
@click.option("-i", "pairs", multiple=True, metavar="KEY=VALUE", help="One key of the input; JSON or text.")
@click.option("--priority", type=click.Choice(["critical", "interactive", "batch"]), help="[default: interactive]")
@click.option("--max-retries", type=click.IntRange(0), help="How often it is tried again. [default: 0]")
@click.option("--timeout", "timeout_sec", type=float, metavar="SEC", help="How long an attempt may take.")
@click.option("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the job.")
@click.option("--key", metavar="KEY", help="Idempotency key: the same key and job give the same job.")
@click.option("--wait", "waiting", is_flag=True, help="Stay until it ends; exit code 1 unless it succeeds.")
@dry_run_option
@json_option
@remote
@click.pass_context
def submit(
    ctx: click.Context,
    client: Client,
    topic: str,
    input_: str | None,
    pairs: tuple[str, ...],
    priority: str | None,
    max_retries: int | None,
    timeout_sec: float | None,
    labels: tuple[str, ...],
    key: str | None,
    waiting: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have one job of TOPIC done."""
    given = {} if input_ is None else value_of(input_)
    if not isinstance(given, dict):
        raise click.UsageError("--input must be a JSON object")
    given |= {name: value_of(text) for name, text in map(_pair, pairs)}
    retry = None if max_retries is None else {"max_retries": max_retries}
    wanted = {"priority": priority, "retry": retry, "timeout_sec": timeout_sec}
    said = {name: value for name, value in wanted.items() if value is not None}
    done = client.submit_job(
        topic, given, labels=dict(map(_pair, labels)), idempotency_key=key, dry_run=dry_run, **said
    )
    if dry_run:
        print_json(done) if as_json else tell_preview(done)
        return
    while waiting and done["state"] not in ENDED:
        time.sleep(_POLL_SEC)
        done = {**client.job(done["job_id"]), "replayed": done["replayed"]}
    _show(done, as_json)
    if waiting and done["state"] != "succeeded":
        ctx.exit(FAILED)


@job.command()
@_id
@json_option
@remote
def show(client: Client, job_id: str, as_json: bool) -> None:
    """Show a job, single or of a workflow."""
    _show(client.job(job_id), as_json)


@job.command()
@_id
@reason_option
@dry_run_option
@json_option
@remote
def cancel(client: Client, job_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """End a job now. One that has ended stays as it is."""
    told = client.cancel_job(job_id, reason, dry_run=dry_run)
    if dry_run and not as_json:
        tell_preview(told)
    else:
        _show(told, as_json)


@click.command()
@click.option("--state", metavar="STATE", help="Only in this state.")
@click.option("--topic", metavar="TOPIC", help="Only of this topic.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@json_option
@remote
def jobs(client: Client, state: str | None, topic: str | None, limit: int, as_json: bool) -> None:
    """List single jobs, the newest first."""
    found = client.jobs(state=state, topic=topic, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(one["job_id"], one["topic"], one["state"], one["attempts"], one["created_at"], _why(one)) for one in found]
    table(("job", "topic", "state", "attempts", "created", "why"), rows)


def _show(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(dict(found))
        return
    say(f"{printable(found['job_id'])}  {status_text(found['state'])}")
    names = ("topic", "run_id", "attempts", "worker", "input", "result")
    fields([*((name, found[name]) for name in names), ("why", _why(found)), ("code", found["error_code"])])


def _why(one: Mapping[str, Any]) -> str | None:
    wait = one["wait"] or {}
    return one["error"] or wait.get("message")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"{text!r} should look like name=value")
    return name, value
