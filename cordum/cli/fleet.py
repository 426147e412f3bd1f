"""`workers`, `queues`, `drain`: who works, what waits where, and letting a worker or a pool finish."""

from __future__ import annotations

import time
from typing import Any

import click

from cordum.cli.output import print_json, printable, say, table, tell
from cordum.cli.previews import dry_run_option, reason_option
from cordum.cli.remote import json_option, remote
from cordum.client import ApiError, Client

FAILED = 1
_POLL_SEC = 0.3


@click.command(short_help="List the living workers.")
@json_option
@remote
def workers(client: Client, as_json: bool) -> None:
    """List the living workers, with what they can do and how busy they are."""
    found = client.workers()
    if as_json:
        print_json(found)
        return
    header = ("worker", "status", "active", "slots", "pools", "labels", "capabilities", "topics", "version")
    table(header, [_worker_row(one) for one in found])


@click.group(invoke_without_command=True, short_help="List the queues; pause and resume them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--url", metavar="URL", help="The API. [default: CORDUM_API_URL, else the cordum running here]")
@click.pass_context
def queues(ctx: click.Context, as_json: bool, url: str | None) -> None:
    """List the queues: what waits on each topic, for how long, and who takes jobs of it."""
    if ctx.invoked_subcommand is None:
        from cordum.cli.remote import api_url

        _show_queues(Client(url or api_url()).queues(), as_json)


@queues.command("pause")
@click.argument("topic", metavar="TOPIC")
@reason_option
@dry_run_option
@json_option
@remote
def pause_queue(client: Client, topic: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let nothing of TOPIC begin. What runs may finish."""
    _show_queues([client.pause_queue(topic, reason, dry_run=dry_run)], as_json)


@queues.command("resume")
@click.argument("topic", metavar="TOPIC")
@reason_option
@dry_run_option
@json_option
@remote
def resume_queue(client: Client, topic: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let TOPIC go on."""
    _show_queues([client.resume_queue(topic, reason, dry_run=dry_run)], as_json)


@click.command(short_help="Let a worker or a pool finish.")
@click.argument("name", metavar="WORKER")
@click.option("--pool", is_flag=True, help="WORKER is the name of a pool: drain all its workers.")
@click.option("--undo", is_flag=True, help="Let it take jobs again.")
@click.option("--timeout", type=float, metavar="SEC", help="How long to wait until it is done. [default: no limit]")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")
@reason_option
@dry_run_option
@json_option
@remote
@click.pass_context
def drain(
    ctx: click.Context,
    client: Client,
    name: str,
    pool: bool,
    undo: bool,
    timeout: float | None,
    no_wait: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let WORKER (its id, or the name it was started with) finish what runs there and take nothing new.

    Says when nothing runs there any more: then it may be ended without a loss.
    """
    act = client.drain_pool if pool else client.drain
    shown = act(name, reason, undo=undo, dry_run=dry_run)
    if dry_run:
        _tell_drain(shown, as_json)
        return
    deadline = None if timeout is None else time.monotonic() + timeout
    while not (undo or no_wait or _done(shown)):
        if deadline is not None and time.monotonic() >= deadline:
            tell(f"{name} still runs {shown['active']} jobs after {timeout:g} s")
            ctx.exit(FAILED)
        time.sleep(_POLL_SEC)
        try:
            shown = client.drain_pool(name, reason) if pool else client.worker(name)
        except ApiError as error:
            if error.http_status != 404:
                raise
            break  # it has ended meanwhile
    if as_json:
        print_json(shown)
    elif undo:
        say(f"{name} takes jobs again")
    else:
        say(f"{name} is draining" if no_wait and not _done(shown) else f"{name} is drained: nothing runs there")


def _tell_drain(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    tell("dry run: nothing was changed")
    for worker in told["changes"]:
        say(f"would change  {printable(worker)}")


def _done(shown: dict[str, Any]) -> bool:
    return bool(shown.get("drained") or shown.get("status") == "drained")


def _worker_row(one: dict[str, Any]) -> list[object]:
    labels = ",".join(f"{name}={value}" for name, value in sorted(one["labels"].items()))
    lists = (",".join(one[key]) for key in ("pools", "capabilities", "topics"))
    pools, capabilities, topics = lists
    return [one["id"], one["status"], one["active"], one["slots"], pools, labels, capabilities, topics, one["version"]]


def _show_queues(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if any(one.get("dry_run") for one in found):
        tell("dry run: nothing was changed")
    header = ("queue", "depth", "ready", "queued", "running", "oldest s", "consumers", "slots", "paused")
    keys = ("depth", "ready", "queued", "running", "oldest_age_sec", "consumers", "slots")
    table(header, [[one["name"], *(one.get(key) for key in keys), _paused(one)] for one in found])


def _paused(one: dict[str, Any]) -> str:
    paused = one.get("paused")
    return "" if not paused else f"by {paused['by']}" + (f": {paused['reason']}" if paused["reason"] else "")
