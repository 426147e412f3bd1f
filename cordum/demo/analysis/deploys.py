"""The deploy log: reading it, and the questions it alone can answer. Which build is to blame is asked elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cordum.errors import InvalidInput

# A build becomes a directory name, so nothing that could leave the releases directory is a build.
BUILD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Event(StrEnum):
    DEPLOYED = "deployed"
    VERIFIED = "verified"
    REJECTED = "rejected"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Deploy:
    """One build that reached production, and what became of it."""

    build: str
    service: str
    time: datetime
    change: str
    touches: tuple[str, ...] = ()
    verified: bool = False
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class DeployLog:
    """Deploys in order of time. `until` is the last moment the log knows of (the freeze, when there was one)."""

    deploys: tuple[Deploy, ...]
    until: datetime

    def of(self, build: str) -> Deploy | None:
        return next((deploy for deploy in self.deploys if deploy.build == build), None)


def read_deploy_log(path: Path) -> DeployLog:
    with path.open(encoding="utf-8") as lines:
        return parse_deploy_log(lines)


def parse_deploy_log(lines: Iterable[str]) -> DeployLog:
    """One JSON object a line, oldest first. Raises InvalidInput naming the line that cannot be read."""
    deployed: dict[str, Deploy] = {}
    outcomes: dict[Event, set[str]] = {Event.VERIFIED: set(), Event.REJECTED: set()}
    until: datetime | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            event, time = Event(record["event"]), datetime.fromisoformat(record["time"])
            if until is not None and time < until:
                raise ValueError("earlier than the line before it")
            if event is Event.DEPLOYED:
                deploy = _deploy(record, time)
                deployed[deploy.build] = deploy
            elif event in outcomes:
                outcomes[event].add(record["build"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"deploy log, line {number}: {error!r}") from error
        until = time
    if until is None:
        raise InvalidInput("the deploy log is empty")
    return DeployLog(tuple(_with_outcome(deploy, outcomes) for deploy in deployed.values()), until)


def last_known_good(log: DeployLog, suspect: Deploy, unhealthy: Set[str] = frozenset()) -> Deploy | None:
    """The newest verified build of the suspect's service shipped before it, unless something else speaks against it."""
    candidates = [
        deploy
        for deploy in log.deploys
        if deploy.service == suspect.service and deploy.time < suspect.time and deploy.build not in unhealthy
    ]
    return next((deploy for deploy in reversed(candidates) if deploy.verified and not deploy.rejected), None)


def _deploy(record: dict[str, str], time: datetime) -> Deploy:
    build = record["build"]
    if not BUILD.fullmatch(build):
        raise ValueError(f"not a build: {build[:80]!r}")
    return Deploy(build, record["service"], time, record["change"], tuple(record.get("touches", ())))


def _with_outcome(deploy: Deploy, outcomes: dict[Event, set[str]]) -> Deploy:
    return Deploy(
        build=deploy.build,
        service=deploy.service,
        time=deploy.time,
        change=deploy.change,
        touches=deploy.touches,
        verified=deploy.build in outcomes[Event.VERIFIED],
        rejected=deploy.build in outcomes[Event.REJECTED],
    )
