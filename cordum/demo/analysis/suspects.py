"""Which deploys could have caused an incident, judged by the deploy log alone. Measurements are made elsewhere."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from cordum.demo.analysis.deploys import Deploy, DeployLog

LOOK_BACK = timedelta(hours=24)
RECENCY = ((timedelta(minutes=30), 3), (timedelta(hours=2), 2), (LOOK_BACK, 1))


@dataclass(frozen=True, slots=True)
class Suspect:
    build: str
    service: str
    deployed_at: str
    change: str
    score: int
    reasons: tuple[str, ...]


def rank_suspects(log: DeployLog, areas: Set[str]) -> list[Suspect]:
    """Deploys of the last day, most suspect first (of equals the newer). A rejected build is not in production."""
    live = [deploy for deploy in log.deploys if not deploy.rejected and log.until - deploy.time <= LOOK_BACK]
    ranked = sorted(live, key=lambda deploy: deploy.time, reverse=True)
    return sorted((_judge(deploy, log.until, areas) for deploy in ranked), key=lambda suspect: -suspect.score)


def _judge(deploy: Deploy, until: datetime, areas: Set[str]) -> Suspect:
    age = until - deploy.time
    points = next(points for limit, points in RECENCY if age <= limit)
    reasons = [f"shipped {_age_text(age)} before the freeze (+{points})"]
    if not deploy.verified:
        points += 2
        reasons.append("never verified (+2)")
    touched = sorted(areas & set(deploy.touches))
    if touched:
        points += 2
        reasons.append(f"touches {', '.join(touched)} (+2)")
    return Suspect(
        build=deploy.build,
        service=deploy.service,
        deployed_at=deploy.time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        change=deploy.change,
        score=points,
        reasons=tuple(reasons),
    )


def _age_text(age: timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
