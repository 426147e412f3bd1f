"""`api`, `coordinator`, `worker`: the roles of a deployment, one process each."""

from __future__ import annotations

import os
import sys

import click


@click.command(short_help="Serve the HTTP API.")
@click.option("--host", metavar="HOST", help="Address to listen on. [default: api_host of the settings]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on. [default: api_port of the settings]")
def api(host: str | None, port: int | None) -> None:
    """Serve the HTTP API. Publishes the policy file at its start."""
    from cordum.cli.production import serve_api
    from cordum.settings import load_settings

    serve_api(load_settings().with_overrides("cordum api", api_host=host, api_port=port))


@click.command(short_help="Advance runs.")
@click.option("--no-beat", is_flag=True, help="Leave the beat to a `celery -A cordum beat`.")
def coordinator(no_beat: bool) -> None:
    """Advance runs; as many as you like, on any machine that reaches Redis. Publishes the policy file at its start."""
    from cordum.cli.production import coordinate
    from cordum.settings import load_settings

    sys.exit(coordinate(load_settings(), beat=not no_beat))


@click.command(
    short_help="Work on jobs: `celery -A cordum worker …`.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF CELERY WORKER]…")
def worker(arguments: tuple[str, ...]) -> None:
    """Work on jobs: short for `celery -A cordum worker …`, whose options it takes (-Q topics, -I modules, -c slots)."""
    command = [sys.executable, "-m", "celery", "-A", "cordum", "worker", *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted: the arguments are the user's own
