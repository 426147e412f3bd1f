"""Where a rollback should go, from the same evidence the diagnosis used. Decides only; `releases` acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cordum.demo.analysis.access_log import BuildTraffic, unhealthy_builds
from cordum.demo.analysis.deploys import DeployLog, last_known_good
from cordum.demo.analysis.latency import Shift, suspect_shift
from cordum.errors import Unprocessable


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    service: str
    from_build: str
    to_build: str
    reasons: tuple[str, ...]


def plan_rollback(log: DeployLog, traffic: Sequence[BuildTraffic], found: Sequence[Shift]) -> RollbackPlan:
    """Raises Unprocessable unless logs and metrics accuse one and the same build and an earlier good one is known."""
    unhealthy = unhealthy_builds(traffic)
    shift = suspect_shift(found)
    if not unhealthy or shift is None or unhealthy[0].build != shift.build:
        by_logs = unhealthy[0].build if unhealthy else "none"
        by_metrics = shift.build if shift else "none"
        raise Unprocessable(f"no build to roll back: the logs accuse {by_logs}, the metrics {by_metrics}")
    suspect = log.of(shift.build)
    if suspect is None:
        raise Unprocessable(f"no build to roll back: {shift.build} is not in the deploy log")
    good = last_known_good(log, suspect, {build.build for build in unhealthy})
    if good is None:
        raise Unprocessable(f"no verified build of {suspect.service} older than {suspect.build} is known")
    return RollbackPlan(
        service=suspect.service,
        from_build=suspect.build,
        to_build=good.build,
        reasons=(
            f"{suspect.build}: {unhealthy[0].error_rate:.2%} of its requests failed",
            f"{suspect.build}: p95 grew {shift.p95_factor:g} times when it shipped",
            f"{good.build}: newest verified build of {suspect.service} before it",
        ),
    )
