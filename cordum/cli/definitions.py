"""`graph`, `diff`, `schema` and `workflows`: looking at definitions, from files or from the API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cordum.cli.output import compact, print_json, printable, say, table
from cordum.cli.remote import json_option, remote
from cordum.cli.workflows import media_of, read_file
from cordum.client import ApiError, Client
from cordum.errors import NotFound

if TYPE_CHECKING:
    from cordum.domain.definition import Change

_NAMED = re.compile(r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:@(?P<version>[1-9][0-9]{0,8}))?\Z")
# What the API adds to a stored definition.
_ADDED = ("version", "version_label", "digest", "created_at")


@click.command()
@click.argument("what", metavar="FILE|WORKFLOW|RUN")
@click.option("--format", "form", type=click.Choice(["mermaid", "json"]), default="mermaid", show_default=True)
@remote
def graph(client: Client, what: str, form: str) -> None:
    """Print a definition or a run as a graph. `WORKFLOW@2` is its second version; a run shows its steps' states."""
    from cordum.domain.picture import mermaid

    drawn = _graph(client, what)
    if form == "json":
        print_json(drawn)
    else:
        say(mermaid(drawn).rstrip())


@click.command()
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--exit-code", is_flag=True, help="Exit code 1 when they differ.")
@json_option
@remote
@click.pass_context
def diff(ctx: click.Context, client: Client, old: str, new: str, exit_code: bool, as_json: bool) -> None:
    """Say what differs between two definitions, step by step. Each is a file, WORKFLOW or WORKFLOW@VERSION."""
    from cordum.domain.definition import differences

    changes = differences(_definition(client, old), _definition(client, new))
    if as_json:
        print_json({"changes": [_document(change) for change in changes]})
    else:
        _show(changes)
    ctx.exit(1 if changes and exit_code else 0)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the workflow language, for editors that complete and check YAML."""
    from cordum.domain.definition import language_schema

    print_json(language_schema())


@click.group()
def workflows() -> None:
    """List, look at and delete stored definitions."""


@workflows.command("list")
@json_option
@remote
def list_(client: Client, as_json: bool) -> None:
    """The latest version of every workflow."""
    found = client.workflows()
    if as_json:
        print_json(found)
    else:
        rows = [(one["id"], str(one["version"]), one["created_at"], one.get("name") or "") for one in found]
        table(("workflow", "version", "saved", "name"), rows)


@workflows.command()
@click.argument("workflow")
@json_option
@remote
def versions(client: Client, workflow: str, as_json: bool) -> None:
    """All versions of a workflow, the newest first."""
    found = client.workflow_versions(workflow)
    if as_json:
        print_json(found)
    else:
        table(
            ("version", "saved", "digest"), [(str(one["version"]), one["created_at"], one["digest"]) for one in found]
        )


@workflows.command()
@click.argument("workflow")
@remote
def delete(client: Client, workflow: str) -> None:
    """Forget a workflow with all its versions. Refused while a run of it has not ended."""
    client.delete_workflow(workflow)
    say(f"{printable(workflow)} deleted")


# -- where definitions come from ---------------------------------------------------------------------------------


def _is_file(what: str) -> bool:
    return what == "-" or not _NAMED.match(what) or Path(what).is_file()


def _version_of(what: str) -> tuple[str, int | None]:
    found = _NAMED.match(what)
    assert found is not None, "a file otherwise"
    return found["id"], int(found["version"]) if found["version"] else None


def _graph(client: Client, what: str) -> dict[str, Any]:
    if _is_file(what):
        from cordum.domain.definition import load_workflow
        from cordum.domain.picture import graph as drawn

        return drawn(load_workflow(read_file(what), media_of(what), default_id="generated"))
    workflow_id, version = _version_of(what)
    try:
        return client.workflow_graph(workflow_id, version)
    except ApiError as error:
        if error.http_status != 404 or version is not None:
            raise
    try:
        return client.run_graph(workflow_id)
    except ApiError as error:
        if error.http_status == 404:
            raise NotFound(f"there is no file, workflow or run {what}") from None
        raise


def _definition(client: Client, what: str) -> dict[str, Any]:
    if _is_file(what):
        from cordum.domain.definition import check_workflow, parse_document

        document = parse_document(read_file(what), media_of(what))
        check_workflow(document, default_id="generated")
        assert isinstance(document.value, dict), "valid definitions are mappings"
        return document.value
    found = client.workflow(*_version_of(what))
    label = {} if found.get("version_label") is None else {"version": found["version_label"]}
    return {key: value for key, value in found.items() if key not in _ADDED} | label


# -- showing changes ---------------------------------------------------------------------------------------------

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow"), "moved": ("~", "yellow")}


def _show(changes: Iterable[Change]) -> None:
    """Changes under the step that they belong to."""
    heading = ""
    for change in changes:
        within, path = _placed(change)
        if within != heading:
            heading = within
            say(click.style(printable(within), bold=True))
        sign, colour = _SIGNS[change.change]
        say(click.style(f"  {sign} {printable(path)}", fg=colour) + _values(change))
    if not heading:
        say("no difference")


def _placed(change: Change) -> tuple[str, str]:
    path = [str(part) for part in change.path]
    if path[0] != "steps" or change.change == "moved":
        return "workflow", ".".join(path)
    if len(path) == 2:
        return "steps", path[1]
    return f"step {path[1]}", ".".join(path[2:])


def _values(change: Change) -> str:
    match change.change:
        case "added":
            return f": {compact(change.new)}"
        case "removed":
            return ""
        case "moved":
            return f": now in the order {compact(change.new)}"
    return f": {compact(change.old)} -> {compact(change.new)}"


def _document(change: Change) -> dict[str, Any]:
    from cordum.domain.definition import pointer

    return {"path": pointer(change.path), "change": change.change, "old": change.old, "new": change.new}
