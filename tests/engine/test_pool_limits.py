"""`max_parallel` of a pool: a quota of all jobs that only this pool may run, whoever's they are. On a real Redis."""

from __future__ import annotations

from typing import Any

import pytest

from cordum.engine import Caller
from tests.engine.hands import ALICE, Hands

ROOT = Caller("default", "root")
ONE = "steps: {a: {topic: job.t}}"
WISHED = "steps: {a: {topic: job.t, route_labels: {preferred_pool: small}}}"


def limit(hands: Hands, most: int | None, *others: str) -> None:
    """The pool `small` serves `job.t`, alone or beside others."""
    pools = hands.engine.pools
    pools.put_pool(ROOT, "small", {"max_parallel": most})
    for name in others:
        pools.put_pool(ROOT, name, {})
    pools.put_topic(ROOT, "job.t", ["small", *others])


def statuses(hands: Hands, runs: list[str]) -> list[str]:
    return [hands.statuses(run_id)["a"] for run_id in runs]


def wait(hands: Hands, run_id: str) -> dict[str, Any]:
    return dict(hands.engine.run("default", run_id)["steps"]["a"]["wait"])


def told(hands: Hands, run_id: str) -> list[tuple[str, Any]]:
    """Type and reason of the events of a run's step."""
    events = hands.engine.timeline("default", run_id, limit=100).items
    return [(event["type"], event["data"].get("reason")) for event in events if event.get("step_id")]


def test_a_job_of_a_full_pool_waits_and_says_for_whom(hands: Hands) -> None:
    limit(hands, 1)
    first, second = hands.start(ONE), hands.start(ONE)
    assert statuses(hands, [first, second]) == ["queued", "pending"]
    shown = wait(hands, second)
    assert (shown["reason"], shown["holders"]) == ("max_parallel", [f"{first}:a@1"])
    assert shown["message"] == f"the pool small lets 1 job run at one time; 1 taken, by {first}:a@1"
    (usage,) = hands.engine.concurrency("default").items
    assert (usage["kind"], usage["key"], usage["limit"], usage["held"]) == ("pool", "small", 1, 1)
    assert (usage["holders"], usage["waiters"]) == ([f"{first}:a@1"], [f"{second}:a@1"])


def test_the_record_of_a_holder_moves_the_next_one_and_says_so(hands: Hands) -> None:
    limit(hands, 1)
    first, second = hands.start(ONE), hands.start(ONE)
    hands.work(first, "a")
    assert told(hands, second)[-2:] == [("step.ready", "place_released"), ("step.queued", None)]
    hands.work(second, "a")
    assert hands.engine.concurrency("default").items == []


@pytest.mark.parametrize("most", [3, None], ids=["raised", "taken away"])
def test_who_changes_the_limit_moves_those_that_wait_in_the_same_script(hands: Hands, most: int | None) -> None:
    limit(hands, 1)
    runs = [hands.start(ONE) for _ in range(4)]
    hands.engine.pools.put_pool(ROOT, "small", {"max_parallel": most})  # and nobody coordinates
    assert statuses(hands, runs) == ["queued"] * 3 + ["queued" if most is None else "pending"]
    assert told(hands, runs[1])[-2:] == [("step.ready", "limit_changed"), ("step.queued", None)]
    if most is not None:
        assert wait(hands, runs[3])["message"].startswith("the pool small lets 3 jobs run at one time; 3 taken")
        assert hands.engine.concurrency("default").items[0]["limit"] == 3


def test_a_limit_that_is_lowered_holds_for_what_comes_after(hands: Hands) -> None:
    limit(hands, 2)
    runs = [hands.start(ONE) for _ in range(4)]
    hands.engine.pools.put_pool(ROOT, "small", {"max_parallel": 1})
    hands.work(runs[0], "a")
    assert statuses(hands, runs) == ["succeeded", "queued", "pending", "pending"]
    hands.work(runs[1], "a")
    assert statuses(hands, runs) == ["succeeded", "succeeded", "queued", "pending"]


def test_of_several_pools_only_the_one_that_is_asked_for_counts(hands: Hands) -> None:
    limit(hands, 1, "large")
    anywhere = [hands.start(ONE) for _ in range(3)]
    assert statuses(hands, anywhere) == ["queued"] * 3
    wished = [hands.start(WISHED) for _ in range(2)]
    assert [wait(hands, run_id)["reason"] for run_id in wished] == ["no_worker", "max_parallel"]


def test_tenants_share_a_pool_and_see_their_own_jobs_only(hands: Hands) -> None:
    limit(hands, 1)
    mine = hands.start(ONE)
    hands.engine.save_workflow("other", ONE.encode(), "yaml", default_id="wf")
    theirs = hands.engine.start_run(Caller("other", "eve"), "wf", {}).id
    step = hands.engine.run("other", theirs)["steps"]["a"]
    assert step["wait"]["message"] == "the pool small lets 1 job run at one time; 1 taken"
    assert step["wait"]["holders"] == []
    (usage,) = hands.engine.concurrency("other").items
    assert (usage["held"], usage["holders"], usage["waiters"]) == (1, [], [f"{theirs}:a@1"])
    hands.work(mine, "a")
    assert hands.engine.run("other", theirs)["steps"]["a"]["status"] == "queued"


def test_a_cancel_gives_the_place_on(hands: Hands) -> None:
    limit(hands, 1)
    first, second = hands.start(ONE), hands.start(ONE)
    hands.engine.cancel_run(ALICE, first)
    assert told(hands, second)[-2:] == [("step.ready", "place_released"), ("step.queued", None)]
