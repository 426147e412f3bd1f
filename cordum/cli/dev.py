"""`dev`: all of cordum on this machine, until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from cordum.cli.stop import stop_on_signals


@click.command(short_help="Run everything on this machine.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port of the API; 0 takes a free one. [default: 8081]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where data stays. [default: .cordum]"
)
@click.option("--import", "modules", multiple=True, metavar="MODULE", help="A module with workers of yours (@job).")
def dev(port: int | None, data_dir: Path | None, modules: tuple[str, ...]) -> None:
    """Run everything on this machine: Redis, API, coordinator and two workers, with the example workflow.

    Not for production: whoever reaches the machine's loopback interface may do everything. Ctrl-C stops it all.
    """
    with stop_on_signals() as stop:
        from cordum.cli.dev_run import run_dev

        run_dev(stop, port, data_dir, modules)
