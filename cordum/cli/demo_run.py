"""What `cordum demo` does: starts the stack around a fresh copy of the incident, and has the story played."""

from __future__ import annotations

import getpass
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from cordum.cli.demo_story import Story
from cordum.cli.dev_run import DEMO_HANDLERS
from cordum.cli.output import printable_lines, say, tell
from cordum.cli.stack import TENANT, Plan, dev_settings, running_stack
from cordum.cli.stop import Stop
from cordum.client import Client
from cordum.demo.faults import FAIL_VARIABLE
from cordum.demo.workflow import demo_workflow, fail_setting
from cordum.demo.workspace import DIRECTORY_VARIABLE, prepare_workspace
from cordum.domain.ids import TENANT as PLAIN_NAME
from cordum.ops.data_dir import private_directory
from cordum.settings import load_settings

SUBMITTER = "demo"
STAND_IN = "operator"


@dataclass(frozen=True, slots=True)
class Options:
    """`decision`: the answer at the approval, None to ask for it. `fail`: which worker fails at first."""

    decision: bool | None
    fail: str | None
    port: int | None
    data_dir: Path | None


def run_demo(stop: Stop, options: Options) -> int:
    """The exit code."""
    logging.basicConfig(level=logging.WARNING)
    say(click.style("Starting Redis, the API, a coordinator and two workers …", dim=True))
    with _place(options.data_dir) as data_dir:
        settings = dev_settings(load_settings(), "cordum demo", port=options.port, data_dir=data_dir)
        workspace = prepare_workspace(private_directory(settings.data_dir) / "demo")
        fault = fail_setting(options.fail) if options.fail else ""
        environment = {DIRECTORY_VARIABLE: str(workspace.root), FAIL_VARIABLE: fault}
        plan = Plan(modules=(DEMO_HANDLERS,), next_free_port=True, environment=environment)
        with running_stack(settings, plan, stop, _report) as stack:
            say(f"API {stack.api_url}")
            workflow = stack.engine.save_workflow(TENANT, demo_workflow(options.fail), "yaml").id
            story = Story(
                stack.api_url,
                submitting=Client(stack.api_url, principal=SUBMITTER),
                deciding=Client(stack.api_url, principal=approver()),
                approver=approver(),
                decision=options.decision,
                fail=options.fail,
                stop=stop,
            )
            code = story.play(workflow, json.loads(workspace.incident.read_bytes()))
        if options.data_dir is not None:
            say(f"To look at it again: cordum dev --data-dir {options.data_dir}")
    return code


def approver() -> str:
    """Who decides at this terminal: the user, who is never the one that submitted the run."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        return STAND_IN
    return user if PLAIN_NAME.match(user) and user != SUBMITTER else STAND_IN


@contextmanager
def _place(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="cordum-demo-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _report(event: str) -> None:
    for line in printable_lines(event):
        tell(f"cordum demo: {line}")
