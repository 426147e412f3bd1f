"""`dlq`: what failed for good."""

from __future__ import annotations

import click

from cordum.cli.output import print_json, table
from cordum.cli.remote import json_option, remote
from cordum.client import Client


@click.group()
def dlq() -> None:
    """Steps that failed for good, with the evidence."""


@dlq.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@json_option
@remote
def list_(client: Client, limit: int, as_json: bool) -> None:
    """List the dead letters."""
    found = client.dead_letters(limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["job_id"], one["topic"], one["reason_code"], one["attempts"], one["failed_at"], one["error"])
        for one in found
    ]
    table(("dead letter", "topic", "reason", "attempts", "failed at", "error"), rows)
