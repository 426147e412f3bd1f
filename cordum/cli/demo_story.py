"""The demo's run, played for a person: submit, watch, ask for the decision, watch on, report. Talks to the API only."""

from __future__ import annotations

import json
import select
import shlex
import sys
from contextlib import AbstractContextManager
from typing import Any

import click

from cordum.cli.approvals import open_approvals
from cordum.cli.display import progress
from cordum.cli.output import printable, say
from cordum.cli.progress import PlainProgress, Progress, plain_progress
from cordum.cli.stop import Stop
from cordum.cli.watch import follow
from cordum.client import ENDED, Client
from cordum.demo.report import render_evidence, render_report
from cordum.errors import StateConflict

_YES, _NO = ("y", "yes"), ("n", "no")
_LOOK_SEC = 0.2

Run = dict[str, Any]


class Story:
    """`decision`: what to answer at the approval; None asks, or says how to decide where nobody can be asked."""

    def __init__(
        self,
        api_url: str,
        *,
        submitting: Client,
        deciding: Client,
        approver: str,
        decision: bool | None,
        fail: str | None,
        stop: Stop,
    ) -> None:
        self._api_url = api_url
        self._submitting = submitting
        self._deciding = deciding
        self._approver = approver
        self._decision = decision
        self._fail = fail
        self._stop = stop
        self._lines = PlainProgress()

    def play(self, workflow: str, incident: dict[str, Any]) -> int:
        """The exit code: 0 when the run was approved and succeeded."""
        run_id = self._submitting.start(workflow, incident)["run_id"]
        url = f"{self._api_url}/api/v1/workflow-runs/{run_id}"
        say(f"Run {url}\n")
        run = self._watch(run_id, until_waiting=True)
        if run["status"] not in ENDED:
            run = self._watch_decision(run)
        say(f"\n{render_report(run, fail=self._fail)}")
        say(f"Run {url}")
        return 0 if run["status"] == "succeeded" else 1

    def _watch(self, run_id: str, *, until_waiting: bool) -> Run:
        def over(run: Run) -> bool:
            return until_waiting and run["status"] == "waiting"

        with self._progress() as shown:
            return follow(self._submitting, run_id, shown.show, until=over, pause=self._stop.pause)

    def _progress(self) -> AbstractContextManager[Progress]:
        return progress() if sys.stdout.isatty() else plain_progress(self._lines)

    def _watch_decision(self, run: Run) -> Run:
        """Lay the evidence before a person, get the decision, and see what comes of it."""
        for approval in open_approvals(self._submitting, run["id"]):
            say(click.style("\nA person has to decide.", bold=True))
            say(f"{render_evidence(run).rstrip()}\n")
            self._settle(approval["job_id"])
            break
        return self._watch(run["id"], until_waiting=False)

    def _settle(self, job_id: str) -> None:
        if self._decision is not None:
            self._decide(job_id, self._decision, "decided on the command line")
        elif sys.stdin.isatty() and sys.stdout.isatty():
            self._ask(job_id)
        else:
            self._say_how(job_id)

    def _decide(self, job_id: str, yes: bool, reason: str) -> None:
        try:
            if yes:
                self._deciding.approve(job_id, reason)
            else:
                self._deciding.reject(job_id, reason)
        except StateConflict as conflict:
            say(printable(conflict.detail))
            return
        say(f"{'Approved' if yes else 'Rejected'} by {self._approver}.\n")

    def _ask(self, job_id: str) -> None:
        """Ask until the answer is y or n, or somebody else has decided."""
        question = click.style("Go on with it? [y/n] ", bold=True)
        click.echo(question, nl=False)
        while True:
            if not select.select([sys.stdin], [], [], _LOOK_SEC)[0]:
                self._stop.check()
                if self._submitting.approval(job_id)["state"] != "pending":
                    say("\nSomebody else has decided.\n")
                    return
                continue
            line = sys.stdin.readline()
            if not line:
                raise KeyboardInterrupt
            answer = line.strip().lower()
            if answer in (*_YES, *_NO):
                self._decide(job_id, answer in _YES, "decided at the terminal")
                return
            click.echo(question, nl=False)

    def _say_how(self, job_id: str) -> None:
        say("Nobody can be asked here. To approve:\n")
        say(f"  {self._curl(job_id, 'approve', 'looks right')}\n")
        say("To reject:\n")
        say(f"  {self._curl(job_id, 'reject', 'not now')}\n")
        say("Waiting for the decision …")

    def _curl(self, job_id: str, verb: str, reason: str) -> str:
        words = [
            *("curl", "-sS", "-X", "POST", f"{self._api_url}/api/v1/approvals/{job_id}/{verb}"),
            *("-H", "Content-Type: application/json", "-H", f"X-Principal-Id: {self._approver}"),
            *("-d", json.dumps({"reason": reason})),
        ]
        return shlex.join(words)
