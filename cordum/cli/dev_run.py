"""What `cordum dev` does: starts the stack with the example in it, says where everything is, waits."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from cordum.cli.output import complain, printable_lines, say, tell
from cordum.cli.stack import TENANT, Plan, Stack, dev_settings, running_stack
from cordum.cli.stop import Stop
from cordum.console import CONSOLE
from cordum.demo.workflow import EXAMPLE
from cordum.demo.workspace import DIRECTORY_VARIABLE, prepare_workspace
from cordum.engine import Engine
from cordum.errors import DefinitionInvalid
from cordum.ops.data_dir import private_directory
from cordum.settings import Settings, config_dir, load_settings

DEMO_HANDLERS = "cordum.demo.handlers"


def run_dev(stop: Stop, port: int | None, data_dir: Path | None, modules: tuple[str, ...]) -> None:
    """Returns when told to stop and everything has ended."""
    settings = dev_settings(load_settings(), "cordum dev", port=port, data_dir=data_dir)
    plan = Plan(modules=(DEMO_HANDLERS, *modules), environment=_demo_workspace(settings))
    # Of the parts that run in this process only what is wrong is of interest here.
    logging.basicConfig(level=logging.WARNING)
    try:
        with running_stack(settings, plan, stop, _report) as stack:
            _banner(stack, settings, _apply_workflows(stack.engine))
            stop.wait()
    except KeyboardInterrupt:
        say("stopped")


def _apply_workflows(engine: Engine) -> list[str]:
    """Save the example and the configuration's `workflows/*.yaml`; a file that is refused is told and left out."""
    ids: dict[str, None] = {}
    for file in (EXAMPLE, *sorted((config_dir() / "workflows").glob("*.yaml"))):
        try:
            ids[engine.save_workflow(TENANT, file.read_bytes(), "yaml", file.stem).id] = None
        except DefinitionInvalid as refusal:
            complain(refusal, source=str(file))
    return list(ids)


def _demo_workspace(settings: Settings) -> dict[str, str]:
    """The example's rollback switches a link in the data directory, unless the user has named a place for it."""
    if os.environ.get(DIRECTORY_VARIABLE):
        return {}
    place = private_directory(settings.data_dir) / "demo"
    return {DIRECTORY_VARIABLE: str(prepare_workspace(place).root)}


def _banner(stack: Stack, settings: Settings, workflows: list[str]) -> None:
    say(click.style("cordum DEV – not for production", fg="yellow", bold=True))
    say(f"  data       {settings.data_dir}")
    say(f"  Redis      {stack.address.masked()}{' (embedded)' if stack.embedded else ''}")
    say(f"  policy     {settings.policy_file}")
    say(f"  topics     {', '.join(stack.topics)}")
    say(f"  workflows  {', '.join(workflows)}")
    say(f"  logs       {stack.log_dir}")
    say(f"  console    {stack.api_url}{CONSOLE}/")
    say("In another terminal `cordum` finds this one by itself; other programs (`celery -A cordum inspect …`) need")
    say(f"  {stack.address.export_line()}")
    say(f"API {stack.api_url}")
    say("Ctrl-C stops everything.")


def _report(event: str) -> None:
    for line in printable_lines(event):
        tell(f"cordum dev: {line}")
