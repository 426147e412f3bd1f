"""`schedule`: workflows that run by the clock."""

from __future__ import annotations

from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, say, status_text, table, tell
from cordum.cli.previews import dry_run_option, reason_option
from cordum.cli.remote import json_option, remote
from cordum.cli.runs import value_of
from cordum.client import Client

_OVERLAP = click.Choice(["skip", "queue", "cancel_previous", "allow"])
_CATCH_UP = click.Choice(["none", "one", "all"])
_id = click.argument("schedule_id", metavar="SCHEDULE")


@click.group()
def schedule() -> None:
    """Workflows that run by the clock."""


@schedule.command()
@click.argument("workflow_id", metavar="WORKFLOW")
@click.argument("cron")
@click.option("--id", "schedule_id", metavar="SCHEDULE", help="What it is called. [default: made up]")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="IANA name, as in Europe/Berlin.")
@click.option("-i", "--input", "pairs", multiple=True, metavar="KEY=VALUE", help="One key of the input; JSON or text.")
@click.option("--overlap", type=_OVERLAP, default="skip", show_default=True, help="While an earlier run is open.")
@click.option("--catch-up", type=_CATCH_UP, default="none", show_default=True, help="Ticks that nobody was there for.")
@click.option("--version", type=click.IntRange(1), help="Start this version. [default: the latest]")
@click.option("--starts-at", metavar="TIME", help="No tick before, RFC 3339.")
@click.option("--ends-at", metavar="TIME", help="No tick after, RFC 3339.")
@click.option("--paused", is_flag=True, help="Create it without letting it run.")
@json_option
@remote
def create(
    client: Client, /, workflow_id: str, cron: str, pairs: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Run WORKFLOW at the times that CRON names, as in '30 2 * * 1-5'."""
    options["id"] = options.pop("schedule_id")
    wanted = {name: value for name, value in options.items() if value is not None}
    wanted |= {"workflow_id": workflow_id, "cron": cron, "input": dict(map(_pair, pairs))}
    _show(client.create_schedule(wanted), as_json)


@schedule.command("list")
@json_option
@remote
def list_(client: Client, as_json: bool) -> None:
    """List the schedules and when each runs next."""
    found = client.schedules()
    if as_json:
        print_json(found)
        return
    header = ("schedule", "workflow", "cron", "timezone", "state", "next", "last run", "last error")
    names = ("id", "workflow_id", "cron", "timezone", "state", "next_at", "last_run", "last_error")
    table(header, [[one[name] for name in names] for one in found])


@schedule.command()
@_id
@json_option
@remote
def show(client: Client, schedule_id: str, as_json: bool) -> None:
    """Show a schedule, where it stands and what became of its ticks."""
    _show(client.schedule(schedule_id), as_json)


@schedule.command("next")
@_id
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True, help="So many.")
@json_option
@remote
def next_(client: Client, schedule_id: str, count: int, as_json: bool) -> None:
    """Print when the next runs begin."""
    ticks = client.next_ticks(schedule_id, count)
    if as_json:
        print_json(ticks)
        return
    for tick in ticks:
        say(printable(tick))


@schedule.command()
@_id
@reason_option
@dry_run_option
@json_option
@remote
def pause(client: Client, schedule_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let no tick start a run until it is resumed."""
    _show(client.pause_schedule(schedule_id, reason, dry_run=dry_run), as_json)


@schedule.command()
@_id
@reason_option
@dry_run_option
@json_option
@remote
def resume(client: Client, schedule_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let a paused schedule go on with its next tick."""
    _show(client.resume_schedule(schedule_id, reason, dry_run=dry_run), as_json)


@schedule.command()
@_id
@reason_option
@dry_run_option
@remote
def delete(client: Client, schedule_id: str, reason: str, dry_run: bool) -> None:
    """Forget a schedule. Its runs stay."""
    client.delete_schedule(schedule_id, reason, dry_run=dry_run)
    say(f"{printable(schedule_id)} {'would be' if dry_run else 'is'} deleted")


@schedule.command()
@_id
@click.option("--key", metavar="KEY", help="Idempotency key: however often it is asked for, one run.")
@json_option
@remote
def trigger(client: Client, schedule_id: str, key: str | None, as_json: bool) -> None:
    """Start one of its runs now."""
    run = client.trigger_schedule(schedule_id, idempotency_key=key)
    if as_json:
        print_json(run)
    else:
        say(f"{printable(run['id'])}  {status_text(run['status'])}")


@schedule.command()
@_id
@click.option("--from", "first", metavar="TIME", required=True, help="The first tick, RFC 3339.")
@click.option("--to", "last", metavar="TIME", required=True, help="The last one.")
@reason_option
@dry_run_option
@json_option
@remote
def backfill(
    client: Client, schedule_id: str, first: str, last: str, reason: str, dry_run: bool, as_json: bool
) -> None:
    """Start a run for each tick of a past range that has none."""
    done = client.backfill_schedule(schedule_id, first, last, reason, dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    table(("tick", "run", "new"), [(one["tick"], one["run_id"], one["created"]) for one in done["runs"]])


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"{text!r} should look like name=value")
    return name, value_of(value)


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if found.get("dry_run"):
        tell("dry run: nothing was changed")
    names = ("id", "workflow_id", "cron", "timezone", "state", "overlap", "catch_up", "starts_at", "ends_at", "input")
    shown = [(name, found[name]) for name in names]
    fields([*shown, ("by", found["created_by"]), ("next", found.get("next_ticks")), ("counts", found["counts"])])
    fields([("last tick", found["last_tick"]), ("last run", found["last_run"]), ("last error", found["last_error"])])
