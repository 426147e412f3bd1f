"""`flower`: what Celery's monitor shows of the jobs, started so that it is never open."""

from __future__ import annotations

import sys

import click


@click.command(short_help="Watch jobs and workers in a browser, with Flower.")
@click.option(
    "--address", metavar="ADDRESS", help="Address to listen on. [default: flower_address of the settings: loopback]"
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port to listen on. [default: flower_port of the settings: 5555]"
)
@click.option(
    "--basic-auth",
    metavar="USER:PASSWORD",
    help="Whom to let in. Lists of processes may show it: rather set FLOWER_BASIC_AUTH.",
)
def flower(address: str | None, port: int | None, basic_auth: str | None) -> None:
    """Watch jobs and workers in a browser, with Flower. Jobs are seen of workers started with -E.

    It always asks who is there: without --basic-auth and FLOWER_BASIC_AUTH it prints a new password at each start in
    development on a loopback address, and does not start anywhere else.
    """
    from cordum.execution.flower import run_flower
    from cordum.settings import load_settings

    settings = load_settings().with_overrides("cordum flower", flower_address=address, flower_port=port)
    sys.exit(run_flower(settings, basic_auth))
