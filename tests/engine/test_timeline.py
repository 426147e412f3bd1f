"""The timeline: every event says who, what, from, to and why; decisions say by which rule of which policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cordum.domain.ids import JobId
from cordum.domain.run import OutcomeClass
from cordum.engine import Engine
from cordum.errors import NotFound
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from cordum.store.scripts import Library
from tests.engine.hands import ALICE, ALLOW, BOB, Hands

POLICY = b"""
version: "1"
default_decision: allow
rules:
  - {id: never, match: {topics: [job.never]}, decision: deny, reason: too dangerous}
  - {id: ask, match: {topics: [job.ask]}, decision: require_approval, reason: production}
  - id: small
    match: {topics: [job.small]}
    decision: allow_with_constraints
    constraints: {budgets: {max_retries: 0}}
"""
VARIED = """
on_failure: continue_independent
steps:
  work: {topic: job.work, retry: {max_retries: 1, initial_backoff_sec: 0, jitter: 0}}
  denied: {topic: job.never}
  asked: {topic: job.ask, depends_on: [work]}
  gate: {type: approval, remind_sec: 0.01, expires_sec: 0.05, on_expire: escalate, escalate_to: [carol]}
  said_no: {type: approval}
  late: {type: approval, expires_sec: 0.01, on_expire: reject}
  slow: {topic: job.slow, timeout_sec: 0.01}
  lost: {topic: job.lost}
  by_hand: {topic: job.hand}
  not_needed: {topic: job.hand, condition: "false"}
  skipped: {topic: job.hand}
  revoked: {topic: job.hand}
  told: {type: notify, input: {level: INFO, message: hello}}
  pause: {type: delay, delay_sec: 0.01}
  go: {type: signal, name: go}
  small: {topic: job.small}
  group: {type: parallel, steps: [member]}
  member: {type: transform, input: {x: 1}}
"""
# Built by others, or later: nothing in this version tells of them.
NOT_YET = {
    "run.migrated",
    "dead_letter.discarded",
    "compensation.started",
    "compensation.finished",
}
_NAMED = {
    "run": "created started waiting paused resumed succeeded failed denied timed_out cancelled reopened migrated",
    "step": "ready decision queued started progress succeeded failed retrying worker_lost redispatched timed_out denied"
    " cancelled skipped completed_by_hand",
    "approval": "requested reminded escalated approved rejected expired",
    "signal": "received",
    "result": "ignored",
    "dead_letter": "added replayed discarded",
    "compensation": "started finished",
}
TYPES = {f"{what}.{name}" for what, names in _NAMED.items() for name in names.split()} | {"notify"}
"""CONTRACT.md 11."""
# Told of something that moves nothing from one public state to another.
NO_TRANSITION = {
    *("step.ready", "step.decision", "step.progress", "step.worker_lost", "step.redispatched", "dead_letter.added"),
    "dead_letter.replayed",
    *("approval.reminded", "approval.escalated", "approval.expired", "signal.received", "result.ignored", "notify"),
}
BY_POLICY = {"step.decision", "step.queued"}


def events_of(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = engine.timeline("default", run_id, limit=7, after=after)
        found += page.items
        after = page.next
        if after is None:
            return found


@pytest.fixture
def engine(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Engine]:
    """One whose time passes when a test says so."""
    settings = load_settings(env={"CORDUM_DATA_DIR": str(tmp_path)})
    engine = Engine.connect(settings, redis_address, Library(virtual_clock=True))
    later(engine, 1_000_000)
    engine.publish_policy(ALLOW, "test")
    yield engine
    engine.close()


def later(engine: Engine, ms: int = 1000) -> None:
    """Time passes, and a coordinator looks at what is due."""
    store = engine.store
    store.connection.read(lambda client: client.incrby(store.keys.clock, ms))
    engine.coordinate()


def varied(engine: Engine) -> list[str]:
    """Runs in which everything happens that can happen to runs and steps."""
    engine.publish_policy(POLICY, "root")
    hands = Hands(engine)
    run_id = hands.start(VARIED)
    hands.claim(run_id, "work")
    engine.jobs.progress(f"{run_id}:work@1", "w1", 0.5, "half way")
    hands.finish(run_id, "work", kind=OutcomeClass.RETRYABLE)
    later(engine)
    assert hands.claim(run_id, "work", 2).word == "CLAIMED"
    hands.finish(run_id, "work", attempt=2)
    engine.approve(BOB, f"{run_id}:asked@1")
    engine.reject(BOB, f"{run_id}:said_no@1", "not today")
    hands.claim(run_id, "slow")
    later(engine)
    hands.finish(run_id, "slow")
    hands.claim(run_id, "lost")
    engine.jobs.lost(f"{run_id}:lost@1", "job.lost", "w1", "its child died")
    engine.complete_step(ALICE, run_id, "by_hand", "done already", {})
    engine.skip_step(ALICE, run_id, "skipped", "not today")
    engine.cancel_step(f"{run_id}:revoked@1", "celery-control", "revoked")
    hands.claim(run_id, "small")
    hands.finish(run_id, "small", kind=OutcomeClass.FATAL)
    engine.pause_run(ALICE, run_id, "lunch")
    engine.resume_run(ALICE, run_id, "back")
    engine.signal_run(ALICE, run_id, "go", {})
    engine.cancel_run(ALICE, run_id, "enough")
    return [run_id, *_endings(engine, hands)]


def _endings(engine: Engine, hands: Hands) -> list[str]:
    """The other ways in which runs end, and a retry."""
    timed_out = hands.start("{timeout_sec: 0.01, steps: {ok: {type: approval}}}")
    denied = hands.start("steps: {a: {topic: job.never}}")
    failed = hands.start("steps: {a: {topic: job.a}}")
    hands.claim(failed, "a")
    hands.finish(failed, "a", kind=OutcomeClass.FATAL)
    engine.retry_run(ALICE, failed, "again")
    succeeded = hands.start("steps: {a: {type: transform, input: {}}}")
    waited = hands.start("steps: {ok: {type: approval}, b: {topic: job.b, depends_on: [ok]}}")
    engine.approve(BOB, f"{waited}:ok@1")
    engine.coordinate()
    later(engine)
    _lose_a_message(engine, waited)
    return [timed_out, denied, failed, succeeded, waited]


def _lose_a_message(engine: Engine, run_id: str) -> None:
    """A coordinator finds the message lost and sends it again."""
    job, store = JobId(run_id, "b", 1), engine.store
    sent: Any = store.connection.read(lambda client: client.zscore(store.keys.sent("job.b\x06\x163"), str(job)))
    assert store.jobs.resend(job, "job.b", 3, f"{sent:.0f}")


def test_every_event_says_who_what_from_to_and_why(engine: Engine) -> None:
    seen: set[str] = set()
    for run_id in varied(engine):
        events = events_of(engine, run_id)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        for event in events:
            seen.add(event["type"])
            assert event["type"] in TYPES
            assert event["run_id"] == run_id
            assert event["time"] == event["timestamp"]
            assert event["time"]
            assert event["actor"], event
            assert event["reason"], event
            if event["type"] not in NO_TRANSITION:
                assert event["to"], event
                assert event["from"] or event["type"] == "run.created", event
            if event["type"].startswith("step.") or event["type"].startswith("approval."):
                assert event["step_id"], event
            if event["type"] in BY_POLICY:
                assert event["data"]["policy_snapshot"].startswith("sha256:"), event
                assert "rule_id" in event["data"]
    assert TYPES - seen == NOT_YET


def test_people_are_named_where_people_act(engine: Engine) -> None:
    first = varied(engine)[0]
    actors = {(event["type"], event["step_id"]): event["actor"] for event in events_of(engine, first)}
    assert actors["run.created", None] == actors["run.paused", None] == actors["run.cancelled", None] == "alice"
    assert actors["approval.approved", "asked"] == actors["approval.rejected", "said_no"] == "bob"
    assert actors["step.completed_by_hand", "by_hand"] == actors["step.skipped", "skipped"] == "alice"
    assert actors["step.cancelled", "revoked"] == "celery-control"
    assert actors["step.started", "work"] == "w1"
    assert actors["step.skipped", "not_needed"] == actors["step.decision", "work"] == "cordum"


def test_what_policy_has_said_stands_with_what_follows_from_it(engine: Engine) -> None:
    first = varied(engine)[0]
    events = {(event["type"], event["step_id"]): event["data"] for event in events_of(engine, first)}
    digest = events["step.decision", "denied"]["policy_snapshot"]
    denied = events["step.denied", "denied"]
    assert (denied["rule_id"], denied["policy_snapshot"]) == ("never", digest)
    asked = events["approval.requested", "asked"]
    approved = events["approval.approved", "asked"]
    assert (asked["rule_id"], asked["policy_snapshot"]) == (approved["rule_id"], approved["policy_snapshot"])
    assert (asked["rule_id"], asked["request_hash"]) == ("ask", approved["request_hash"])
    assert events["step.queued", "small"]["rule_id"] == "small"


def test_pages_go_in_both_orders_and_miss_nothing(engine: Engine) -> None:
    run_id = varied(engine)[0]
    rising = events_of(engine, run_id)
    falling: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = engine.timeline("default", run_id, limit=7, after=after, order="desc")
        falling += page.items
        after = page.next
        if after is None:
            break
    assert falling == rising[::-1]


def test_a_job_knows_every_decision_about_its_step(engine: Engine) -> None:
    engine.publish_policy(POLICY, "root")
    hands = Hands(engine)
    run_id = hands.start(
        "steps: {a: {topic: job.ask, retry: {max_retries: 1, initial_backoff_sec: 0}}, b: {topic: job.small}}"
    )
    engine.publish_policy(POLICY + b"# another text\n", "root")
    engine.coordinate()
    job = JobId(run_id, "a", 1)
    found = engine.decisions("default", job).items
    assert [(one["decision"], one["rule_id"], one["epoch"]) for one in found] == [
        ("require_approval", "ask", 2),
        ("require_approval", "ask", 3),
    ]
    assert found[0]["policy_snapshot"] != found[1]["policy_snapshot"]
    assert found[0]["job_hash"] == found[1]["job_hash"]
    assert found[0]["reason"] == "production"
    assert engine.decisions("default", job, limit=1).next == str(found[0]["seq"])
    assert engine.decisions("default", job, limit=1, after=str(found[0]["seq"])).items == found[1:]
    (small,) = engine.decisions("default", JobId(run_id, "b", 1)).items
    assert small["constraints"] == {"budgets": {"max_retries": 0}}
    for tenant, other in (("other", job), ("default", JobId(run_id, "none", 1)), ("default", JobId("no-run", "a", 1))):
        with pytest.raises(NotFound):
            engine.decisions(tenant, other)


def test_the_decisions_of_a_tenant_are_read_from_its_audit(engine: Engine) -> None:
    engine.publish_policy(POLICY, "root")
    run_id = Hands(engine).start("steps: {a: {topic: job.never}, b: {topic: job.small}}")
    found = engine.audit.decisions("default", limit=10, after=None, order="asc").items
    assert [(one["job_id"], one["decision"], one["rule_id"]) for one in found] == [
        (f"{run_id}:a@1", "deny", "never"),
        (f"{run_id}:b@1", "allow_with_constraints", "small"),
    ]
    assert all(one["job_hash"] and one["epoch"] == 2 for one in found)
