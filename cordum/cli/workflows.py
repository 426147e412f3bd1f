"""`validate` and `apply`: definitions from files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cordum.cli.output import complain, print_json, printable, say, tell
from cordum.cli.remote import json_option, remote
from cordum.client import Client
from cordum.errors import DefinitionInvalid, InvalidInput, Problem

if TYPE_CHECKING:
    from cordum.domain.definition import Media

_JSON_SUFFIXES = (".json",)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@json_option
@click.pass_context
def validate(ctx: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Check workflow definitions without a server. Prints every problem with its place; `-` is standard input."""
    found = [(file, *_problems(file, read_file(file))) for file in files]
    if as_json:
        print_json([_verdict(file, problems, warnings) for file, problems, warnings in found])
    for file, problems, warnings in found if not as_json else []:
        for problem in problems:
            say(printable(f"{file}:{problem}"))
        for warning in warnings:
            tell(printable(f"{file}: warning: {warning}"))
        if not problems:
            say(f"{printable(file)}: valid")
    ctx.exit(1 if any(problems for _, problems, _ in found) else 0)


@click.command()
@click.argument("file", metavar="FILE")
@json_option
@remote
def apply(client: Client, file: str, as_json: bool) -> None:
    """Save a workflow definition. The same content again is the same version."""
    data = read_file(file)
    problems, _ = _problems(file, data)
    if problems:
        refusal = DefinitionInvalid("the definition is not valid; nothing was saved", problems=problems)
        complain(refusal, source=file)
        raise click.exceptions.Exit(1)
    saved = client.save_workflow(_as_yaml(file, data))
    if as_json:
        print_json(saved)
        return
    known = "" if saved.get("created", True) else " (unchanged)"
    say(f"{printable(saved['id'])} version {saved['version']}{known}")
    for warning in saved.get("warnings", []):
        tell(printable(f"{file}: {warning.get('path')}: warning: {warning.get('message')} [{warning.get('code')}]"))


def read_file(file: str) -> bytes:
    """The bytes of a file, or of standard input for `-`."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", code="file_unreadable") from error


def media_of(file: str) -> Media:
    return "json" if Path(file).suffix.lower() in _JSON_SUFFIXES else "yaml"


def _problems(file: str, data: bytes) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Errors and warnings."""
    from cordum.domain.definition import read_workflow

    try:
        return (), read_workflow(data, media_of(file), default_id="generated").warnings
    except DefinitionInvalid as refusal:
        return refusal.problems, ()


def _as_yaml(file: str, data: bytes) -> bytes | dict[str, Any]:
    """What the client sends: the text as it is, but the value of a JSON file."""
    if media_of(file) == "yaml":
        return data
    from cordum.domain.definition import read_json

    value = read_json(data)
    assert isinstance(value, dict), "validated before"
    return value


def _verdict(file: str, problems: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> dict[str, Any]:
    def shown(found: tuple[Problem, ...]) -> list[dict[str, Any]]:
        return [
            {"path": one.path, "line": one.line, "column": one.column, "code": one.code, "message": one.message}
            for one in found
        ]

    return {"file": file, "valid": not problems, "errors": shown(problems), "warnings": shown(warnings)}
