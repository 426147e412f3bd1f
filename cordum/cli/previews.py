"""`--reason` and `--dry-run`: why an action is done, and what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import printable, say, table, tell

reason_option = click.option(
    "--reason", metavar="TEXT", required=True, help="Why; it stays in the audit, and on the timeline of a run."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Tell what would be done; change nothing.")


def tell_preview(told: Mapping[str, Any]) -> None:
    """What an action would do."""
    tell("dry run: nothing was changed")
    if "run" not in told:  # it was done before
        return
    change = told["run"]
    moves = [("run", change["from"], change["to"])] if change["from"] != change["to"] else []
    table(("what", "from", "to"), [*moves, *((one["step_id"], one["from"], one["to"]) for one in told["steps"])])
    for one in told["decisions"]:
        say(f"decision  {printable(one['step_id'])}: {printable(one.get('decision'))} {printable(one.get('rule_id'))}")
    lists = (
        ("dispatch", [one["job_id"] for one in told["dispatch"]]),
        ("ask", told["approvals"]),
        ("cancel", told["cancel"]),
        ("start", told["child_runs"]["start"]),
        ("retry", told["child_runs"]["retry"]),
        ("replay", told["dead_letters"]["replayed"]),
        ("discard", told["dead_letters"]["discarded"]),
    )
    for verb, ids in lists:
        for one in ids:
            say(f"{verb}  {printable(one)}")
