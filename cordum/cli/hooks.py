"""`hook`: inbound webhooks that start runs or send signals."""

from __future__ import annotations

from typing import Any

import click

from cordum.cli.output import fields, print_json, printable, say, table, tell
from cordum.cli.previews import dry_run_option, reason_option
from cordum.cli.remote import json_option, remote
from cordum.cli.runs import value_of
from cordum.client import Client

_id = click.argument("hook_id", metavar="HOOK")


@click.group()
def hook() -> None:
    """Inbound webhooks that start runs or send signals."""


@hook.command()
@click.option("--start", "workflow_id", metavar="WORKFLOW", help="A delivery starts a run of it.")
@click.option("--input", "input_", metavar="JSON", help="The run's input, a template of ${body}. [default: the body]")
@click.option("--signal", "name", metavar="NAME", help="A delivery sends this signal.")
@click.option("--correlation", metavar="TEXT", help="To whom, a template of ${body}.")
@click.option("--payload", metavar="JSON", help="What it says, a template of ${body}. [default: the body]")
@click.option("--description", metavar="TEXT", default="", help="What it is for.")
@json_option
@remote
def create(
    client: Client,
    workflow_id: str | None,
    input_: str | None,
    name: str | None,
    correlation: str | None,
    payload: str | None,
    description: str,
    as_json: bool,
) -> None:
    """Make a hook and print its path and its secret, which is shown this once."""
    if (workflow_id is None) == (name is None) or (name is None) != (correlation is None):
        raise click.UsageError("give --start WORKFLOW, or --signal NAME with --correlation TEXT")
    action: dict[str, Any] = {"name": name, "correlation": correlation} if name else {"workflow_id": workflow_id}
    for key, text in (("input", input_), ("payload", payload)):
        if text is not None:
            action[key] = value_of(text)
    made = client.create_hook({"signal" if name else "start": action, "description": description})
    _show_secret(made, as_json)


@hook.command("list")
@json_option
@remote
def list_(client: Client, as_json: bool) -> None:
    """List the hooks and what each does."""
    found = client.hooks()
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], _does(one), one["created_by"], one["created_at"], one["description"]) for one in found]
    table(("hook", "does", "by", "created", "description"), rows)


@hook.command()
@_id
@json_option
@remote
def show(client: Client, hook_id: str, as_json: bool) -> None:
    """Show a hook, without its secret."""
    found = client.hook(hook_id)
    if as_json:
        print_json(found)
        return
    fields([(name, found.get(name)) for name in ("id", "path", "start", "signal", "created_by", "description")])


@hook.command()
@_id
@reason_option
@json_option
@remote
def rotate(client: Client, hook_id: str, reason: str, as_json: bool) -> None:
    """Give a hook another secret and print it. What the one before has signed is refused from now on."""
    _show_secret(client.rotate_hook(hook_id, reason), as_json)


@hook.command()
@_id
@reason_option
@dry_run_option
@remote
def delete(client: Client, hook_id: str, reason: str, dry_run: bool) -> None:
    """Forget a hook; what comes for it is refused from now on."""
    client.delete_hook(hook_id, reason, dry_run=dry_run)
    say(f"{printable(hook_id)} {'would be' if dry_run else 'is'} deleted")


def _show_secret(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    fields([("hook", made["id"]), ("path", made["path"]), ("secret", made["secret"])])
    tell("The secret is shown this once.")


def _does(one: dict[str, Any]) -> str:
    return f"start {one['start']['workflow_id']}" if "start" in one else f"signal {one['signal']['name']}"
