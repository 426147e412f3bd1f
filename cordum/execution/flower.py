"""Flower on cordum's broker: how it is started, and what it may not be.

Flower left alone listens on every interface, shows its pages to anybody and has workers send events they were not asked
for. Here it listens on `flower_address` unless told otherwise, always asks who is there, and leaves events to a
worker's `-E`. That holds for `cordum flower` and for `celery -A cordum flower` alike: `guard` looks at Flower's
options when they are final, wherever they came from, and before its socket is bound.
"""

from __future__ import annotations

import errno
import secrets
import socket
from ipaddress import IPv6Address, ip_address
from typing import Any

import click

from cordum.errors import ConfigurationRefused
from cordum.execution import process
from cordum.ops.discovery import resolve_address
from cordum.settings import Settings

__all__ = ["guard", "run_flower"]

REFUSED = 78

_CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
_USER = "cordum"
_MEND = "give --basic-auth USER:PASSWORD or set FLOWER_BASIC_AUTH"


def run_flower(settings: Settings, basic_auth: str | None) -> int:
    """Flower in this process, from its main thread, until it is told to stop; the answer is the exit code.

    Without `basic_auth` it is FLOWER_BASIC_AUTH, or what a flowerconfig.py in the current directory says.
    """
    from celery.bin.celery import celery

    process.use(settings, resolve_address(settings))
    argv = [
        *("-A", "cordum", "flower", f"--logging={settings.log_level}"),
        *(f"--address={settings.flower_address}", f"--port={settings.flower_port}"),
        *(() if basic_auth is None else (f"--basic-auth={basic_auth}",)),
    ]
    try:
        return int(celery.main(args=argv, standalone_mode=False) or 0)
    except OSError as error:
        if error.errno not in _CANNOT_LISTEN:
            raise
        place = f"{settings.flower_address} port {settings.flower_port}"
        raise ConfigurationRefused(f"Flower cannot listen on {place}: {error.strerror}") from error


def guard(**_: Any) -> None:
    """Receives `import_modules`, which a Flower has sent between reading its options and binding its socket."""
    context = click.get_current_context(silent=True)
    if context is None or context.command.name != "flower":
        return
    from tornado.options import options

    try:
        _secure(options, process.settings())
    except ConfigurationRefused as error:
        # Not raised: Celery would log it with its traceback.
        click.echo(f"error: {error.detail}", err=True)
        raise SystemExit(REFUSED) from None
    _close_metrics()


def _secure(options: Any, settings: Settings) -> None:
    """Put Flower's options right, or ConfigurationRefused."""
    # Not the address as it is written: names, `0` and `::` have many spellings.
    options.address = options.address or settings.flower_address
    options.enable_events = False
    if any(not _is_credential(one) for one in options.basic_auth or ()):
        raise ConfigurationRefused("Flower's basic authentication is USER:PASSWORD, in ASCII; a comma begins another")
    if options.basic_auth or options.auth:
        return
    if not options.unix_socket:
        _refuse_public_address(options.address)
    if settings.env == "production":
        raise ConfigurationRefused(f"Flower does not start in production without authentication: {_MEND}")
    password = secrets.token_urlsafe(16)
    options.basic_auth = [f"{_USER}:{password}"]
    click.echo(f"Flower asks for user {_USER}, password {password} (new at each start; {_MEND})", err=True)


def _is_credential(text: str) -> bool:
    """Flower would let in whoever gives an empty one back, and cannot compare what is not ASCII."""
    user, _, password = text.partition(":")
    return bool(user and password) and text.isascii() and text.isprintable()


def _refuse_public_address(address: str) -> None:
    """Judges what the name stands for, resolved in the way Flower's server does it."""
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationRefused(f"Flower cannot listen on {address!r}: {error}") from error
    public = [str(place[0]) for *_, place in found if not _is_loopback(str(place[0]))]
    if public:
        raise ConfigurationRefused(
            f"Flower does not listen on {public[0]} without authentication: {_MEND}, or take --address=127.0.0.1"
        )


def _is_loopback(number: str) -> bool:
    address = ip_address(number)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _close_metrics() -> None:
    """Flower never asks who reads /metrics, which names topics and hosts; as on its pages, it shall."""
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    Metrics.get = authenticated(Metrics.get)
