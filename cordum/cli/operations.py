"""What operators do with a run: pause, resume, retry, rerun, signal, skip, complete, and asking why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import print_json, printable, say, status_text, table, tell, undone_by
from cordum.cli.previews import dry_run_option, reason_option, tell_preview
from cordum.cli.remote import json_option, remote
from cordum.cli.runs import value_of
from cordum.client import Client

_run = click.argument("run_id", metavar="RUN")
_step = click.argument("step", metavar="STEP")


@click.command()
@_run
@reason_option
@dry_run_option
@json_option
@remote
def pause(client: Client, run_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let nothing new begin in a run. What is running may finish."""
    _show(client.pause(run_id, reason, dry_run=dry_run), as_json)


@click.command()
@_run
@reason_option
@dry_run_option
@json_option
@remote
def resume(client: Client, run_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let a paused run go on."""
    _show(client.resume(run_id, reason, dry_run=dry_run), as_json)


@click.command()
@_run
@reason_option
@dry_run_option
@json_option
@remote
def retry(client: Client, run_id: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Let a failed run go on. What has succeeded stays, what failed is tried again."""
    _show(client.retry(run_id, reason, dry_run=dry_run), as_json)


@click.command()
@_run
@click.option("--from", "from_step", metavar="STEP", help="Take over what lies before this step; without it, nothing.")
@reason_option
@dry_run_option
@json_option
@remote
def rerun(client: Client, run_id: str, from_step: str | None, reason: str, dry_run: bool, as_json: bool) -> None:
    """Start a new run like an ended one. Prints its id."""
    _show(client.rerun(run_id, reason, from_step, dry_run=dry_run), as_json)


@click.command(short_help="Send a signal to a run, or to all that wait for it.")
@click.argument("to", metavar="[RUN] NAME", nargs=-1, required=True)
@click.option("--payload", metavar="JSON", help="What the step yields; JSON or text.")
@click.option("--correlation", metavar="TEXT", help="Which of several steps is meant; without RUN, whom.")
@click.option("--key", metavar="KEY", help="Idempotency key: however often it is sent, the signal comes once.")
@dry_run_option
@json_option
@remote
def signal(
    client: Client,
    to: tuple[str, ...],
    payload: str | None,
    correlation: str | None,
    key: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send the signal NAME to RUN. A step that waits for it goes on.

    Without RUN it goes to every step that waits for NAME with this --correlation; with none it is kept for the first
    that will.
    """
    value = None if payload is None else value_of(payload)
    if len(to) > 2 or (len(to) == 1 and correlation is None):
        raise click.UsageError("say to whom: RUN NAME, or NAME with --correlation")
    run_id, name = to if len(to) == 2 else (None, to[0])
    if run_id is None:
        assert correlation is not None
        _show_sent(
            client.signal_by_correlation(name, correlation, value, idempotency_key=key, dry_run=dry_run), as_json
        )
        return
    told = client.signal(run_id, name, value, correlation=correlation, idempotency_key=key, dry_run=dry_run)
    _show(told if dry_run else client.get(run_id), as_json)


@click.command()
@_run
@_step
@reason_option
@dry_run_option
@json_option
@remote
def skip(client: Client, run_id: str, step: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Skip an open step by hand. Those that wait for it go on."""
    _show(client.skip(run_id, step, reason, dry_run=dry_run), as_json)


@click.command()
@_run
@_step
@reason_option
@click.option("--output", metavar="JSON", help="What the step yields; JSON or text.")
@dry_run_option
@json_option
@remote
def complete(
    client: Client, run_id: str, step: str, reason: str, output: str | None, dry_run: bool, as_json: bool
) -> None:
    """End an open step by hand, as succeeded."""
    value = None if output is None else value_of(output)
    _show(client.complete(run_id, step, reason, value, dry_run=dry_run), as_json)


@click.command()
@_run
@json_option
@remote
def why(client: Client, run_id: str, as_json: bool) -> None:
    """Say why a run is not moving, and what to do: each open step with its reason."""
    found = client.get(run_id)
    waits = [{"step_id": step["step_id"], **_standing(step)} for step in found["steps"].values() if _is_open(step)]
    if as_json:
        undone = found.get("compensation")
        print_json({"run_id": run_id, "status": found["status"], "steps": waits, "compensation": undone})
        return
    say(f"{printable(run_id)}  {status_text(found['status'])}")
    error = found.get("error")
    if error:
        say(f"{error.get('message')} [{error.get('code')}]")
    if undone := undone_by(found):
        say(f"undone by {undone}")
    if waits:
        say()
        table(("step", "reason", "why", "do", "since", "until"), [[one[key] for key in _COLUMNS] for one in waits])


_COLUMNS = ("step_id", "reason", "message", "action", "since", "until")


def _is_open(step: Mapping[str, Any]) -> bool:
    return step["completed_at"] is None and step["status"] not in ("skipped", "cancelled")


def _standing(step: Mapping[str, Any]) -> dict[str, Any]:
    """Why it waits; a step that is at work says since when."""
    wait = step.get("wait")
    if wait:
        held = {"holders": wait["holders"]} if "holders" in wait else {}
        return {**{key: wait[key] for key in ("reason", "message", "action", "since", "until")}, **held}
    standing = {"reason": step["status"], "message": step.get("worker"), "action": None}
    return {**standing, "since": step.get("started_at"), "until": None}


def _show_sent(sent: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(dict(sent))
        return
    if sent.get("dry_run"):
        tell("dry run: nothing was changed")
    for run_id in sent["delivered_to"]:
        say(f"delivered to  {printable(run_id)}")
    if sent["kept"]:
        say("nobody waits for it: it is kept for the first that will")


def _show(run: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(dict(run))
    elif run.get("dry_run") is True:
        tell_preview(run)
    else:
        say(f"{printable(run['id'])}  {status_text(run['status'])}")
