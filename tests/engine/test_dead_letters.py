"""Dead letters: the evidence, groups, retry of one and of many, discarding, and what is kept for how long."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Caller, Engine, Outcome
from cordum.errors import CordumError, NotFound, StateConflict, Unprocessable
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from tests.engine.hands import ALICE, ALLOW, BOB, Hands

ONE = "{steps: {a: {topic: job.t, input: {n: '${input.n}'}}}}"
DENY = b"{version: '1', default_decision: deny, rules: []}"


def fail(hands: Hands, run_id: str, step: str = "a", attempt: int = 1, message: str = "broke", **how: Any) -> str:
    """Let an attempt end without success; the id of the dead letter."""
    hands.engine.jobs.renew(hands.worker)
    assert hands.claim(run_id, step, attempt).word == "CLAIMED"
    job_id = f"{run_id}:{step}@{attempt}"
    outcome = Outcome(how.get("kind", OutcomeClass.FATAL), None, Failure("fatal", message, "ValueError", "Trace"))
    hands.engine.jobs.record(job_id, hands.topic(run_id, step), hands.worker.incarnation, "n", outcome)
    hands.engine.coordinate()
    return job_id


def letter(engine: Engine, job_id: str) -> dict[str, Any]:
    return engine.letters.get("default", job_id)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(CordumError) as refused:
        call()
    return refused.value.code


# -- evidence ----------------------------------------------------------------------------------------------------


def test_a_dead_letter_holds_all_evidence(hands: Hands) -> None:
    run_id = hands.start("{steps: {a: {topic: job.t, input: {n: 1}, retry: {max_retries: 1, initial_backoff_sec: 0}}}}")
    fail(hands, run_id, kind=OutcomeClass.RETRYABLE, message="first")
    hands.engine.coordinate()
    found = letter(hands.engine, fail(hands, run_id, attempt=2, kind=OutcomeClass.RETRYABLE, message="second"))
    assert {name: found[name] for name in ("tenant", "workflow_id", "workflow_version", "run_id", "step_id")} == {
        "tenant": "default",
        "workflow_id": "wf",
        "workflow_version": 1,
        "run_id": run_id,
        "step_id": "a",
    }
    assert (found["job_id"], found["topic"], found["worker"]) == (f"{run_id}:a@2", "job.t", "w1")
    assert (found["reason_code"], found["error_class"], found["error"]) == (
        "max_retries_exceeded",
        "ValueError",
        "second",
    )
    assert found["traceback"] == "Trace"
    past = [(one["attempt"], one["message"], one["worker"]) for one in found["history"]]
    assert past == [(1, "first", "w1"), (2, "second", "w1")]
    assert all(one["started_at"] <= one["ended_at"] for one in found["history"])
    assert found["payload_digest"] == "sha256:" + hashlib.sha256(b'{"n":1}').hexdigest()
    assert found["policy_snapshot"].startswith("sha256:")
    assert found["first_at"] <= found["last_at"]
    assert found["lineage"]["generation"] == 1
    assert found["input"] == {"n": 1}
    assert found["state"] == "open"


def test_what_policy_denied_shows_what_it_would_have_been_given(hands: Hands) -> None:
    hands.engine.publish_policy(DENY, "test")
    run_id = hands.start(ONE, {"n": 7})
    found = letter(hands.engine, f"{run_id}:a@1")
    assert (found["reason_code"], found["input"]) == ("safety_denied", {"n": 7})
    assert found["payload_digest"].startswith("sha256:")


def test_an_input_that_cannot_be_put_together_has_no_digest(hands: Hands) -> None:
    run_id = hands.start("{steps: {a: {topic: job.t, input: {n: '${1 < \"x\"}'}}}}")
    found = letter(hands.engine, f"{run_id}:a@1")
    assert (found["reason_code"], found["payload_digest"], found["input"]) == ("expression_error", None, None)


def test_the_same_input_has_the_same_digest(hands: Hands) -> None:
    same = [letter(hands.engine, fail(hands, hands.start(ONE, {"n": 1})))["payload_digest"] for _ in range(2)]
    other = letter(hands.engine, fail(hands, hands.start(ONE, {"n": 2})))["payload_digest"]
    assert same[0] == same[1] != other


# -- groups ------------------------------------------------------------------------------------------------------


def test_letters_of_one_cause_are_one_group(hands: Hands) -> None:
    for n in range(3):
        fail(hands, hands.start(ONE, {"n": n}), message=f"order 'A{n}' not at host 10.0.0.{n} after {n}.5 s")
    other = fail(hands, hands.start(ONE, {"n": 9}), message="no such table")
    largest, smallest = hands.engine.letters.groups("default")
    assert (largest["count"], largest["message"]) == (3, "order <text> not at host <n> after <n> s")
    assert (smallest["count"], smallest["latest"]) == (1, other)
    listed = hands.engine.dead_letters("default", group=largest["id"], limit=2)
    rest = hands.engine.dead_letters("default", group=largest["id"], limit=2, after=listed.next)
    assert [len(listed.items), len(rest.items), rest.next] == [2, 1, None]
    assert {one["group"] for one in (*listed.items, *rest.items)} == {largest["id"]}


def test_a_group_is_gone_with_its_last_open_letter(hands: Hands) -> None:
    first = fail(hands, hands.start(ONE, {"n": 1}))
    second = fail(hands, hands.start(ONE, {"n": 2}))
    hands.engine.letters.discard(BOB, first, "known")
    assert [one["count"] for one in hands.engine.letters.groups("default")] == [1]
    hands.engine.letters.retry(BOB, second, "fixed")
    assert hands.engine.letters.groups("default") == []
    assert hands.engine.store.figures.counters()["dead_letters_open"] == 0


def test_each_topic_has_a_queue_of_dead_letters(hands: Hands) -> None:
    first = fail(hands, hands.start(ONE, {"n": 1}), message="one cause")
    fail(hands, hands.start(ONE, {"n": 2}), message="another cause")
    fail(hands, hands.start("{steps: {a: {topic: job.u}}}"))
    now = hands.engine.store.policies.current(0).now + 5000
    depths = {one["name"]: one["depth"] for one in hands.engine.letters.queues(now)}
    assert depths == {"dlq.job.t": 2, "dlq.job.u": 1}
    assert all(one["oldest_age_sec"] >= 5 for one in hands.engine.letters.queues(now))
    hands.engine.letters.discard(BOB, first, "known")
    assert [one["depth"] for one in hands.engine.letters.queues(now)] == [1, 1]


def test_another_tenant_has_none_of_them(hands: Hands) -> None:
    job_id = fail(hands, hands.start(ONE, {"n": 1}))
    stranger = Caller("other", "eve")
    assert hands.engine.letters.groups("other") == []
    assert hands.engine.dead_letters("other").items == []
    for call in (
        lambda: hands.engine.letters.get("other", job_id),
        lambda: hands.engine.letters.retry(stranger, job_id, "mine"),
        lambda: hands.engine.letters.discard(stranger, job_id, "mine"),
    ):
        with pytest.raises(NotFound):
            call()
    bulk = hands.engine.bulk_retries.begin(stranger, {}, "all")
    assert bulk["total"] == 0
    with pytest.raises(NotFound):
        hands.engine.bulk_retries.get("default", bulk["id"])


# -- one ---------------------------------------------------------------------------------------------------------


def test_a_retry_is_the_same_run_in_its_next_generation(hands: Hands) -> None:
    run_id = hands.start(ONE, {"n": 1})
    job_id = fail(hands, run_id)
    answer = hands.engine.letters.retry(BOB, job_id, "the disk is back")
    assert (answer["job_id"], answer["state"], answer["replayed_as"]) == (job_id, "replayed", f"{run_id}:a@2")
    found = letter(hands.engine, job_id)
    assert (found["handled_by"], found["handled_reason"]) == ("bob", "the disk is back")
    assert "dead_letter.replayed" in hands.events(run_id)
    again = letter(hands.engine, fail(hands, run_id, attempt=2))
    assert again["lineage"] == {
        "generation": 2,
        "replay_of": job_id,
        "replayed_as": None,
        "rerun_of": None,
        "parent_run_id": None,
        "bulk_retry": None,
    }


def test_what_would_not_run_again_is_refused(hands: Hands) -> None:
    group = "g: {type: parallel, steps: [x, y], strategy: any}, x: {topic: job.t}, y: {topic: job.t}"
    run_id = hands.start(f"{{steps: {{{group}, z: {{topic: job.t, depends_on: [g]}}}}}}")
    job_id = fail(hands, run_id, "x")
    hands.work(run_id, "y", 1)
    fail(hands, run_id, "z")
    assert refusal(lambda: hands.engine.letters.retry(BOB, job_id, "again")) == "run_not_retryable"
    assert letter(hands.engine, job_id)["state"] == "open"


def test_an_edited_input_is_what_the_step_is_given(hands: Hands) -> None:
    run_id = hands.start(ONE, {"n": 1})
    job_id = fail(hands, run_id)
    hands.engine.letters.retry(BOB, job_id, "typo", ({"n": 2**60 + 1, "empty": []},))
    assert hands.claim(run_id, "a", 2).input == {"n": 2**60 + 1, "empty": []}


def test_an_edited_input_stays_when_it_is_tried_again(hands: Hands) -> None:
    run_id = hands.start(ONE, {"n": 1})
    hands.engine.letters.retry(BOB, fail(hands, run_id), "typo", (None,))
    second = fail(hands, run_id, attempt=2)
    assert letter(hands.engine, second)["input"] is None
    hands.engine.letters.retry(BOB, second, "again")
    assert hands.claim(run_id, "a", 3).input is None


def test_an_edited_input_must_be_what_the_step_takes(hands: Hands) -> None:
    run_id = hands.start("{steps: {a: {topic: job.t, input_schema: {type: object, required: [n]}}}}", {"n": 1})
    job_id = fail(hands, run_id)
    with pytest.raises(Unprocessable) as refused:
        hands.engine.letters.retry(BOB, job_id, "typo", ({},))
    assert refused.value.code == "schema_validation_failed"
    assert letter(hands.engine, job_id)["state"] == "open"


def test_an_input_can_be_edited_inside_a_fan_out(hands: Hands) -> None:
    fan = "{steps: {f: {topic: job.t, for_each: '${input.all}', input: {n: '${item}'}}}}"
    run_id = hands.start(fan, {"all": [1, 2]})
    assert hands.claim(run_id, "f[1]").word == "CLAIMED"
    hands.finish(run_id, "f[1]", 2)
    job_id = fail(hands, run_id, "f[0]")
    hands.engine.letters.retry(BOB, job_id, "typo", ({"n": 5},))
    hands.engine.coordinate()
    assert hands.claim(run_id, "f[0]", 2).input == {"n": 5}


def test_a_retry_goes_through_policy_again(hands: Hands) -> None:
    run_id = hands.start(ONE, {"n": 1})
    job_id = fail(hands, run_id)
    hands.engine.publish_policy(DENY, "test")
    hands.engine.letters.retry(BOB, job_id, "again")
    assert hands.statuses(run_id) == {"a": "denied"}
    assert letter(hands.engine, f"{run_id}:a@2")["reason_code"] == "safety_denied"


def test_ten_clients_at_once_cause_one_attempt(hands: Hands) -> None:
    run_id = hands.start(ONE, {"n": 1})
    job_id = fail(hands, run_id)
    with ThreadPoolExecutor(10) as clients:
        answers = list(
            clients.map(lambda n: hands.engine.letters.retry(Caller("default", f"p{n}"), job_id, "now"), range(10))
        )
    assert {answer["replayed_as"] for answer in answers} == {f"{run_id}:a@2"}
    assert len({answer["handled_by"] for answer in answers}) == 1
    events = hands.events(run_id)
    assert (events.count("run.reopened"), events.count("dead_letter.replayed"), events.count("step.queued")) == (
        1,
        1,
        2,
    )


def test_of_two_edits_at_once_one_is_refused(hands: Hands) -> None:
    job_id = fail(hands, hands.start(ONE, {"n": 1}))

    def edit(n: int) -> str:
        try:
            hands.engine.letters.retry(BOB, job_id, "typo", ({"n": n},))
        except StateConflict as refused:
            return refused.code
        return "done"

    with ThreadPoolExecutor(8) as clients:
        told = list(clients.map(edit, range(8)))
    assert sorted(told) == ["dead_letter_replayed"] * 7 + ["done"]


def test_a_child_run_is_tried_again_with_its_parent(hands: Hands) -> None:
    hands.engine.save_workflow("default", b"{steps: {w: {topic: job.w}}}", "yaml", default_id="child")
    run_id = hands.start("{steps: {s: {type: subworkflow, workflow_id: child}}}")
    (child,) = hands.engine.child_runs("default", run_id)
    job_id = fail(hands, child["id"], "w")
    hands.engine.coordinate()
    assert hands.engine.run("default", run_id)["status"] == "failed"
    assert refusal(lambda: hands.engine.letters.retry(BOB, job_id, "typo", ({},))) == "edit_not_possible"
    answer = hands.engine.letters.retry(BOB, job_id, "again")
    assert answer["replayed_as"] == f"{child['id']}:w@2"
    hands.engine.coordinate()
    assert hands.claim(child["id"], "w", 2).word == "CLAIMED"
    hands.finish(child["id"], "w", 1, 2)
    hands.engine.coordinate()
    assert hands.engine.run("default", run_id)["status"] == "succeeded"


def test_a_letter_of_a_child_that_was_put_away_can_be_discarded(hands: Hands) -> None:
    fan = "{on_failure: continue_independent, steps: {f: {topic: job.t, for_each: '${input.all}'}, b: {topic: job.t}}}"
    run_id = hands.start(fan, {"all": [1]})
    job_id = fail(hands, run_id, "f[0]")
    assert hands.engine.letters.discard(BOB, job_id, "known") is None
    assert hands.engine.letters.discard(BOB, job_id, "known") is None
    assert hands.events(run_id).count("dead_letter.discarded") == 1
    hands.work(run_id, "b")
    hands.engine.retry_run(BOB, run_id, "all the same")
    hands.engine.coordinate()
    assert letter(hands.engine, job_id)["state"] == "discarded"
    assert hands.statuses(run_id)["f[0]"] == "queued"
    counters = hands.engine.store.figures.counters()
    assert counters["dead_letters_open"] == 0


# -- many --------------------------------------------------------------------------------------------------------


def drain(engine: Engine, bulk_id: str) -> dict[str, Any]:
    """Carry a bulk retry on until it ends, its rate left aside."""
    while (bulk := engine.bulk_retries.get("default", bulk_id))["state"] == "running":
        engine.bulk_retries.carry_on()
    return bulk


def test_five_hundred_of_one_cause_are_one_group_and_one_action(hands: Hands) -> None:
    jobs = [fail(hands, hands.start(ONE, {"n": n}), message=f"host {n} is away") for n in range(500)]
    (group,) = hands.engine.letters.groups("default")
    assert group["count"] == 500
    handled = random.Random(1).sample(jobs, 20)
    for job_id in handled[:10]:
        hands.engine.letters.retry(BOB, job_id, "by hand")
    bulk = hands.engine.bulk_retries.begin(BOB, {"group": group["id"]}, "the host is back", 100)
    assert (bulk["state"], bulk["total"]) == ("running", 490)
    for job_id in handled[10:]:  # after it was pinned, before its turn
        hands.engine.letters.retry(ALICE, job_id, "by hand")
    told = []
    while (now := hands.engine.bulk_retries.get("default", bulk["id"]))["state"] == "running":
        told.append(now["position"])
        hands.engine.bulk_retries.carry_on()
    assert told == sorted(told)
    assert len(set(told)) > 5  # progress is seen
    assert (now["position"], now["retried"], now["skipped"], now["refused"]) == (490, 480, 10, 0)
    assert now["skipped_because"] == {"replayed": 10}
    for job_id in jobs:
        events = hands.events(job_id.partition(":")[0])
        assert (events.count("run.reopened"), events.count("dead_letter.replayed")) == (1, 1)
    assert hands.engine.letters.groups("default") == []


@pytest.fixture
def three(hands: Hands) -> list[str]:
    return [fail(hands, hands.start(ONE, {"n": n})) for n in range(3)]


def test_a_bulk_retry_goes_on_after_a_crash_between_retry_and_record(
    hands: Hands, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk = hands.engine.bulk_retries.begin(BOB, {}, "again", 100)

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(hands.engine.store.bulk_retries, "record", die)
        with pytest.raises(KeyboardInterrupt):
            hands.engine.bulk_retries.carry_on()
    stopped_at = hands.engine.bulk_retries.get("default", bulk["id"])
    assert (stopped_at["state"], stopped_at["position"], stopped_at["left"]) == ("running", 0, 3)
    ended = drain(hands.engine, bulk["id"])
    assert (ended["retried"], ended["skipped"], ended["refused"]) == (3, 0, 0)
    for job_id in three:
        assert hands.events(job_id.partition(":")[0]).count("run.reopened") == 1
        assert letter(hands.engine, job_id)["lineage"]["bulk_retry"] == bulk["id"]


def test_many_coordinators_carry_on_at_once(hands: Hands, three: list[str]) -> None:
    bulk = hands.engine.bulk_retries.begin(BOB, {}, "again", 100)
    with ThreadPoolExecutor(6) as coordinators:
        list(coordinators.map(lambda _: hands.engine.bulk_retries.carry_on(), range(60)))
    ended = drain(hands.engine, bulk["id"])
    assert (ended["position"], ended["retried"] + ended["skipped"]) == (3, 3)
    for job_id in three:
        assert hands.events(job_id.partition(":")[0]).count("run.reopened") == 1


def test_an_idempotency_key_begins_one(hands: Hands, three: list[str]) -> None:
    begun = [hands.engine.bulk_retries.begin(BOB, {}, "again", 50, "k")["id"] for _ in range(3)]
    assert len(set(begun)) == 1
    assert drain(hands.engine, begun[0])["total"] == 3


def test_decisions_are_retried_only_when_asked_for(hands: Hands, three: list[str]) -> None:
    hands.engine.publish_policy(DENY, "test")
    denied = f"{hands.start(ONE, {'n': 4})}:a@1"
    hands.engine.publish_policy(ALLOW, "test")
    assert hands.engine.bulk_retries.preview(BOB, {}, "again", 2.0)["governance_left_out"] == 1
    bulk = hands.engine.bulk_retries.begin(BOB, {}, "again", 100)
    assert (bulk["total"], bulk["governance_left_out"]) == (3, 1)
    drain(hands.engine, bulk["id"])
    assert letter(hands.engine, denied)["state"] == "open"
    asked = hands.engine.bulk_retries.begin(BOB, {"include_governance": True}, "policy is fixed", 100)
    assert drain(hands.engine, asked["id"])["retried"] == 1


def test_what_cannot_be_retried_is_counted_with_its_reason(hands: Hands, three: list[str]) -> None:
    fork = "{on_failure: continue_independent, steps: {a: {topic: job.t}, b: {topic: job.t}}}"
    still = fail(hands, hands.start(fork))
    preview = hands.engine.bulk_retries.preview(BOB, {}, "again", None)
    assert preview["results"] == {"would_retry": 3, "refused:run_active": 1}
    ended = drain(hands.engine, hands.engine.bulk_retries.begin(BOB, {}, "again", 100)["id"])
    assert (ended["retried"], ended["refused_because"]) == (3, {"run_active": 1})
    assert letter(hands.engine, still)["state"] == "open"


def test_a_filter_narrows(hands: Hands, three: list[str]) -> None:
    other = "{id: other, steps: {a: {topic: job.u}}}"
    hands.engine.save_workflow("default", other.encode(), "yaml")
    fail(hands, str(hands.engine.start_run(ALICE, "other", {}).run["id"]))

    def matched(**filters: str) -> int:
        return int(hands.engine.bulk_retries.preview(BOB, filters, "?", None)["matched"])

    assert matched() == 4
    assert matched(topic="job.u") == matched(workflow_id="other") == 1
    assert matched(topic="job.t") == matched(workflow_id="wf") == 3
    assert matched(reason_code="fatal") == 4
    assert matched(reason_code="poison") == matched(group="0" * 16) == 0


def test_a_stopped_bulk_retry_tries_no_more(hands: Hands, three: list[str]) -> None:
    bulk = hands.engine.bulk_retries.begin(BOB, {}, "again", 0.001)
    hands.engine.bulk_retries.carry_on()
    stopped = hands.engine.bulk_retries.stop(ALICE, bulk["id"], "wrong group")
    assert (stopped["state"], stopped["position"], stopped["stopped_by"]) == ("stopped", 1, "alice")
    hands.engine.bulk_retries.carry_on()
    assert hands.engine.bulk_retries.get("default", bulk["id"])["position"] == 1
    assert hands.engine.bulk_retries.stop(ALICE, bulk["id"], "twice") == stopped
    done = hands.engine.bulk_retries.begin(BOB, {}, "again", 100)
    drain(hands.engine, done["id"])
    assert refusal(lambda: hands.engine.bulk_retries.stop(ALICE, done["id"], "late")) == "bulk_retry_done"


# -- retention ---------------------------------------------------------------------------------------------------


@pytest.fixture
def keeper(redis_address: RedisAddress) -> Iterator[Hands]:
    """An engine that keeps two dead letters."""
    settings = load_settings(env={}).with_overrides("test", dead_letters_kept=2)
    engine = Engine.connect(settings, redis_address)
    engine.publish_policy(ALLOW, "test")
    yield Hands(engine)
    engine.close()


def test_handled_letters_go_first_and_open_ones_never(keeper: Hands, caplog: pytest.LogCaptureFixture) -> None:
    jobs = [fail(keeper, keeper.start(ONE, {"n": n})) for n in range(5)]
    now = keeper.engine.store.policies.current(0).now
    assert keeper.engine.letters.trim(now) == 0
    assert "3 dead letters too many" in caplog.text
    assert keeper.engine.letters.counts("default") == {"open": 5, "over_limit": 3}
    assert _metric(keeper.engine, "cordum_dead_letters_over_limit") == 3
    keeper.engine.letters.discard(BOB, jobs[1], "known")
    keeper.engine.letters.discard(BOB, jobs[0], "known")
    assert keeper.engine.letters.trim(now) == 2
    assert {one["job_id"] for one in keeper.engine.dead_letters("default").items} == set(jobs[2:])
    assert _metric(keeper.engine, "cordum_dead_letters_over_limit") == 1


def test_of_the_handled_ones_the_oldest_go(keeper: Hands) -> None:
    jobs = [fail(keeper, keeper.start(ONE, {"n": n})) for n in range(4)]
    for job_id in (jobs[2], jobs[0], jobs[1], jobs[3]):
        keeper.engine.letters.discard(BOB, job_id, "known")
    assert keeper.engine.letters.trim(keeper.engine.store.policies.current(0).now) == 2
    assert {one["job_id"] for one in keeper.engine.dead_letters("default").items} == {jobs[1], jobs[3]}


def test_a_bulk_retry_goes_when_its_time_is_over_and_one_that_goes_on_stays(hands: Hands, three: list[str]) -> None:
    engine = hands.engine
    done, going = (engine.bulk_retries.begin(BOB, {}, "again", rate)["id"] for rate in (100, 0.001))
    empty = engine.bulk_retries.begin(Caller("empty", "bob"), {}, "again", 100)["id"]
    drain(engine, done)
    now, kept_ms = engine.store.policies.current(0).now, engine.settings.dead_letters_kept_sec * 1000
    assert engine.bulk_retries.trim(now + kept_ms - 60_000) == 0
    assert engine.bulk_retries.trim(now + kept_ms + 60_000) == 2
    assert [one["id"] for one in engine.bulk_retries.list("default", limit=5, after=None).items] == [going]
    for tenant, gone in (("default", done), ("empty", empty)):
        assert engine.store.connection.read(lambda client, key=gone: client.keys(f"*{key}*")) == []
        with pytest.raises(NotFound):
            engine.bulk_retries.get(tenant, gone)


def test_a_bulk_retry_that_ended_late_is_kept_from_its_end(hands: Hands, three: list[str]) -> None:
    bulk = hands.engine.bulk_retries.begin(BOB, {}, "again", 100)["id"]
    begun = hands.engine.store.policies.current(0).now
    drain(hands.engine, bulk)
    key = hands.engine.store.keys.bulk_retry(bulk)
    hands.engine.store.connection.read(lambda client: client.hset(key, "ended_at", begun + 3_600_000))
    kept_ms = hands.engine.settings.dead_letters_kept_sec * 1000
    assert hands.engine.bulk_retries.trim(begun + kept_ms + 60_000) == 0
    assert hands.engine.bulk_retries.get("default", bulk)["state"] == "done"


def test_a_handled_letter_goes_when_its_time_is_over(hands: Hands) -> None:
    handled, open_ = (fail(hands, hands.start(ONE, {"n": n})) for n in range(2))
    hands.engine.letters.discard(BOB, handled, "known")
    now = hands.engine.store.policies.current(0).now
    kept_ms = hands.engine.settings.dead_letters_kept_sec * 1000
    assert hands.engine.letters.trim(now + kept_ms - 60_000) == 0
    assert hands.engine.letters.trim(now + kept_ms + 60_000) == 1
    assert [one["job_id"] for one in hands.engine.dead_letters("default").items] == [open_]
    with pytest.raises(NotFound):
        letter(hands.engine, handled)


def _metric(engine: Engine, name: str) -> float:
    (found,) = [metric for metric in engine.metrics() if metric.name == name]
    return found.samples[()]
