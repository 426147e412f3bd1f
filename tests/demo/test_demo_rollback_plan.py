from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cordum.demo.analysis.access_log import BuildTraffic
from cordum.demo.analysis.deploys import Deploy, DeployLog
from cordum.demo.analysis.latency import Percentiles, Shift
from cordum.demo.analysis.rollback import plan_rollback
from cordum.errors import Unprocessable

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)


def log(*, good_verified: bool = True) -> DeployLog:
    good = Deploy("good", "api", NOON, "c", verified=good_verified)
    bad = Deploy("bad", "api", NOON + timedelta(hours=1), "c")
    return DeployLog((good, bad), NOON + timedelta(hours=2))


def traffic(build: str, error_rate: float) -> BuildTraffic:
    return BuildTraffic(build, 1000, int(1000 * error_rate), error_rate, 50, 100, 200)


def shift(build: str, p95_after: int = 400) -> Shift:
    return Shift(build, "api", NOON, Percentiles(100, 50, 100, 120), Percentiles(100, 60, p95_after, 900))


TRAFFIC = (traffic("good", 0.004), traffic("bad", 0.05))


def test_logs_and_metrics_that_agree_give_a_plan() -> None:
    plan = plan_rollback(log(), TRAFFIC, [shift("bad")])
    assert (plan.service, plan.from_build, plan.to_build) == ("api", "bad", "good")
    assert plan.reasons[:2] == ("bad: 5.00% of its requests failed", "bad: p95 grew 4 times when it shipped")


@pytest.mark.parametrize(
    ("builds", "found", "named"),
    [
        (TRAFFIC, [shift("good")], "logs accuse bad, the metrics good"),
        (TRAFFIC, [shift("bad", p95_after=101)], "logs accuse bad, the metrics none"),
        (TRAFFIC, [], "logs accuse bad, the metrics none"),
        ((traffic("good", 0.004),), [shift("bad")], "logs accuse none, the metrics bad"),
        ((), [], "logs accuse none, the metrics none"),
        ((traffic("good", 0.0), traffic("ghost", 0.5)), [shift("ghost")], "ghost is not in the deploy log"),
    ],
)
def test_evidence_that_does_not_agree_moves_nothing(
    builds: tuple[BuildTraffic, ...], found: list[Shift], named: str
) -> None:
    with pytest.raises(Unprocessable, match=named):
        plan_rollback(log(), builds, found)


def test_without_a_verified_older_build_there_is_nowhere_to_go() -> None:
    with pytest.raises(Unprocessable, match="no verified build of api older than bad"):
        plan_rollback(log(good_verified=False), TRAFFIC, [shift("bad")])
