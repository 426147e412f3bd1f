"""One step cancelled by the id of its job, by any number of workers at once, wherever the job is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.store.jobs import LossReply, RecordReply
from tests.engine.hands import Hands

TWO = "{on_failure: continue_independent, steps: {a: {topic: job.t}, b: {topic: job.t}}}"
CHAIN = "{on_failure: continue_independent, steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a]}}}"


def revoke(engine: Engine, job_id: str) -> None:
    engine.cancel_step(job_id, "celery-control", "revoked")


def test_a_running_job_is_cancelled_and_its_worker_told(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.claim(run_id, "a")
    revoke(hands.engine, f"{run_id}:a@1")
    assert hands.statuses(run_id) == {"a": "cancelled", "b": "queued"}
    assert hands.engine.jobs.renew(hands.worker).stops == [f"{run_id}:a@1"]
    assert not hands.engine.jobs.still_running(f"{run_id}:a@1", hands.worker.incarnation)
    assert hands.finish(run_id, "a") == RecordReply.STALE
    hands.work(run_id, "b")
    assert hands.engine.run("default", run_id)["status"] == "cancelled"


def test_the_end_of_its_process_is_no_loss(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.claim(run_id, "a")
    revoke(hands.engine, f"{run_id}:a@1")
    word = hands.engine.jobs.lost(f"{run_id}:a@1", "job.t", hands.worker.incarnation, "terminated")
    assert word is LossReply.STALE
    assert "step.worker_lost" not in hands.events(run_id)


def test_a_queued_job_is_cancelled_and_never_claimed(hands: Hands) -> None:
    run_id = hands.start(TWO)
    revoke(hands.engine, f"{run_id}:a@1")
    assert hands.claim(run_id, "a").word == "STALE"


def test_a_job_that_waits_for_room_is_cancelled_and_its_place_in_line_is_free(hands: Hands) -> None:
    steps = ", ".join(f"s{n:02}: {{topic: job.t}}" for n in range(34))
    run_id = hands.start(f"{{on_failure: continue_independent, steps: {{{steps}}}}}")
    assert hands.events(run_id).count("step.queued") == 32
    revoke(hands.engine, f"{run_id}:s32@1")
    revoke(hands.engine, f"{run_id}:s00@1")
    assert hands.statuses(run_id)["s32"] == "cancelled"
    assert hands.statuses(run_id)["s33"] == "queued"  # in the place of the one that was queued


def test_many_workers_that_hear_it_at_once_cancel_it_once(hands: Hands) -> None:
    run_id = hands.start(CHAIN)
    hands.claim(run_id, "a")
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda _: revoke(hands.engine, f"{run_id}:a@1"), range(24)))
    assert hands.events(run_id).count("step.cancelled") == 1
    assert hands.events(run_id).count("run.cancelled") == 1


def test_what_it_releases_is_committed_with_it(hands: Hands) -> None:
    """Whoever revokes does the coordinator's work of that moment: nobody else is called."""
    run_id = hands.start(
        "{steps: {g: {type: parallel, steps: [x, y], strategy: any, max_parallel: 1}, "
        "x: {topic: job.t}, y: {topic: job.t}}}"
    )
    hands.claim(run_id, "x")
    assert hands.statuses(run_id)["y"] == "pending"
    revoke(hands.engine, f"{run_id}:x@1")
    assert hands.statuses(run_id)["y"] == "queued"


@pytest.mark.parametrize("job_id", ["nonsense", "c1-unknown:a@1", "{run}:nowhere@1", "{run}:a@2", "{run}:a@0"])
def test_what_is_no_open_job_is_left_alone(hands: Hands, job_id: str) -> None:
    run_id = hands.start(TWO)
    before = hands.engine.run("default", run_id)
    revoke(hands.engine, job_id.replace("{run}", run_id))
    assert hands.engine.run("default", run_id) == before


def test_a_result_that_nobody_has_looked_at_yet_is_not_forgotten(hands: Hands) -> None:
    run_id = hands.start(CHAIN)
    hands.claim(run_id, "a")
    job_id = f"{run_id}:a@1"
    hands.engine.jobs.record(job_id, "job.t", hands.worker.incarnation, "n", Outcome(OutcomeClass.SUCCESS))
    revoke(hands.engine, job_id)
    hands.engine.coordinate()
    assert hands.statuses(run_id) == {"a": "succeeded", "b": "queued"}


def test_a_worker_that_leaves_in_order_is_not_counted_against_its_jobs(hands: Hands) -> None:
    run_id = hands.start("{steps: {a: {topic: job.t}}}")
    for attempt in range(1, 6):
        worker = Hands(hands.engine, f"leaver{attempt}")
        assert worker.claim(run_id, "a", attempt).word == "CLAIMED"
        hands.engine.jobs.leave(worker.worker.incarnation)
        hands.engine.coordinate()
    assert hands.statuses(run_id) == {"a": "queued"}
    assert hands.events(run_id).count("step.worker_lost") == 5


def test_a_claim_says_how_many_retries_are_left(hands: Hands) -> None:
    run_id = hands.start("{steps: {a: {topic: job.t, retry: {max_retries: 2, initial_backoff_sec: 0}}}}")
    left = []
    for attempt in (1, 2, 3):
        left.append(hands.claim(run_id, "a", attempt).retries_left)
        hands.finish(run_id, "a", attempt=attempt, kind=OutcomeClass.RETRYABLE)
        hands.engine.coordinate()
    assert left == [2, 1, 0]
