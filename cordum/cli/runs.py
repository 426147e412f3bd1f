"""`run`, `get`, `runs`, `timeline`, `cancel`, `delete`: runs through the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, say, status_text, table, tell, undone_by
from cordum.cli.previews import dry_run_option, reason_option, tell_preview
from cordum.cli.remote import json_option, remote
from cordum.cli.telling import details
from cordum.cli.watch import no_wait_option, watch_run
from cordum.cli.workflows import media_of, read_file
from cordum.client import Client
from cordum.errors import DefinitionInvalid, InvalidInput

_OPENING = ("{", "[", '"')


@click.command()
@click.argument("workflow")
@click.option("-i", "--input", "pairs", multiple=True, metavar="KEY=VALUE", help="One key of the input; JSON or text.")
@click.option("-f", "--file", metavar="FILE", help="The input as a JSON or YAML file; -i overrides its keys.")
@click.option("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the run.")
@click.option("--key", metavar="KEY", help="Idempotency key: the same key and input give the same run.")
@click.option("--dry-run", is_flag=True, help="Start nothing: say what the policy would decide about each step.")
@click.option("--watch", "watching", is_flag=True, help="Stay until the run ends; the exit code tells how.")
@no_wait_option
@json_option
@remote
@click.pass_context
def run(
    ctx: click.Context,
    client: Client,
    workflow: str,
    pairs: tuple[str, ...],
    file: str | None,
    labels: tuple[str, ...],
    key: str | None,
    dry_run: bool,
    watching: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Start a run of WORKFLOW."""
    given = (_from_file(file) if file else {}) | {name: value_of(text) for name, text in map(_pair, pairs)}
    tags = dict(map(_pair, labels))
    if dry_run:
        _show_tried(client.try_start(workflow, given, labels=tags), as_json)
        return
    started = client.start(workflow, given, idempotency_key=key, labels=tags)
    if watching:
        ctx.exit(watch_run(client, started["run_id"], as_json=as_json, no_wait=no_wait))
    if as_json:
        print_json(started)
        return
    note = "  (known key: this run had been started before)" if started["replayed"] else ""
    say(f"{printable(started['run_id'])}  {status_text(started['status'])}{note}")


def _show_tried(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    start = [{"step_id": "(the start)", "topic": "workflow.start", **found["start"]}] if found["start"] else []
    names = ("step_id", "topic", "decision", "rule_id", "reason")
    table(
        ("step", "topic", "decision", "rule", "reason"),
        [[one[name] for name in names] for one in (*start, *found["steps"])],
    )
    for warning in found["warnings"]:
        tell(printable(f"warning: {warning}"))


@click.command()
@click.argument("run_id", metavar="RUN")
@json_option
@remote
def get(client: Client, run_id: str, as_json: bool) -> None:
    """Show a run and its steps. Says why it waits, if it does."""
    found = client.get(run_id)
    if as_json:
        print_json(found)
        return
    wait, error = found.get("wait") or {}, found.get("error") or {}
    fields(
        [
            ("run", found["id"]),
            ("workflow", f"{found['workflow_id']} version {found.get('version')}"),
            ("status", found["status"]),
            ("waits", wait and f"{wait.get('message')} [{wait.get('reason')}]"),
            ("error", error and f"{error.get('message')} [{error.get('code')}]"),
            ("undone by", undone_by(found)),
            ("undoes", found.get("compensates")),
            ("by", found.get("triggered_by")),
            ("created", found.get("created_at")),
            ("completed", found.get("completed_at")),
            ("labels", found.get("labels")),
            ("input", found.get("input")),
        ]
    )
    say()
    table(("step", "status", "attempts", "worker", "why"), map(step_row, found.get("steps", {}).values()))
    if found.get("output"):
        say()
        say(json.dumps(found["output"], indent=2))


@click.command()
@click.option("--workflow", metavar="WORKFLOW", help="Only runs of this workflow.")
@click.option("--status", metavar="STATUS", help="Only runs in this status.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@json_option
@remote
def runs(client: Client, workflow: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    found = client.runs(workflow_id=workflow, status=status, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], one["workflow_id"], one["status"], one["created_at"], one.get("triggered_by")) for one in found]
    table(("run", "workflow", "status", "created", "by"), rows)


@click.command()
@click.argument("run_id", metavar="RUN")
@json_option
@remote
def timeline(client: Client, run_id: str, as_json: bool) -> None:
    """Show all that happened in a run. The oldest comes first."""
    events = client.timeline(run_id)
    if as_json:
        print_json(events)
        return
    rows = [
        (event["time"], event["type"], event.get("step_id"), event.get("attempt"), details(event)) for event in events
    ]
    table(("time", "event", "step", "attempt", "details"), rows)


@click.command()
@click.argument("run_id", metavar="RUN")
@reason_option
@click.option("--compensate", is_flag=True, help="Undo what it has done, as after a failure.")
@dry_run_option
@json_option
@remote
def cancel(client: Client, run_id: str, reason: str, compensate: bool, dry_run: bool, as_json: bool) -> None:
    """Cancel a run. One that has ended stays as it is."""
    told = client.cancel(run_id, reason, compensate=compensate, dry_run=dry_run)
    if told is not None:
        print_json(told) if as_json else tell_preview(told)
        return
    found = client.get(run_id)
    if as_json:
        print_json(found)
    else:
        say(f"{printable(run_id)}  {status_text(found['status'])}")


@click.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@reason_option
@dry_run_option
@remote
def delete(client: Client, run_ids: tuple[str, ...], reason: str, dry_run: bool) -> None:
    """Forget ended runs, each with all that belongs to it."""
    for run_id in run_ids:
        told = client.delete_run(run_id, reason, dry_run=dry_run)
        say(f"{printable(run_id)}  " + ("deleted" if told is None else f"would go, {len(told['removes'])} in all"))


def _from_file(file: str) -> dict[str, Any]:
    from cordum.domain.definition import parse_document

    try:
        value = parse_document(read_file(file), media_of(file)).value
    except DefinitionInvalid as refusal:
        raise InvalidInput(f"{file} cannot be used as input", problems=refusal.problems) from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{file} must hold a mapping: the input of a run is an object")
    return value


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"{text!r} should look like name=value")
    return name, value


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself; what begins like JSON and is none is a mistake, not a text."""
    from cordum.domain.definition import read_json

    try:
        return read_json(text.encode("utf-8", "surrogateescape"))
    except InvalidInput as refusal:
        if text.startswith(_OPENING):
            raise click.UsageError(f"{text!r} begins like JSON, but {refusal.detail}") from None
        return text


def step_row(step: Mapping[str, Any]) -> tuple[object, ...]:
    wait, error = step.get("wait") or {}, step.get("error") or {}
    why = error.get("message") or wait.get("message") or step.get("skip_reason")
    attempts = step.get("attempts") or None
    return step["step_id"], step["status"], attempts, step.get("worker"), why
