"""`approvals`, `approve`, `reject`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import print_json, printable, say, status_text, table
from cordum.cli.remote import json_option, remote
from cordum.client import Client
from cordum.errors import NotFound, StateConflict


@click.command()
@click.option("--all", "include_resolved", is_flag=True, help="Also those that have been decided.")
@json_option
@remote
def approvals(client: Client, include_resolved: bool, as_json: bool) -> None:
    """List what waits for a person's decision."""
    found = client.approvals(include_resolved=include_resolved)
    if as_json:
        print_json(found)
        return
    rows = [(one["job_id"], one["state"], one["reason"], one["next_effect"], one["requested_at"]) for one in found]
    table(("approval", "state", "reason", "next effect", "asked at"), rows)


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
