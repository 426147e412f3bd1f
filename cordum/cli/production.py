"""Starting a role: on which Redis, whether that is fit for production, and with which policy."""

from __future__ import annotations

import logging
from pathlib import Path

from cordum.api import serve
from cordum.cli.output import say
from cordum.console import CONSOLE, create_console
from cordum.engine import Engine
from cordum.errors import ConfigurationRefused
from cordum.execution.roles import run_coordinator
from cordum.ops.discovery import resolve_address
from cordum.ops.redis_checks import check_redis
from cordum.redis_address import RedisAddress
from cordum.settings import Settings


def serve_api(settings: Settings) -> None:
    """Until SIGTERM or SIGINT."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    engine = _prepared(settings, resolve_address(settings))
    _demand_keys(engine, settings)
    pages = {CONSOLE: create_console(engine, settings)}
    server = serve(engine, settings, settings.api_host, settings.api_port, pages=pages)
    say(f"API {server.url}")
    server.wait()
    engine.close()


def _demand_keys(engine: Engine, settings: Settings) -> None:
    if settings.env == "production" and not engine.api_keys.required():
        raise ConfigurationRefused(
            "in production the API does not start without keys: make the first with "
            "`cordum keys create --role admin --person NAME`"
        )


def coordinate(settings: Settings, *, beat: bool) -> int:
    """The exit code of the Celery worker that coordinates in this process."""
    address = resolve_address(settings)
    engine = _prepared(settings, address)
    _demand_signatures(engine, settings)
    engine.close()
    # The one that was prepared, also when it was found by discovery.
    return run_coordinator(settings.with_overrides("cordum coordinator", redis_url=address.url()), beat)


def _demand_signatures(engine: Engine, settings: Settings) -> None:
    """An audit that nobody signs can be chained anew by whoever can write to Redis."""
    if settings.env == "production" and engine.audit.keyring.active is None:
        raise ConfigurationRefused(
            "in production a coordinator does not start without a key that signs the audit: "
            "set CORDUM_AUDIT_KEY=<id>:<secret>"
        )


def redis_problems(engine: Engine, address: RedisAddress) -> list[str]:
    """What makes this Redis unfit for production, one sentence each."""
    info = engine.store.connection.read(lambda client: client.info())
    assert isinstance(info, dict), "redis-py types replies as awaitable or not"
    return check_redis(address, info)


def read_policy(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationRefused(f"the policy {file} cannot be read: {error.strerror}") from error


def _prepared(settings: Settings, address: RedisAddress) -> Engine:
    """An engine on a Redis that is fit, with the policy file published; ConfigurationRefused, a line for each fault."""
    engine = Engine.connect(settings, address)
    if settings.env == "production":
        problems = redis_problems(engine, address)
        if problems:
            raise ConfigurationRefused("\n".join(problems))
    engine.policies.publish_file(read_policy(settings.policy_file), "startup")
    engine.pools.publish_file(settings.pools_file, "startup")
    return engine
