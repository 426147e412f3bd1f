"""claim, record_result, lose_attempt, resend_message, release: one attempt from its message to its end."""

from __future__ import annotations

import json
from collections.abc import Callable

from cordum.domain.audit import Act
from cordum.domain.ids import JobId
from cordum.domain.planner import plan_cancel
from cordum.domain.run import OutcomeClass
from cordum.store.jobs import ClaimReply, LossReply, RecordReply
from cordum.store.queues import Pause
from tests.store.world import START, TOPIC, World

ONE = "steps: {a: {topic: job.t}}"


def many(count: int, **keys: str) -> str:
    extra = "".join(f", {key}: {value}" for key, value in keys.items())
    return "steps: {" + ", ".join(f"s{i:03}: {{topic: job.t{extra}}}" for i in range(count)) + "}"


def ids_of(messages: list[str]) -> list[str]:
    return [json.loads(message)["headers"]["id"] for message in messages]


# -- claim -------------------------------------------------------------------------------------------------------


def test_a_claim_begins_the_attempt_and_hands_over_its_input(world: World) -> None:
    world.create(ONE)
    claimed = world.claim("a")
    assert (claimed.word, claimed.input, claimed.tenant) == (ClaimReply.CLAIMED, '{"x":[]}', "default")
    assert world.marks() == {"a": "running:1"}
    assert world.store.workers.held("w1") == ["r1:a@1"]


def test_a_second_delivery_is_stale(world: World) -> None:
    world.create(ONE)
    world.claim("a", nonce="first")
    assert world.claim("a", nonce="second").word is ClaimReply.STALE
    assert world.events().count("step.started") == 1


def test_a_claim_whose_reply_was_lost_is_answered_again(world: World) -> None:
    world.create(ONE)
    first = world.claim("a", nonce="n")
    before = world.everything()
    assert world.claim("a", nonce="n") == first
    assert world.everything() == before


def test_a_worker_without_a_lease_cannot_claim(world: World) -> None:
    world.create(ONE)
    assert world.claim("a", worker="stranger").word is ClaimReply.NO_LEASE
    world.at(START + 5001)
    assert world.claim("a").word is ClaimReply.NO_LEASE
    assert world.marks() == {"a": "queued:1"}


def test_a_job_queued_under_an_older_policy_is_decided_again_before_user_code(world: World) -> None:
    world.create(ONE)
    world.store.policies.publish("other", "{default_decision: deny, rules: []}", "test")
    assert world.claim("a").word is ClaimReply.POLICY_CHANGED
    assert world.marks() == {"a": "pending:0"}
    assert world.due() == ["r1"]
    world.advance()
    assert world.marks() == {"a": "denied:1"}
    assert world.claim("a").word is ClaimReply.STALE


def test_a_claim_sets_the_attempt_s_deadline(world: World) -> None:
    world.create("steps: {a: {topic: job.t, timeout_sec: 2}}")
    world.at(START + 100)
    world.claim("a")
    assert world.snapshot().run.steps["a"].deadline == START + 2100
    assert world.client.zscore(world.store.keys.timers, "r1") == START + 2100


# -- record ------------------------------------------------------------------------------------------------------


def test_a_result_is_applied_once(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    assert world.record("a", output='{"v":1}') is RecordReply.ADVANCE
    before = world.everything()
    assert world.record("a", output='{"v":2}') is RecordReply.RECORDED  # the same worker, whose reply was lost
    assert world.everything() == before


def test_a_result_of_another_claim_changes_nothing(world: World) -> None:
    world.create(ONE)
    world.claim("a", nonce="mine")
    assert world.record("a", nonce="another") is RecordReply.STALE
    assert world.marks() == {"a": "running:1"}


def test_a_late_result_is_told_and_not_applied(world: World) -> None:
    world.create("steps: {a: {topic: job.t, timeout_sec: 1, retry: {max_retries: 1}}}")
    world.claim("a")
    world.at(START + 1000)
    world.advance()
    assert world.marks() == {"a": "retrying:1"}
    assert world.record("a") is RecordReply.STALE
    assert world.marks() == {"a": "retrying:1"}
    assert world.events()[-1] == "result.ignored"


def test_a_result_for_an_unknown_run_leaves_nothing_behind(world: World) -> None:
    world.create(ONE)
    assert world.record("a", run_id="ghost") is RecordReply.STALE
    assert not [key for key in world.everything() if "ghost" in key]


def test_a_failure_is_left_to_the_planner(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.record("a", outcome=OutcomeClass.FATAL)
    assert world.marks() == {"a": "settling:1"}
    world.advance()
    assert world.marks() == {"a": "failed:1"}
    assert world.store.dead_letters.get("default", "r1:a@1") is not None


# -- losing workers and messages ---------------------------------------------------------------------------------


def test_an_attempt_is_not_taken_from_a_living_worker(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    job = JobId("r1", "a", 1)
    assert world.store.jobs.lose(job, TOPIC, "w1", "?", child_died=False) is LossReply.ALIVE
    world.at(START + 5001)
    assert world.store.jobs.lose(job, TOPIC, "w1", "lease over", child_died=False) is LossReply.ADVANCE
    assert world.marks() == {"a": "settling:1"}
    world.advance()
    assert world.marks() == {"a": "queued:2"}


def test_a_worker_may_report_the_death_of_its_child(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    job = JobId("r1", "a", 1)
    assert world.store.jobs.lose(job, TOPIC, "w1", "SIGKILL", child_died=True) is LossReply.ADVANCE


def test_an_attempt_lost_twice_is_lost_once(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.at(START + 5001)
    job = JobId("r1", "a", 1)
    world.store.jobs.lose(job, TOPIC, "w1", "lease over", child_died=False)
    assert world.store.jobs.lose(job, TOPIC, "w1", "lease over", child_died=False) is LossReply.STALE


def test_a_worker_cannot_lose_what_another_holds(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    job = JobId("r1", "a", 1)
    assert world.store.jobs.lose(job, TOPIC, "w2", "?", child_died=True) is LossReply.STALE
    assert world.marks() == {"a": "running:1"}


def test_the_sweep_names_workers_whose_lease_is_over(world: World) -> None:
    world.store.wakeups.sweep(1000, 5000)
    for now in range(START + 1000, START + 6001, 1000):
        world.at(now)
        swept = world.store.wakeups.sweep(1000, 5000)
    assert swept is not None
    assert swept.expired == ["w1"]


def test_after_an_outage_workers_get_one_lease_to_come_back(world: World) -> None:
    world.store.wakeups.sweep(1000, 5000)
    world.at(START + 60_000)  # nobody swept: Redis was away, and so were the renewals
    swept = world.store.wakeups.sweep(1000, 5000)
    assert swept is not None
    assert swept.expired == []
    world.at(START + 64_000)
    world.store.wakeups.sweep(1000, 5000)
    world.at(START + 65_001)
    swept = world.store.wakeups.sweep(1000, 5000)
    assert swept is not None
    assert swept.expired == ["w1"]


def test_a_worker_is_forgotten_only_when_it_holds_nothing(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    assert not world.store.workers.forget("w1")  # alive
    world.store.workers.end_lease("w1")
    assert not world.store.workers.forget("w1")  # holds r1:a@1
    world.store.jobs.lose(JobId("r1", "a", 1), TOPIC, "w1", "left", child_died=False)
    assert world.store.workers.forget("w1")
    assert "w1" not in world.store.workers.known()


def test_a_message_taken_and_never_claimed_is_found_and_sent_again(world: World) -> None:
    world.create(ONE)
    queue = TOPIC + "\x06\x163"
    world.client.rpop(queue)  # what a worker does that dies before its claim
    assert world.store.jobs.unclaimed(TOPIC, 3, 3000) == []  # first seen: it may yet be claimed
    world.at(START + 3000)
    ((job, sent_at),) = world.store.jobs.unclaimed(TOPIC, 3, 3000)
    assert world.store.jobs.resend(job, TOPIC, 3, sent_at)
    assert ids_of(world.messages()) == ["r1:a@1"]
    assert world.claim("a").word is ClaimReply.CLAIMED
    assert "step.redispatched" in world.events()


def test_a_message_that_waits_its_turn_is_not_lost(world: World) -> None:
    for number in range(5):
        world.create(ONE, f"r{number}")
        world.at(START + number + 1)
    for now in range(START + 10_000, START + 60_000, 10_000):
        world.at(now)
        assert world.store.jobs.unclaimed(TOPIC, 3, 3000) == []


def test_only_messages_older_than_the_oldest_left_are_lost(world: World) -> None:
    for number in range(3):
        world.at(START + number)
        world.create(ONE, f"r{number}")
    world.client.rpop(TOPIC + "\x06\x163")
    world.store.jobs.unclaimed(TOPIC, 3, 3000)
    world.at(START + 10_000)
    assert [job.run_id for job, _ in world.store.jobs.unclaimed(TOPIC, 3, 3000)] == ["r0"]


def test_a_claimed_job_is_not_sent_again(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    assert not world.store.jobs.resend(JobId("r1", "a", 1), TOPIC, 3, str(START))


# -- the ready stage ---------------------------------------------------------------------------------------------


def test_a_topic_has_no_more_messages_than_its_window(world: World) -> None:
    world.create(many(50))
    assert len(world.messages()) == 32
    assert sum(mark == "ready:1" for mark in world.marks().values()) == 18


def test_whoever_settles_a_job_sends_the_next(world: World) -> None:
    world.create(many(33))
    assert world.marks()["s032"] == "ready:1"
    world.claim("s000")
    assert world.marks()["s032"] == "ready:1"  # a claimed job is unfinished
    world.record("s000")
    assert world.marks()["s032"] == "queued:1"


def test_a_critical_job_overtakes_what_is_only_ready(world: World) -> None:
    world.create(many(40), "r1")
    world.create(many(1, priority="critical"), "r2")
    world.claim("s000", run_id="r1")
    world.record("s000", run_id="r1")
    assert world.marks("r2") == {"s000": "queued:1"}
    assert world.marks("r1")["s032"] == "ready:1"


def test_tenants_take_turns(world: World) -> None:
    world.create(many(40), "r1", "big")
    world.create(many(2), "r2", "small")
    world.create(many(2), "r3", "tiny")
    settled = []
    for number in range(4):
        world.claim(f"s{number:03}", run_id="r1")
        world.record(f"s{number:03}", run_id="r1")
        settled.append(ids_of(world.messages())[-1].partition(":")[0])
    assert settled == ["r1", "r2", "r3", "r1"]


def settle_oldest(world: World) -> str:
    """The oldest message is claimed and recorded; the id of its run."""
    job = JobId.parse(ids_of([world.client.rpop(TOPIC + "\x06\x163")])[0])
    assert job is not None
    world.claim(job.step, run_id=job.run_id)
    world.record(job.step, run_id=job.run_id)
    return job.run_id


def test_a_tenant_of_weight_three_has_three_jobs_in_each_turn(world: World) -> None:
    world.store.runs._weights = {"big": 3}
    world.create(many(50), "r1", "big")
    world.create(many(8), "r2", "small")
    order = "".join(settle_oldest(world)[1] for _ in range(44))
    assert order == "1" * 32 + "1112" * 3


def test_what_a_tenant_submits_first_delays_another_by_its_window_only(world: World) -> None:
    for number in range(3):
        world.create(many(100), f"a{number}", "first")
    world.create(many(20), "b0", "second")
    order = [settle_oldest(world)[0] for _ in range(32 + 2 * 20)]
    assert [place for place, run in enumerate(order) if run == "b"] == [32 + 2 * turn + 1 for turn in range(20)]


# -- paused queues -----------------------------------------------------------------------------------------------


def test_nothing_of_a_paused_queue_can_be_taken_or_sent(world: World) -> None:
    world.create(many(33))
    assert world.store.queues.pause(TOPIC, Act("ann", "t", "the disk is full"))
    assert not world.store.queues.pause(TOPIC, Act("bob", "t", "too"))
    assert world.messages() == []
    assert world.store.queues.aside([TOPIC]) == {TOPIC: 32}
    world.claim("s000")
    world.record("s000")
    world.create(ONE, "r2")
    world.store.queues.set_windows({TOPIC: 64})
    world.store.jobs.release(TOPIC)
    assert world.messages() == []
    assert world.marks("r2") == {"a": "ready:1"}
    assert world.store.queues.paused() == {TOPIC: Pause(START, "ann", "the disk is full")}


def test_a_resumed_queue_goes_on_in_its_order_by_the_same_script_and_tells_why(world: World) -> None:
    world.create(many(33))
    world.create("steps: {a: {topic: job.t, priority: critical}}", "r2")
    before = world.messages()
    world.store.queues.set_windows({TOPIC: 40})
    world.store.queues.pause(TOPIC, Act("ann", "t"))
    world.at(START + 60_000)
    assert world.store.jobs.unclaimed(TOPIC, 3, 3000) == []
    assert world.store.queues.resume(TOPIC, Act("ann", "t"))
    assert not world.store.queues.resume(TOPIC, Act("ann", "t"))
    assert world.messages()[:32] == before
    assert world.marks()["s032"] == "queued:1"
    assert world.marks("r2") == {"a": "queued:1"}
    told = [(e["type"], e.get("data", {}).get("reason")) for e in world.store.runs.timeline("r2", 1, 100)]
    assert told[-2:] == [("step.ready", "queue_resumed"), ("step.queued", None)]
    put_back = [
        e for e in world.store.runs.timeline("r1", 1, 300) if e.get("data") == {"reason": "queue_resumed", "by": "ann"}
    ]
    assert [event["step_id"] for event in put_back] == [f"s{number:03}" for number in range(33)]
    assert world.store.jobs.unclaimed(TOPIC, 3, 3000) == []


def test_a_message_cancelled_while_its_queue_is_paused_is_not_told_of(world: World) -> None:
    workflow, _ = world.new(ONE)
    world.create(ONE)
    world.store.queues.pause(TOPIC, Act("ann", "t"))
    seen = world.snapshot()
    world.store.runs.apply(seen.run, plan_cancel(workflow, seen.run, seen.now, "ann", None))
    world.store.queues.resume(TOPIC, Act("ann", "t"))
    assert "queue_resumed" not in str(world.store.runs.timeline("r1", 1, 100))


def test_a_larger_window_lets_more_through(world: World) -> None:
    world.create(many(50))
    world.store.queues.set_windows({TOPIC: 40})
    world.store.jobs.release(TOPIC)
    assert len(world.messages()) == 40


def test_a_new_job_does_not_overtake_those_that_wait_though_there_is_room(world: World) -> None:
    world.create(many(33), "r1")
    world.store.queues.set_windows({TOPIC: 40})
    world.create(ONE, "r2")
    assert ids_of(world.messages())[-2:] == ["r1:s032@1", "r2:a@1"]


def test_of_the_jobs_of_one_plan_the_most_urgent_get_what_room_there_is(world: World) -> None:
    world.create(many(31), "r1")
    world.create("steps: {late: {topic: job.t, priority: batch}, soon: {topic: job.t, priority: critical}}", "r2")
    assert world.marks("r2") == {"late": "ready:1", "soon": "queued:1"}


def test_a_job_that_finds_room_is_not_parked(world: World) -> None:
    world.create(ONE)
    assert world.client.exists(world.store.keys.parked(TOPIC), world.store.keys.turns(TOPIC)) == 0


def test_a_cancelled_ready_job_is_never_sent(world: World) -> None:
    world.create(many(33))
    seen = world.snapshot()
    world.store.runs.apply(seen.run, plan_cancel(world.workflow, seen.run, seen.now, "bob", None))
    world.store.jobs.release(TOPIC)
    assert world.marks()["s032"] == "skipped:1"
    assert "r1:s032@1" not in ids_of(world.messages())
    assert world.client.hlen(world.store.keys.parked(TOPIC)) == 0


# -- guards ------------------------------------------------------------------------------------------------------


def test_without_its_state_guard_a_claim_runs_a_job_twice(world_without: Callable[..., World]) -> None:
    world = world_without(("claim", "step_queued"))
    world.create(ONE)
    world.claim("a", nonce="first")
    assert world.claim("a", nonce="second").word is ClaimReply.CLAIMED


def test_without_its_state_guard_a_late_result_overwrites(world_without: Callable[..., World]) -> None:
    world = world_without(("record_result", "attempt_running"))
    world.create("steps: {a: {topic: job.t, timeout_sec: 1, retry: {max_retries: 1}}}")
    world.claim("a")
    world.at(START + 1000)
    world.advance()
    world.record("a")
    assert world.marks() == {"a": "succeeded:1"}


def test_without_the_epoch_guard_a_claim_runs_what_policy_now_denies(world_without: Callable[..., World]) -> None:
    world = world_without(("claim", "policy_epoch"))
    world.create(ONE)
    world.store.policies.publish("other", "{default_decision: deny, rules: []}", "test")
    assert world.claim("a").word is ClaimReply.CLAIMED


# -- small scripts -----------------------------------------------------------------------------------------------


def test_calls_for_the_coordinator_do_not_pile_up(world: World) -> None:
    assert world.store.wakeups.ring()
    assert not world.store.wakeups.ring()
    assert len(world.messages("cordum.coordinator")) == 1


def test_a_run_set_aside_comes_back_when_nobody_commits(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.record("a")
    assert world.store.wakeups.take_due(10) == ["r1"]
    assert world.store.wakeups.take_due(10) == []
    world.at(START + 2000)
    assert world.store.wakeups.take_due(10) == ["r1"]


def test_once_hands_a_name_out_once_over_all_attempts(world: World) -> None:
    world.create("steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 0}}}")
    world.claim("a")
    assert world.store.jobs.once(JobId("r1", "a", 1), "mail")
    assert world.store.jobs.once(JobId("r1", "a", 1), "mail")  # the same attempt again: it never heard the answer
    world.record("a", outcome=OutcomeClass.RETRYABLE)
    world.advance()
    world.claim("a", attempt=2)
    assert not world.store.jobs.once(JobId("r1", "a", 2), "mail")
    assert world.store.jobs.once(JobId("r1", "a", 2), "sms")


def test_a_first_success_writes_no_facts_that_only_failures_need(world: World) -> None:
    world.create(ONE)
    world.claim("a")
    world.record("a")
    kept = world.everything()["cordum:run:{r1}:facts"]
    assert not {"a#outcome", "a#failure", "a#retry_after_ms"} & set(kept)
    assert world.snapshot().run.steps["a"].completed_at == START


def test_a_success_takes_back_what_an_earlier_attempt_said_of_its_failure(world: World) -> None:
    world.create("steps: {a: {topic: job.t, retry: {max_retries: 1, initial_backoff_sec: 0}}}")
    world.claim("a")
    world.record("a", outcome=OutcomeClass.RETRYABLE)
    world.advance()
    world.claim("a", attempt=2)
    world.record("a", attempt=2)
    state = world.snapshot().run.steps["a"]
    assert (state.failure, state.outcome) == (None, OutcomeClass.SUCCESS)
