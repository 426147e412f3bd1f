"""The policy becomes unavailable while a hundred runs are in flight: nothing runs without a decision that holds.

What ran is known from the workers' own journal, what was decided from the timelines, which policy was active from its
history: the three are held against each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from cordum.ops.redis_server import RedisServer
from tests.cells import ALLOW_ALL, Cell, eventually
from tests.e2e.topics import TOPICS

RUNS = 100
BACK_WITHIN_SEC = 15.0
STEPS = (
    "a: {topic: job.sre.classify}, b: {topic: job.sre.logs, depends_on: [a]}, "
    "c: {topic: job.sre.metrics, depends_on: [b]}"
)


@dataclass(frozen=True)
class Active:
    """A policy and when it held, in milliseconds; `until` None: it still does."""

    digest: str
    since: int
    until: int | None

    def held_at(self, at: int) -> bool:
        return self.since <= at and (self.until is None or at <= self.until)


def ungoverned(executed: Sequence[str], events: Iterable[Mapping[str, Any]], policies: Sequence[Active]) -> list[str]:
    """Executions that no committed decision of a policy that held when they began allows, with the reason."""
    decisions: dict[str, str] = {}
    began: dict[str, tuple[int, str]] = {}
    for event in events:
        data = event["data"]
        if event["type"] == "step.decision":
            decisions[event["job_id"]] = data["policy_snapshot"] if data["decision"] == "allow" else "denied"
        elif event["type"] == "step.started":
            at = round(datetime.fromisoformat(event["time"]).timestamp() * 1000)
            began[event["job_id"]] = (at, decisions.get(event["job_id"], "none"))
    wrong = [f"{job} ran {count} times" for job, count in Counter(executed).items() if count > 1]
    for job in executed:
        at, digest = began.get(job, (0, "it never began"))
        if not any(one.digest == digest and one.held_at(at) for one in policies):
            wrong.append(f"{job} ran under {digest} at {at}")
    return wrong


def unreadable(cell: Cell) -> None:
    cell.engine.store.policies.publish("sha256:newer", "{quantum_rules: []}", "a newer version")


def gone(cell: Cell) -> None:
    cell.engine.store.connection.read(lambda client: client.delete(cell.engine.store.keys.policy))


def now(cell: Cell) -> int:
    return cell.engine.store.policies.current(-1).now


@pytest.mark.timeout(240)
@pytest.mark.parametrize("breaks", [unreadable, gone])
def test_policy_made_unavailable_while_100_runs_are_in_flight(
    cell_on: Callable[..., Cell], fresh_redis: Callable[..., RedisServer], breaks: Callable[[Cell], None]
) -> None:
    cell = cell_on(fresh_redis().address)
    digest = str(cell.engine.policies.state()["policy_snapshot"])
    cell.coordinator()
    cell.worker(*TOPICS, pool="threads", concurrency=6, name="threads")
    cell.worker(*TOPICS, pool="prefork", concurrency=2, name="prefork")
    runs = [cell.start(STEPS) for _ in range(RUNS)]
    eventually(lambda: len(cell.lines()) >= 60, f"work\n{cell.logs()[-3000:]}")

    # The moment on each side of the fault that is certainly inside and outside of it.
    until = now(cell)
    breaks(cell)
    broken = now(cell)
    eventually(lambda: _nothing_runs(cell, runs), f"an end of what ran\n{cell.logs()[-3000:]}", 60)
    # A run of which the last step has just ended waits for nothing, and ends.
    eventually(lambda: _waits_of(cell, runs) == {"policy_unavailable"}, "one reason for all that wait", 60)
    waiting = [run_id for run_id in runs if not cell.ended_now(run_id)]
    assert len(waiting) > RUNS / 2
    ran = len(cell.lines())
    # Everybody has looked for the policy in vain once more, at the least.
    looks = _vain_looks(cell) + 2 * len(waiting)
    eventually(lambda: _vain_looks(cell) >= looks, f"looks in vain\n{cell.logs()[-3000:]}", 60)
    assert len(cell.lines()) == ran

    mended = now(cell)
    cell.engine.publish_policy(ALLOW_ALL, "ann")
    eventually(
        lambda: all(cell.ended_now(run_id) for run_id in runs),
        f"the end of all runs within {BACK_WITHIN_SEC} s of the policy's return\n{cell.logs()[-3000:]}",
        BACK_WITHIN_SEC,
    )
    assert {cell.run(run_id)["status"] for run_id in runs} == {"succeeded"}
    executed = cell.executed()
    assert {job.rpartition("@")[0] for job in executed} == {f"{run_id}:{step}" for run_id in runs for step in "abc"}
    policies = [Active(digest, 0, broken), Active(digest, mended, None)]
    events = [event for run_id in runs for event in cell.engine.timeline("acme", run_id, limit=200).items]
    assert ungoverned(executed, events, policies) == []
    assert not [event for event in events if event["type"] == "step.started" and broken < _at(event) < mended]
    assert cell.engine.store.figures.counters()["policy_unavailable"] >= len(waiting)

    # The checker is awake: with one execution more, without decisions, or by another policy, it says so.
    assert ungoverned([*executed, executed[0]], events, policies)
    assert ungoverned(executed, [one for one in events if one["type"] != "step.decision"], policies)
    assert ungoverned(executed, events, [Active(digest, 0, until - 60_000), Active("sha256:newer", broken, None)])


def _at(event: Mapping[str, Any]) -> int:
    return round(datetime.fromisoformat(event["time"]).timestamp() * 1000)


def _nothing_runs(cell: Cell, runs: Sequence[str]) -> bool:
    steps = [step for run_id in runs for step in cell.run(run_id)["steps"].values()]
    return not [step for step in steps if step["status"] in ("queued", "running")]


def _waits_of(cell: Cell, runs: Sequence[str]) -> set[str | None]:
    found = [cell.run(run_id) for run_id in runs]
    return {run["wait"] and run["wait"]["reason"] for run in found if run["completed_at"] is None}


def _vain_looks(cell: Cell) -> int:
    return cell.engine.store.figures.counters().get("policy_unavailable", 0)
