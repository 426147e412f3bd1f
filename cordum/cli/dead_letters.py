"""`dlq`: what failed for good, and what is done about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, say, table, tell
from cordum.cli.previews import dry_run_option, reason_option, tell_preview
from cordum.cli.remote import json_option, remote
from cordum.cli.runs import value_of
from cordum.client import Client

_POLL_SEC = 0.3
_letter = click.argument("job_id", metavar="DEAD_LETTER")
_group = click.option("--group", metavar="GROUP", help="Only of this group: see `cordum dlq groups`.")
_topic = click.option("--topic", metavar="TOPIC", help="Only of this topic.")


@click.group()
def dlq() -> None:
    """Steps that failed for good, with the evidence."""


@dlq.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--state", type=click.Choice(["open", "replayed", "discarded", "rescued"]), help="Only in this state.")
@_group
@_topic
@json_option
@remote
def list_(client: Client, limit: int, state: str | None, group: str | None, topic: str | None, as_json: bool) -> None:
    """List the dead letters."""
    found = client.dead_letters(limit, state=state, group=group, topic=topic)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["job_id"], one["topic"], one["state"], one["reason_code"], one["attempts"], one["failed_at"], one["error"])
        for one in found
    ]
    table(("dead letter", "topic", "state", "reason", "attempts", "failed at", "error"), rows)


@dlq.command()
@_letter
@json_option
@remote
def show(client: Client, job_id: str, as_json: bool) -> None:
    """Show one dead letter with all its evidence."""
    found = client.dead_letter(job_id)
    if as_json:
        print_json(found)
        return
    fields((name, value) for name, value in found.items() if name not in ("history", "traceback", "id", "evidence"))
    say()
    rows = [(one["attempt"], one["code"], one["worker"], one["ended_at"], one["message"]) for one in found["history"]]
    table(("attempt", "code", "worker", "ended at", "message"), rows)
    for line in (found["traceback"] or "").splitlines():
        say(printable(line))


@dlq.command()
@json_option
@remote
def groups(client: Client, as_json: bool) -> None:
    """Open dead letters by cause: class, message and topic."""
    found = client.dead_letter_groups()
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], one["count"], one["topic"], one["class"], one["last_at"], one["message"]) for one in found]
    table(("group", "count", "topic", "class", "latest", "message"), rows)


@dlq.command()
@click.argument("job_id", metavar="[DEAD_LETTER]", required=False)
@reason_option
@click.option("--input", "edited", metavar="JSON", help="Give the step this instead of its input (one dead letter).")
@_group
@_topic
@click.option("--rate", type=click.FloatRange(0, 100, min_open=True), help="So many a second. [default: 10]")
@click.option("--include-governance", is_flag=True, help="Also what a policy or a person has refused.")
@click.option("--detach", is_flag=True, help="Do not wait for the end of a bulk retry.")
@dry_run_option
@json_option
@remote
def retry(
    client: Client,
    job_id: str | None,
    reason: str,
    edited: str | None,
    group: str | None,
    topic: str | None,
    rate: float | None,
    include_governance: bool,
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Try one dead letter again, or all of a --group or --topic, one after the other at a --rate.

    A bulk retry goes on when this command is interrupted; `cordum dlq progress` shows how far it is.
    """
    filters = {"group": group, "topic": topic, "include_governance": include_governance or None}
    wanted = {name: value for name, value in filters.items() if value is not None}
    if (job_id is None) is (group is None and topic is None):
        raise click.UsageError("name one dead letter, or a --group or --topic")
    if job_id is not None:
        _show_retried(_retry(client, job_id, reason, edited, dry_run=dry_run), as_json)
    elif dry_run:
        _preview(client, wanted, reason, rate, as_json)
    else:
        begun = client.retry_dead_letters(wanted, reason, rate=rate)
        _show_bulk(begun, as_json) if detach else _follow(client, begun, as_json)


@dlq.command()
@click.argument("bulk_id", metavar="[BULK_RETRY]", required=False)
@json_option
@remote
def progress(client: Client, bulk_id: str | None, as_json: bool) -> None:
    """Show how far bulk retries are; of one, until it ends."""
    if bulk_id is not None:
        _follow(client, client.bulk_retry(bulk_id), as_json)
        return
    found = client.bulk_retries(50)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], one["state"], one["position"], one["total"], one["retried"], one["skipped"], one["refused"])
        for one in found
    ]
    table(("bulk retry", "state", "done", "of", "retried", "skipped", "refused"), rows)


@dlq.command()
@click.argument("bulk_id", metavar="BULK_RETRY")
@reason_option
@dry_run_option
@json_option
@remote
def stop(client: Client, bulk_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Stop a bulk retry. What it has tried again goes on."""
    _show_bulk(client.stop_bulk_retry(bulk_id, reason, dry_run=dry_run), as_json)


@dlq.command()
@_letter
@reason_option
@dry_run_option
@json_option
@remote
def discard(client: Client, job_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Say that nothing is to be done about a dead letter. It stays, with the reason."""
    told = client.discard_dead_letter(job_id, reason, dry_run=dry_run)
    if as_json:
        print_json(told or client.dead_letter(job_id))
    elif told:
        tell_preview(told)
    else:
        say(f"{printable(job_id)}  discarded")


# -- one ---------------------------------------------------------------------------------------------------------


def _retry(client: Client, job_id: str, reason: str, edited: str | None, *, dry_run: bool) -> dict[str, Any]:
    given = {} if edited is None else {"input": value_of(edited)}
    return client.retry_dead_letter(job_id, reason, dry_run=dry_run, **given)


def _show_retried(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(dict(told))
    elif told.get("dry_run"):
        tell_preview(told)
    else:
        say(f"{printable(told['job_id'])}  tried again as {printable(told['replayed_as'])}")


# -- many --------------------------------------------------------------------------------------------------------


def _preview(client: Client, filters: Mapping[str, Any], reason: str, rate: float | None, as_json: bool) -> None:
    told = client.retry_dead_letters(filters, reason, rate=rate, dry_run=True)
    if as_json:
        print_json(told)
        return
    tell("dry run: nothing was changed")
    fields((name, value) for name, value in told.items() if name not in ("dry_run", "dispatch"))


def _follow(client: Client, bulk: Mapping[str, Any], as_json: bool) -> None:
    """A bar on a terminal; then how it ended."""
    bar: Any = click.progressbar(length=bulk["total"], label="dead letters", file=sys.stderr)
    with bar:
        bar.update(bulk["position"])
        while bulk["state"] == "running":
            time.sleep(_POLL_SEC)
            bulk, before = client.bulk_retry(bulk["id"]), bulk
            bar.update(bulk["position"] - before["position"])
    _show_bulk(bulk, as_json)


def _show_bulk(bulk: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(dict(bulk))
        return
    shown = ("id", "state", "position", "total", "retried", "skipped", "refused", "governance_left_out")
    fields([(name, bulk[name]) for name in shown])
    fields([("skipped because", bulk["skipped_because"]), ("refused because", bulk["refused_because"])])
