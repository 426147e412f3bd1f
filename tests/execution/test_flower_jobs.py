"""What Flower shows of real runs, and what its buttons do to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from cordum.redis_address import RedisAddress
from cordum.store.envelope import job_message
from tests.cells import eventually
from tests.execution.flowers import Flower, flower_of, hears

TOPICS = tuple(f"job.t.{name}" for name in ("echo", "broken", "fatal", "flaky", "gated", "until_stopped"))
PAYLOAD = "c4nary-input"
PASSWORD = "c4nary-password"


@pytest.fixture
def flower(cell: Any) -> Flower:
    """A Flower that hears the one worker there is."""
    return beside(cell, "threads")


def beside(cell: Any, pool: str) -> Flower:
    cell.worker(*TOPICS, pool=pool, extra=["-E"])
    found = flower_of(cell)
    eventually(hears(found), "a sign of the worker")
    return found


def test_jobs_stand_under_their_topic_with_run_and_step(cell: Any, flower: Flower) -> None:
    run_id = cell.start(
        f"""good: {{topic: job.t.echo, input: {{secret: {PAYLOAD}}}}},
            bad: {{topic: job.t.broken}},
            fatal: {{topic: job.t.fatal}}"""
    )
    run = cell.ended(run_id)
    assert run["steps"]["good"]["output"] == {"secret": PAYLOAD}
    wanted = {
        f"{run_id}:good@1": ("job.t.echo", "SUCCESS"),
        f"{run_id}:bad@1": ("job.t.broken", "FAILURE"),
        f"{run_id}:fatal@1": ("job.t.fatal", "FAILURE"),
    }
    for job_id, (topic, state) in wanted.items():
        task = flower.state(job_id, state)
        assert (task["name"], task["args"], task["kwargs"]) == (topic, f"({job_id})", "{}")
        page = flower.ask("GET", f"/task/{quote(job_id)}")
        assert page.status == 200
        assert job_id in page.text
    assert set(flower.tasks()) == set(wanted)


def test_it_shows_no_payload_and_no_password(
    cell_on: Callable[[RedisAddress], Any], fresh_redis: Callable[..., Any]
) -> None:
    address: RedisAddress = fresh_redis().address
    with Redis(**address.redis_py_kwargs()) as client:
        client.config_set("requirepass", PASSWORD)
    cell = cell_on(RedisAddress.parse(address.url().replace("unix://", f"unix://:{PASSWORD}@")))
    flower = beside(cell, "threads")
    run_id = cell.start(f"good: {{topic: job.t.echo, input: {{secret: {PAYLOAD}}}}}")
    assert cell.ended(run_id)["steps"]["good"]["output"] == {"secret": PAYLOAD}
    job_id = f"{run_id}:good@1"
    worker = flower.state(job_id, "SUCCESS")["worker"]
    paths = ["/", "/tasks", "/broker", "/api/workers?refresh=1", "/api/tasks", "/api/queues/length", "/metrics"]
    paths += [f"/task/{quote(job_id)}", f"/worker/{quote(worker)}", f"/api/task/info/{quote(job_id)}"]
    answers = {path: flower.ask("GET", path) for path in paths}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(paths, 200)
    assert "broker_url" in answers[f"/worker/{quote(worker)}"].text
    said = cell.logs() + "".join(answer.text for answer in answers.values())
    assert PASSWORD not in said
    assert PAYLOAD not in said


def test_a_dropped_duplicate_is_no_success(cell: Any, flower: Flower) -> None:
    run_id = cell.start("s: {topic: job.t.gated}")
    job_id = f"{run_id}:s@1"
    eventually(lambda: cell.lines("gated"), "the start of the job")
    push(cell, "job.t.gated", job_message(job_id, "job.t.gated", 0))
    push(cell, "job.t.gated", job_message("c1-unknown:s@1", "job.t.gated", 0))
    eventually(lambda: cell.logs().count("STALE") == 2, "both to be dropped")
    flower.state("c1-unknown:s@1", "RECEIVED")
    assert flower.state(job_id, "STARTED")["succeeded"] is None
    (cell.directory / "gate").touch()
    assert cell.ended(run_id)["status"] == "succeeded"
    flower.state(job_id, "SUCCESS")
    assert flower.states() == {job_id: "SUCCESS", "c1-unknown:s@1": "RECEIVED"}


def test_only_workers_that_were_asked_to_send_events(cell: Any, flower: Flower) -> None:
    cell.worker("job.t.async", name="silent")
    run_id = cell.start("quiet: {topic: job.t.async, input: {n: 1}}, loud: {topic: job.t.echo, depends_on: [quiet]}")
    assert cell.ended(run_id)["status"] == "succeeded"
    flower.state(f"{run_id}:loud@1", "SUCCESS")
    assert set(flower.tasks()) == {f"{run_id}:loud@1"}


def test_a_task_applied_without_a_decision_does_nothing(cell: Any, flower: Flower) -> None:
    run_id = cell.start(
        "gate: {type: approval, input: {approval_reason: r, next_effect: e}},s: {topic: job.t.echo, depends_on: [gate]}"
    )
    undecided = f"{run_id}:s@1"
    applied = {"args": [undecided], "queue": "job.t.echo", "task_id": undecided}
    # Flower loads no handlers, and so knows no topic.
    assert flower.ask("POST", "/api/task/apply/job.t.echo", applied).status == 404
    assert flower.ask("POST", "/api/task/async-apply/job.t.echo", applied).status == 404
    # What it need not know it sends.
    sent = flower.ask("POST", "/api/task/send-task/job.t.echo", applied)
    assert (sent.status, sent.json) == (200, {"task-id": undecided})
    eventually(lambda: "STALE" in cell.logs(), "the worker to drop it")
    flower.state(undecided, "STARTED")
    assert cell.lines("echo") == []
    assert cell.run(run_id)["steps"]["s"]["status"] == "pending"


def test_senseless_tasks_do_not_hurt_the_worker(cell: Any, flower: Flower) -> None:
    unknown = "c1-0:s@1"
    senseless: list[dict[str, Any]] = [
        {"args": []},
        {"args": [7]},
        {"args": [unknown, "more"]},
        {"args": [unknown], "kwargs": {"x": 1}},
        {"args": ["not a job id"]},
        {"args": [unknown], "serializer": "pickle"},
    ]
    for task in senseless:
        sent = flower.ask("POST", "/api/task/send-task/job.t.echo", task | {"queue": "job.t.echo"})
        assert sent.status == 200
    run_id = cell.start("s: {topic: job.t.echo}")
    assert cell.ended(run_id)["status"] == "succeeded"
    assert cell.lines("echo") == [f"echo {run_id}:s@1"]
    flower.state(f"{run_id}:s@1", "SUCCESS")
    assert list(flower.states().values()).count("SUCCESS") == 1


@pytest.mark.parametrize("terminate", ["true", "false"])
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_revoking_a_running_job_cancels_its_step(cell: Any, pool: str, terminate: str) -> None:
    flower = beside(cell, pool)
    run_id = cell.start("s: {topic: job.t.until_stopped}")
    job_id = f"{run_id}:s@1"
    eventually(lambda: cell.lines("started"), "the start of the job")
    assert flower.ask("POST", f"/api/task/revoke/{quote(job_id)}?terminate={terminate}").status == 200
    step = cell.ended(run_id)["steps"]["s"]
    assert (step["status"], step["attempts"]) == ("cancelled", 1)
    # A child that was ended is told of as such, a job that ended by itself as one whose result came too late.
    flower.state(job_id, "REVOKED" if (pool, terminate) == ("prefork", "true") else "FAILURE")


def test_an_attempt_that_is_followed_by_another_shows_retry(cell: Any, flower: Flower) -> None:
    run_id = cell.start("s: {topic: job.t.flaky, retry: {max_retries: 1}}")
    assert cell.ended(run_id)["steps"]["s"]["output"] == 2
    flower.state(f"{run_id}:s@1", "RETRY")
    flower.state(f"{run_id}:s@2", "SUCCESS")


def push(cell: Any, queue: str, message: str) -> None:
    cell.engine.store.connection.read(lambda client: client.lpush(queue, message))
