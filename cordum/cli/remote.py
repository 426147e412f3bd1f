"""The options of every command that talks to an API, and the client they make."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from cordum.client import Client

API_URL_VARIABLE = "CORDUM_API_URL"

P = ParamSpec("P")
R = TypeVar("R")


def remote(command: Callable[Concatenate[Client, P], R]) -> Callable[P, R]:
    """Give a command `--url`, `--tenant` and `--as`, and a client made of them as its first argument."""

    @click.option("--url", metavar="URL", help=f"The API. [default: {API_URL_VARIABLE}, else the cordum running here]")
    @click.option("--tenant", metavar="TENANT", help="Whose workflows and runs. [default: default]")
    @click.option("--as", "person", metavar="PERSON", help="Who you are. [default: anonymous]")
    @wraps(command)
    def connected(*args: P.args, **kwargs: P.kwargs) -> R:
        url, tenant, person = (_taken(kwargs, name) for name in ("url", "tenant", "person"))
        return command(Client(url or api_url(), tenant=tenant, principal=person), *args, **kwargs)

    return connected


def api_url() -> str:
    """Where the API is when nobody says: CORDUM_API_URL, else what runs on this machine, else the configured port."""
    named = os.environ.get(API_URL_VARIABLE)
    if named:
        return named
    from cordum.ops.discovery import find
    from cordum.settings import load_settings

    settings = load_settings()
    running = find(settings)
    if running is not None and running.api_url:
        return running.api_url
    return f"http://127.0.0.1:{settings.api_port}"


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _taken(kwargs: dict[str, Any], name: str) -> str | None:
    value: str | None = kwargs.pop(name)
    return value
