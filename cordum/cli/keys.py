"""`keys`: API keys, made and revoked where Redis is, because the first key cannot be asked for with a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cordum.cli.output import print_json, say, table, tell
from cordum.cli.remote import json_option

if TYPE_CHECKING:
    from cordum.engine import Engine

_ROLES = click.Choice(["viewer", "operator", "approver", "admin"])
_DAY_SEC = 86_400
_BY = "cordum keys"


@click.group()
def keys() -> None:
    """API keys. Once there is one, the API answers nobody without."""


@keys.command()
@click.option("--person", metavar="PERSON", required=True, help="Who holds it; one person's keys are one person.")
@click.option("--role", type=_ROLES, required=True, help="What it may do.")
@click.option("--tenant", metavar="TENANT", default="default", show_default=True, help="Whose workflows and runs.")
@click.option("--expires-days", type=click.IntRange(1, 3650), help="For how long it is good. [default: until revoked]")
@click.option("--description", metavar="TEXT", default="", help="What it is for.")
@json_option
def create(person: str, role: str, tenant: str, expires_days: int | None, description: str, as_json: bool) -> None:
    """Make a key and print it. It is shown this once: only its SHA-256 is kept."""
    from cordum.domain.api_keys import PERSON
    from cordum.domain.ids import TENANT
    from cordum.domain.roles import Role

    for option, value, wanted in (("--person", person, PERSON), ("--tenant", tenant, TENANT)):
        if not wanted.match(value):
            raise click.BadParameter(f"must match {wanted.pattern}", param_hint=option)
    with _engine() as engine:
        made = engine.api_keys.create(
            tenant,
            person,
            Role(role),
            by=_BY,
            expires_in_sec=None if expires_days is None else expires_days * _DAY_SEC,
            description=description,
        )
    if as_json:
        print_json(made)
        return
    say(made["key"])
    tell("Shown this once. Programs take it from CORDUM_API_KEY, or send it as X-API-Key.")


@keys.command("list")
@click.option("--tenant", metavar="TENANT", help="Only of this tenant.")
@json_option
def list_(tenant: str | None, as_json: bool) -> None:
    """List the keys: whose they are and whether they are good, not what opens anything."""
    with _engine() as engine:
        found = engine.api_keys.list(tenant)
    if as_json:
        print_json(found)
        return
    header = ("key", "tenant", "person", "role", "created", "expires", "revoked", "last used", "description")
    names = ("id", "tenant", "person", "role", "created_at", "expires_at", "revoked_at", "last_used_at", "description")
    table(header, [[one[name] for name in names] for one in found])


@keys.command()
@click.argument("key_id", metavar="KEY")
def revoke(key_id: str) -> None:
    """Revoke a key, by the eight characters that name it; within a second nobody takes it any more."""
    with _engine() as engine:
        engine.api_keys.revoke(None, key_id.removeprefix("ck_")[:8], by=_BY)
    say(f"{key_id} is revoked")


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
