"""The demo's four workers: each topic bound to its analysis (`celery -A cordum worker -I cordum.demo.handlers`).

Nothing is decided here. Every worker finds the suspect on its own from the files, because in the reference workflow the
diagnostics and the rollback get the run's input and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from cordum import Fatal, job
from cordum.demo.analysis.access_log import AccessSummary, read_access_log, summarise, unhealthy_builds
from cordum.demo.analysis.deploys import read_deploy_log
from cordum.demo.analysis.latency import Shift, read_latency_series, shifts, suspect_shift
from cordum.demo.analysis.releases import switch_current
from cordum.demo.analysis.rollback import plan_rollback
from cordum.demo.analysis.severity import score_severity
from cordum.demo.analysis.suspects import rank_suspects
from cordum.demo.faults import fail_if_asked
from cordum.demo.workspace import Workspace, readable_workspace, writable_workspace
from cordum.errors import ConfigurationRefused, InvalidInput, NotFound, StateConflict, Unprocessable

Output = dict[str, Any]

# Listed, not their base class: a cancel or a Retry raised below must pass through as what it is.
REFUSALS = (ConfigurationRefused, InvalidInput, NotFound, StateConflict, Unprocessable, FileNotFoundError)


class Log(Protocol):
    def info(self, msg: str, **fields: Any) -> None: ...


class Context(Protocol):
    """The part of a job's context that these workers use."""

    @property
    def attempt(self) -> int: ...

    @property
    def log(self) -> Log: ...

    def progress(self, fraction: float, note: str = ...) -> None: ...


@job("job.sre.classify")
def classify(ctx: Context, incident_id: str, summary: str) -> Output:
    """How bad it is, and which deploys could have done it."""
    with fatal_refusals():
        fail_if_asked("classify", ctx.attempt)
        severity = score_severity(summary)
        log = read_deploy_log(readable_workspace().deploy_log)
        suspects = rank_suspects(log, severity.areas)
        ctx.log.info("classified", incident=incident_id, severity=severity.level, suspects=len(suspects))
        return {
            "incident_id": incident_id,
            "severity": severity.level,
            "severity_score": severity.score,
            "severity_reasons": list(severity.reasons),
            "suspect": suspects[0].build if suspects else None,
            "suspects": [asdict(suspect) for suspect in suspects],
        }


@job("job.sre.logs")
def scan_logs(ctx: Context) -> Output:
    """Error rate and latency of each build, from the access log."""
    with fatal_refusals():
        fail_if_asked("logs", ctx.attempt)
        found = _access_summary(ctx, readable_workspace())
        unhealthy = unhealthy_builds(found.builds)
        ctx.log.info("access log read", lines=found.lines, skipped=found.skipped_lines)
        return {"suspect": unhealthy[0].build if unhealthy else None, **asdict(found)}


@job("job.sre.metrics")
def scan_metrics(ctx: Context) -> Output:
    """Latency before and after the deploy that changed it most."""
    with fatal_refusals():
        fail_if_asked("metrics", ctx.attempt)
        found = _shifts(readable_workspace())
        ctx.progress(0.8, f"compared {len(found)} deploys")
        worst = suspect_shift(found)
        factors = [{"build": shift.build, "service": shift.service, "p95_factor": shift.p95_factor} for shift in found]
        if worst is None:
            return {"suspect": None, "deploys": factors}
        ctx.log.info("latency shifted", build=worst.build, p95_factor=worst.p95_factor)
        return {
            "suspect": worst.build,
            "deployed_at": worst.deployed_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "before": asdict(worst.before),
            "after": asdict(worst.after),
            "p95_factor": worst.p95_factor,
            "deploys": factors,
        }


@job("job.sre.rollback")
def rollback(ctx: Context) -> Output:
    """Points `current` at the last known good build. Doing it twice is doing it once."""
    with fatal_refusals():
        fail_if_asked("rollback", ctx.attempt)
        workspace = writable_workspace()
        log = read_deploy_log(workspace.deploy_log)
        plan = plan_rollback(log, _access_summary(ctx, workspace).builds, _shifts(workspace))
        switch = switch_current(workspace.releases, expected=plan.from_build, to_build=plan.to_build)
        ctx.log.info("rolled back", to_build=switch.to_build, already=switch.already)
        return {
            "service": plan.service,
            "from": plan.from_build,
            "to": switch.to_build,
            "already_rolled_back": switch.already,
            "verified": True,
            "reasons": list(plan.reasons),
        }


@contextmanager
def fatal_refusals() -> Iterator[None]:
    """The same files give the same refusal, so trying again is pointless; anything else stays retryable."""
    try:
        yield
    except REFUSALS as error:
        raise Fatal(str(error)) from error


def _access_summary(ctx: Context, workspace: Workspace) -> AccessSummary:
    return summarise(read_access_log(workspace.access_log, lambda done: ctx.progress(done, "reading the access log")))


def _shifts(workspace: Workspace) -> list[Shift]:
    log = read_deploy_log(workspace.deploy_log)
    return shifts(read_latency_series(workspace.latency), log.deploys)
