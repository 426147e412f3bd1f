"""What limits cost in commands to Redis: nothing where there are none, and never a round trip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.scripts import Library
from tests.engine.hands import ALICE, ALLOW, Hands

PLAIN = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}"
TENANT = b"{default_decision: allow, tenants: {other: {constraints: {budgets: {max_concurrent_jobs: 1}}}}}"
LIMITED = b"{default_decision: allow, tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 9}}}}}"
RATE = b"rules: [{id: slow, decision: throttle, velocity: {max_requests: 9, window_sec: 9}}]"


@contextmanager
def counted(engine: Engine) -> Iterator[Counter[str]]:
    """How often each command is executed meanwhile, those of scripts included."""
    calls: Counter[str] = Counter()
    engine.store.connection.read(lambda client: client.config_resetstat())
    yield calls
    stats: Any = engine.store.connection.read(lambda client: client.info("commandstats"))
    calls.update({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})
    calls.pop("set", None)  # the clock's, once a millisecond
    for own in ("config", "config|resetstat", "info", "hello", "client", "client|setinfo", "select", "ping"):
        calls.pop(own, None)


def walk(engine: Engine, hands: Hands) -> Counter[str]:
    """The commands of a run from its start to its end."""
    engine.save_workflow("default", PLAIN.encode(), "yaml", default_id="wf")
    warm = engine.start_run(ALICE, "wf", {}).run["id"]  # scripts are loaded, definitions and policies parsed
    hands.work(warm, "a")
    hands.work(warm, "b")
    with counted(engine) as calls:
        run_id = engine.start_run(ALICE, "wf", {}).id
        for step in ("a", "b"):
            job_id = f"{run_id}:{step}@1"
            engine.jobs.claim(job_id, "job.t", 3, hands.worker.incarnation, "n")
            engine.jobs.record(job_id, "job.t", hands.worker.incarnation, "n", Outcome(OutcomeClass.SUCCESS, {}))
            engine._core.advance(run_id)
    assert engine.run("default", run_id)["status"] == "succeeded"
    return calls


def ignorant() -> Library:
    """The scripts as they would be if nothing were limited."""
    library = Library()
    forgetful = {
        name: replace(script, source=re.sub(r"(?m)^ *(if .* then )?(free|leave|serve)_quotas\(a.*$", "", script.source))
        for name, script in library.scripts.items()
    }
    assert sum(forgetful[name].source != script.source for name, script in library.scripts.items()) == 4
    library.scripts = forgetful
    return library


@pytest.mark.parametrize("policy", [ALLOW, TENANT])
def test_without_a_limit_that_is_about_the_job_no_command_is_for_limits(
    engine: Engine, hands: Hands, redis_address: RedisAddress, policy: bytes
) -> None:
    engine.publish_policy(policy, "test")
    other = Engine.connect(load_settings(env={}), redis_address, ignorant())
    assert walk(engine, hands) == walk(other, Hands(other, "w2"))
    other.close()


@pytest.mark.parametrize("policy", [LIMITED, RATE])
def test_a_limit_adds_no_round_trip(engine: Engine, hands: Hands, policy: bytes) -> None:
    without = walk(engine, hands)
    engine.publish_policy(policy, "test")
    within = walk(engine, hands)
    assert within["evalsha"] == without["evalsha"] > 0
    assert within["zcount"] == 2
