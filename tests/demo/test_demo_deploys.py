from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from cordum.demo.analysis.deploys import DeployLog, last_known_good, parse_deploy_log
from cordum.demo.analysis.suspects import rank_suspects
from cordum.errors import InvalidInput


def deployed(time: str, build: str, service: str = "api", touches: tuple[str, ...] = ()) -> str:
    record = {"time": f"2026-04-01T{time}:00Z", "event": "deployed", "build": build, "service": service}
    return json.dumps({**record, "change": "c", "touches": list(touches)})


def event(time: str, name: str, build: str | None = None) -> str:
    return json.dumps({"time": f"2026-04-01T{time}:00Z", "event": name, "build": build})


def log_of(*lines: str) -> DeployLog:
    return parse_deploy_log(lines)


HISTORY = (
    deployed("09:00", "b1"),
    event("09:30", "verified", "b1"),
    deployed("10:00", "b2"),
    event("10:30", "rejected", "b2"),
    deployed("11:00", "other", service="mail"),
    event("11:10", "verified", "other"),
    deployed("11:30", "b3", touches=("database",)),
    event("12:00", "frozen"),
)


def test_outcomes_are_joined_to_their_deploys() -> None:
    log = log_of(*HISTORY)
    assert [(d.build, d.verified, d.rejected) for d in log.deploys] == [
        ("b1", True, False),
        ("b2", False, True),
        ("other", True, False),
        ("b3", False, False),
    ]
    assert log.until == datetime(2026, 4, 1, 12, tzinfo=UTC)


def test_last_known_good_skips_rejected_builds_and_other_services() -> None:
    log = log_of(*HISTORY)
    suspect = log.of("b3")
    assert suspect is not None
    good = last_known_good(log, suspect)
    assert good is not None and good.build == "b1"


def test_last_known_good_is_none_when_the_only_candidate_is_unhealthy() -> None:
    log = log_of(*HISTORY)
    suspect = log.of("b3")
    assert suspect is not None
    assert last_known_good(log, suspect, {"b1"}) is None


def test_suspects_are_ranked_by_recency_trial_and_touched_area() -> None:
    ranked = rank_suspects(log_of(*HISTORY), {"database"})
    assert [(s.build, s.score) for s in ranked] == [("b3", 3 + 2 + 2), ("other", 2), ("b1", 1)]
    assert ranked[0].reasons == (
        "shipped 30 min before the freeze (+3)",
        "never verified (+2)",
        "touches database (+2)",
    )


def test_a_deploy_older_than_a_day_is_no_suspect() -> None:
    late = json.dumps({"time": "2026-04-02T09:01:00Z", "event": "frozen"})
    assert "b1" not in {s.build for s in rank_suspects(log_of(*HISTORY, late), set())}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        (event("12:00", "exploded"), "exploded"),
        (deployed("12:00", "../../etc"), "not a build"),
        (deployed("08:00", "b9"), "earlier"),
        (json.dumps({"event": "frozen"}), "time"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(line: str, named: str) -> None:
    with pytest.raises(InvalidInput, match="line 2") as refused:
        log_of(HISTORY[0], line)
    assert named in refused.value.detail


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        log_of("\n")
