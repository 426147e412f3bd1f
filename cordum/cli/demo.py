"""`demo`: the reference example from incident to report, in a place of its own, with a person in the loop."""

from __future__ import annotations

from pathlib import Path

import click

from cordum.cli.stop import stop_on_signals


@click.command(short_help="Show the reference workflow at work.")
@click.option("--yes/--no", "decision", default=None, help="Decide the approval; without either you are asked.")
@click.option("--fail", metavar="WORKER", help="Have a worker fail twice, to see the retries: logs, metrics, …")
@click.option("--port", type=click.IntRange(0, 65_535), help="First port to try for the API. [default: 8081]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep the data here. [default: nowhere]"
)
@click.pass_context
def demo(ctx: click.Context, decision: bool | None, fail: str | None, port: int | None, data_dir: Path | None) -> None:
    """Show the reference workflow at work: diagnose an incident, ask a person, roll back, report.

    Exit code 0 when it was approved and succeeded, 1 otherwise.
    """
    with stop_on_signals() as stop:
        from cordum.cli.demo_run import Options, run_demo
        from cordum.demo.workflow import worker_names

        if fail is not None and fail not in worker_names():
            raise click.BadParameter(f"{fail!r} is none of {', '.join(worker_names())}", param_hint="--fail")
        ctx.exit(run_demo(stop, Options(decision, fail, port, data_dir)))
