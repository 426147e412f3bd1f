"""After many runs, with nothing to be kept, nothing is left of them but what is said to stay; `-s` shows that."""

from __future__ import annotations

import os
from collections import Counter

import pytest
import redis

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from tests.engine.hands import ALICE, ALLOW, BOB, Hands

RUNS = 10_000 if os.environ.get("PROOF_LONG") else 200
DEFINITION = """
steps:
  a: {topic: job.t, input: {n: "${input.n}"}, output_path: seen}
  each: {topic: job.t, for_each: "[1, 2]", depends_on: [a]}
  gate: {type: approval, depends_on: [a]}
  call: {type: subworkflow, workflow_id: inner, depends_on: [a], condition: input.calls}
"""


def play(hands: Hands, number: int) -> None:
    """One run to its end. Of ten, one is a single job, eight have one step, and some of those fail first; one asks a
    person, and the half of these calls another workflow.
    """
    engine, asks, calls, fails = hands.engine, number % 10 == 0, number % 20 == 0, number % 50 == 1
    engine.jobs.renew(hands.worker)
    if number % 10 == 7:
        work(
            hands,
            engine.single_jobs.submit(ALICE, {"topic": "job.t", "input": {"n": number}}).id.partition(":")[0],
            "job",
        )
        return
    if not asks:
        _play_one_step(hands, fails)
        return
    given = {"n": number, "calls": calls}
    run_id = str(
        engine.start_run(ALICE, "wf", given, idempotency_key=f"k{number}" if number % 100 == 0 else None).run["id"]
    )
    work(hands, run_id, "a")
    for child in ("each[0]", "each[1]"):
        work(hands, run_id, child)
    engine.approve(BOB, f"{run_id}:gate@1", None)
    engine.coordinate()
    if calls:
        inner = str(engine.run("default", run_id)["steps"]["call"]["child_run_id"])
        work(hands, inner, "i")
        engine.coordinate()


def _play_one_step(hands: Hands, fails: bool) -> None:
    run_id = str(hands.engine.start_run(ALICE, "one", {}).run["id"])
    if fails:
        work(hands, run_id, "i", OutcomeClass.FATAL)
        hands.engine.retry_run(ALICE, run_id, "again")
    work(hands, run_id, "i", attempt=2 if fails else 1)


def work(hands: Hands, run_id: str, step: str, kind: OutcomeClass = OutcomeClass.SUCCESS, attempt: int = 1) -> None:
    job_id, jobs, worker = f"{run_id}:{step}@{attempt}", hands.engine.jobs, hands.worker.incarnation
    assert jobs.claim(job_id, "job.t", 3, worker, "n").word == "CLAIMED"
    jobs.record(job_id, "job.t", worker, "n", Outcome(kind, {"ok": True}))
    hands.engine._core.advance(run_id)


@pytest.mark.timeout(1800)
def test_nothing_is_left_but_what_is_said_to_stay(redis_address: RedisAddress) -> None:
    engine = Engine.connect(load_settings(env={"CORDUM_RETENTION_SEC": "0"}), redis_address)
    kept = Engine.connect(load_settings(env={}), redis_address)
    kept.publish_policy(ALLOW, "test")
    kept.save_workflow("default", b"id: one\nsteps: {i: {topic: job.t}}", "yaml")
    kept.save_workflow("default", b"id: inner\nsteps: {i: {topic: job.t}}", "yaml")
    kept.save_workflow("default", DEFINITION.encode(), "yaml", default_id="wf")
    hands = Hands(kept)
    with redis.Redis(**{**redis_address.redis_py_kwargs(), "decode_responses": True}) as client:
        for number in range(RUNS):
            play(hands, number)
            client.delete("job.t\x06\x163")  # the messages: what a real worker takes
        before = bytes_by_kind(client)
        client.config_set("slowlog-log-slower-than", 100)
        client.slowlog_reset()
        removed = engine.expire_runs("default")
        longest = max((one["duration"] for one in client.slowlog_get(128)), default=0)
        after = bytes_by_kind(client)
        show(before, after)
        print(f"{removed} runs removed; the longest call took {longest} us")
        assert removed >= RUNS
        dead = set(map(str, client.zrange(engine.store.keys.dead_letters("default"), 0, -1)))
        left = {str(key) for key in client.scan_iter("cordum:run:*", count=1000)}
        assert {key.partition(":dead_letter:")[2] for key in left} == dead
        assert not {kind for kind in after if kind.startswith("cordum:c1:")} & {
            f"cordum:c1:{part}"
            for part in ("runs", "ended", "needed", "orphans", "timers", "wakeups", "fired", "approvals")
        }
    engine.close()
    kept.close()


def bytes_by_kind(client: redis.Redis) -> Counter[str]:
    found: Counter[str] = Counter()
    for key in map(str, client.scan_iter(count=1000)):
        parts = key.partition("}")[2].split(":")[1:2] if key.startswith("cordum:run:") else key.split(":")[2:3]
        kind = ":".join(("cordum", "run" if "{" in key else "c1", *parts)) if key.startswith("cordum:") else "celery"
        found[kind] += int(client.memory_usage(key) or 0)
    return found


def show(before: Counter[str], after: Counter[str]) -> None:
    print()
    for kind in sorted(before | after):
        print(f"{kind:32} {before[kind]:>12} bytes before {after[kind]:>12} after")
