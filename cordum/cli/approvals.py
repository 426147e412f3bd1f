"""`approvals`, `approve`, `reject`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, printable_lines, say, status_text, table
from cordum.cli.remote import json_option, remote
from cordum.client import Client
from cordum.errors import NotFound, StateConflict


@click.group(invoke_without_command=True)
@click.option("--all", "include_resolved", is_flag=True, help="Also those that have been decided.")
@click.option("--stats", is_flag=True, help="How many wait, and how long the newest ones waited.")
@json_option
@click.pass_context
@remote
def approvals(client: Client, ctx: click.Context, include_resolved: bool, stats: bool, as_json: bool) -> None:
    """List what waits for a person's decision."""
    if ctx.invoked_subcommand is not None:
        return
    if stats:
        _show_stats(client.approval_stats(), as_json)
        return
    found = client.approvals(include_resolved=include_resolved)
    if as_json:
        print_json(found)
        return
    rows = [(one["job_id"], one["state"], one["reason"], one["next_effect"], one["requested_at"]) for one in found]
    table(("approval", "state", "reason", "next effect", "asked at"), rows)


@approvals.command("show")
@click.argument("approval", metavar="APPROVAL|RUN")
@json_option
@remote
def show(client: Client, approval: str, as_json: bool) -> None:
    """Show what a decision rests on and what it sets going."""
    found = client.approval(_approval_id(client, approval))
    if as_json:
        print_json(found)
        return
    names = ("job_id", "state", "reason", "next_effect", "policy_rule_id", "submitted_by", "requested_at")
    fields([*((name.replace("_", " "), found[name]) for name in names), ("decided by", found["decided_by"])])
    for title, value in (("what is asked for", found["request"]), ("input of the run", found["run_input"])):
        _section(title, value)
    for one in found["evidence"]:
        _section(f"found by {one['step_id']}", "(too much to show: see the run)" if one["left_out"] else one["output"])
    if found["downstream"]:
        say()
        rows = [(one["step_id"], one["topic"] or one["type"], one["status"]) for one in found["downstream"]]
        table(("goes on after it", "topic", "status"), rows)


def _section(title: str, value: Any) -> None:
    say()
    say(click.style(printable(title), bold=True))
    for line in printable_lines(json.dumps(value, indent=2, ensure_ascii=False)):
        say(f"  {line}")


def _show_stats(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    waits = found["wait_sec"] or {}
    oldest = found["oldest_open_sec"]
    fields(
        [
            ("open", found["open"]),
            ("oldest open", None if oldest is None else duration(oldest)),
            *((f"decided within ({name})", duration(sec)) for name, sec in waits.items()),
            *((f"ended {outcome}", count) for outcome, count in sorted(found["outcomes"].items())),
        ]
    )
    rows = [
        (f"up to {duration(one['up_to_sec'])}" if one["up_to_sec"] else "longer", one["count"])
        for one in found["histogram"]
    ]
    say()
    table(("people's decisions", "count"), rows)


def duration(seconds: float) -> str:
    """`90` as `1.5 min`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


@click.command()
@click.argument("approval", metavar="APPROVAL|RUN")
@click.option("--reason", metavar="TEXT", help="Why; it stays on the record.")
@json_option
@remote
def approve(client: Client, approval: str, reason: str | None, as_json: bool) -> None:
    """Approve a step that waits. A run's id will do when the run waits for one decision only."""
    _show(client.approve(_approval_id(client, approval), reason), as_json)


@click.command()
@click.argument("approval", metavar="APPROVAL|RUN")
@click.option("--reason", metavar="TEXT", required=True, help="Why; it becomes the step's error.")
@json_option
@remote
def reject(client: Client, approval: str, reason: str, as_json: bool) -> None:
    """Reject a step that waits. A run's id will do when the run waits for one decision only."""
    _show(client.reject(_approval_id(client, approval), reason), as_json)


def open_approvals(client: Client, run_id: str) -> list[dict[str, Any]]:
    return [one for one in client.approvals() if one.get("run_id") == run_id]


def _approval_id(client: Client, named: str) -> str:
    if ":" in named:
        return named
    found = open_approvals(client, named)
    if len(found) > 1:
        raise StateConflict(f"{named} waits for several decisions: {', '.join(one['job_id'] for one in found)}")
    if not found:
        client.get(named)
        raise NotFound(f"the run {named} waits for no decision")
    return str(found[0]["job_id"])


def _show(decided: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(decided)
    else:
        by = f"  by {printable(decided['decided_by'])}" if decided.get("decided_by") else ""
        say(f"{printable(decided['job_id'])}  {status_text(decided.get('decision'))}{by}")
