"""`doctor`: the effective settings, where each came from, whether Redis is fit, and whether there is a policy."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from cordum.cli.output import print_json, printable, say, table
from cordum.cli.remote import json_option
from cordum.errors import CordumError

if TYPE_CHECKING:
    from cordum.settings import Settings

REFUSED = 78


@click.command(short_help="Show the settings, and whether Redis is fit.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show the settings and where each came from, if Redis is fit, and the state of the policy."""
    from cordum.settings import load_settings

    settings = load_settings()
    rows = [(key, _shown(settings, key), settings.origin(key)) for key in _keys(settings)]
    place, problems, policy = _look_at_redis(settings)
    if as_json:
        shown = [{"key": key, "value": value, "origin": origin} for key, value, origin in rows]
        print_json({"settings": shown, "redis": {"address": place, "problems": problems}, "policy": policy})
    else:
        table(("setting", "value", "from"), rows)
        say(f"\nRedis {printable(place)}")
        for line in problems or ["fit for production"]:
            say(f"  {printable(line)}")
        if policy is not None:
            say(f"\nPolicy {policy['policy_snapshot'] or 'none that can be used'}, epoch {policy['epoch']}")
            say(f"  {printable(policy['fault'] or 'no fault')}")
    unfit = bool(problems) and (settings.env == "production" or place is None)
    ctx.exit(REFUSED if unfit else 0)


def _keys(settings: Settings) -> list[str]:
    return [one.name for one in dataclasses.fields(settings) if one.metadata]


def _shown(settings: Settings, key: str) -> Any:
    """The value as text; of the Redis URL, which may hold a password, only the place; of a secret only its id."""
    value = getattr(settings, key)
    if key == "audit_key" and value is not None:
        return f"{value.partition(':')[0]}:…"
    if key == "hook_master_key" and value is not None:
        return "(set)"
    if key != "redis_url" or value is None:
        return None if value is None else str(value)
    from cordum.redis_address import RedisAddress

    return RedisAddress.parse(value).masked()


def _look_at_redis(settings: Settings) -> tuple[str | None, list[str], dict[str, Any] | None]:
    """Where Redis is, without the password, everything that is wrong with it, and the state of the policy in it."""
    from cordum.cli.production import redis_problems
    from cordum.engine import Engine
    from cordum.ops.discovery import resolve_address

    place: str | None = None
    try:
        address = resolve_address(settings)
        place = address.masked()
        engine = Engine.connect(settings, address)
        return place, redis_problems(engine, address), engine.policies.state()
    except CordumError as error:
        return place, [error.detail], None
