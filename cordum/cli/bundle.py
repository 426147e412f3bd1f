"""`bundle`: everything about one run as one file, and a look into such a file without any server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, say, table
from cordum.cli.remote import json_option, remote
from cordum.cli.runs import step_row
from cordum.cli.telling import details
from cordum.client import Client
from cordum.errors import InvalidInput

FORMATS = ("cordum.bundle/1",)


@click.command(short_help="Collect all there is of a run in one file.")
@click.argument("what", metavar="RUN | show FILE", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Where to; else it is printed.")
@json_option
@remote
def bundle(client: Client, what: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Collect all there is of a run in one file: definition, input, decisions, approvals, attempts, results, timeline.

    `bundle show FILE` shows such a file, without an API.
    """
    match what:
        case ("show", file):
            _show(_read(Path(file)), as_json)
        case (run_id,):
            _write(client.bundle(run_id), output)
        case _:
            raise click.UsageError("give one run, or `show` and one file")


def _write(found: dict[str, Any], output: str | None) -> None:
    if output is None:
        print_json(found)
        return
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    Path(output).write_text(text, encoding="utf-8")
    say(f"{printable(output)}  {len(found['timeline'])} events, {len(text.encode())} bytes")


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InvalidInput(f"{file} cannot be read: {problem}") from None
    if not isinstance(found, dict) or found.get("format") not in FORMATS:
        raise InvalidInput(f"{file} is no bundle of a format that this version knows: {', '.join(FORMATS)}")
    return found


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    run = found["run"]
    error = run["error"] or {}
    fields(
        [
            ("run", run["id"]),
            ("workflow", f"{run['workflow_id']} version {run['version']}"),
            ("status", run["status"]),
            ("error", error and f"{error.get('message')} [{error.get('code')}]"),
            ("by", run["created_by"]),
            ("created", run["created_at"]),
            ("completed", run["completed_at"]),
            ("input", run["input"]),
        ]
    )
    say()
    table(("step", "status", "attempts", "worker", "why"), map(step_row, run["steps"].values()))
    if found["approvals"]:
        say()
        rows = [(one["step_id"], one["state"], one["decided_by"], one["comment"]) for one in found["approvals"]]
        table(("approval", "state", "by", "comment"), rows)
    say()
    events = [(one["time"], one["type"], one["step_id"], one["attempt"], details(one)) for one in found["timeline"]]
    table(("time", "event", "step", "attempt", "details"), events)
