"""`audit`: what was done and decided, where Redis is; and an exported audit judged wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cordum.cli.output import print_json, printable, say, table, tell
from cordum.cli.remote import json_option

if TYPE_CHECKING:
    from cordum.engine import Engine

COMPROMISED = 1
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

tenant_option = click.option("--tenant", metavar="TENANT", default="default", show_default=True, help="Whose audit.")


@click.group()
def audit() -> None:
    """What was decided and done: listed, exported, and checked for changes."""


@audit.command("list")
@tenant_option
@click.option("--type", "type_", metavar="TYPE", help="Only of this type, `approval.approved` for example.")
@click.option("--actor", metavar="WHO", help="Only what this person has done.")
@click.option("--run", "run_id", metavar="RUN", help="Only of this run.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@json_option
def list_(tenant: str, type_: str | None, actor: str | None, run_id: str | None, limit: int, as_json: bool) -> None:
    """List the latest records."""
    with _engine() as engine:
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = engine.audit.list(
                tenant, limit=min(limit - len(found), 200), after=after, type=type_, actor=actor, run_id=run_id
            )
            found += page.items
            after = page.next
            if after is None or len(found) == limit:
                break
    if as_json:
        print_json(found)
        return
    header = ("number", "time", "what", "who", "about", "step", "from", "to")
    names = ("sequence", "time", "type", "actor", "subject", "step_id", "from", "to")
    table(header, [[one[name] for name in names] for one in found])


@audit.command()
@tenant_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file. [default: stdout]")
def export(tenant: str, output: Path | None) -> None:
    """Write the whole audit as JSON lines that `verify` can judge without Redis."""
    with _engine() as engine:
        if output is None:
            for line in engine.audit.export(tenant):
                click.echo(line, nl=False)
            return
        with output.open("w", encoding="utf-8") as file:
            file.writelines(engine.audit.export(tenant))
    tell(f"{output} written")


@audit.command()
@click.argument("file", type=_FILE, required=False)
@tenant_option
@click.option("--keys", type=_FILE, help="The keys that have signed: a file like `audit_keys_file`. [default: ours]")
@click.option("--checkpoints", type=_FILE, help="Hold FILE against these checkpoints, too.")
@json_option
@click.pass_context
def verify(
    ctx: click.Context, file: Path | None, tenant: str, keys: Path | None, checkpoints: Path | None, as_json: bool
) -> None:
    """Say whether an audit is what was written: the exported one in FILE, or else the one in Redis.

    A FILE is judged without Redis. Exit code 1: it has been changed, from the number that is told on.
    """
    report = _of_file(file, keys, checkpoints) if file is not None else _of_redis(tenant)
    if as_json:
        print_json(report)
    else:
        _show(report)
    ctx.exit(0 if report["status"] == "ok" else COMPROMISED)


def _of_redis(tenant: str) -> dict[str, Any]:
    with _engine() as engine:
        return engine.audit.verify(tenant)


def _of_file(file: Path, keys: Path | None, checkpoints: Path | None) -> dict[str, Any]:
    from cordum.engine.audit_export import verify_export
    from cordum.engine.audit_keys import keyring_from, load_keyring
    from cordum.settings import load_settings
    from cordum.store.checkpoints import CheckpointFile

    keyring = keyring_from(keys) if keys is not None else load_keyring(load_settings())
    points = CheckpointFile(checkpoints).read()[0] if checkpoints is not None else []
    with file.open("rb") as lines:
        return verify_export(lines, keyring, points)


def _show(report: Mapping[str, Any]) -> None:
    total, sealed = report["total_events"], report["sealed"]
    say(f"{report['status']}: {total} records of {printable(report['tenant'])}, {sealed} of them sealed")
    if report["signatures"] == "not_checked":
        say("  signatures were not checked: there is no key")
    for problem in report["problems"]:
        say(f"  {problem['sequence']}: {printable(problem['message'])} [{problem['code']}]")
    if report["more_problems"]:
        say(f"  and {report['more_problems']} more")


@contextmanager
def _engine() -> Iterator[Engine]:
    from cordum.engine import Engine
    from cordum.ops.discovery import resolve_address
    from cordum.settings import load_settings

    settings = load_settings()
    engine = Engine.connect(settings, resolve_address(settings))
    try:
        yield engine
    finally:
        engine.close()
