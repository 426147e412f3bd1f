"""The fast path with real workers of each pool: what Celery's users see of it, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cordum.domain.routing import is_direct
from cordum.redis_address import RedisAddress
from cordum.store.envelope import job_message
from tests.cells import FAST, Cell, eventually
from tests.execution.test_workers import push

POOLS = ("solo", "threads", "prefork")
every_pool = pytest.mark.parametrize("pool", POOLS)
concurrent_pools = pytest.mark.parametrize("pool", ["threads", "prefork"])


@pytest.fixture
def plain_cell(redis_address: RedisAddress, tmp_path: Path) -> Any:
    """The same workers with the fast path switched off."""
    settings = {**FAST, "CORDUM_TAKEOFF": "off"}
    one = Cell(redis_address, tmp_path, "handlers_for_tests", Path(__file__).parent, settings)
    yield one
    one.end()


def queues_in(shown: Any) -> set[str]:
    """What a worker consumes beside its own queue."""
    return {queue["name"] for queue in shown if not is_direct(queue["name"])}


def answer(reply: dict[str, Any] | None) -> Any:
    """What the only worker said."""
    assert reply is not None
    assert len(reply) == 1, reply
    return next(iter(reply.values()))


def heard(ask: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The worker's answer to a command; one that is still starting does not hear it."""
    return eventually(lambda: ask(*args, **options, reply=True, timeout=2, limit=1), "an answer")


def commands(cell: Any, name: str) -> int:
    stats = cell.engine.store.connection.read(lambda client: client.info("commandstats"))
    return int(stats.get(f"cmdstat_{name}", {}).get("calls", 0))


def ids(requests: Any) -> set[str]:
    return {request["id"] for request in requests}


# -- which path --------------------------------------------------------------------------------------------------


def test_a_pools_process_does_not_talk_to_redis(cell: Any) -> None:
    cell.worker("job.t.sockets", pool="prefork", concurrency=1)
    for _ in range(2):
        run = cell.ended(cell.start("s: {topic: job.t.sockets}"))
        assert run["steps"]["s"]["output"] == 0


def test_switched_off_it_does(plain_cell: Any) -> None:
    """The control of the test before."""
    plain_cell.worker("job.t.sockets", pool="prefork", concurrency=1)
    run = plain_cell.ended(plain_cell.start("s: {topic: job.t.sockets}"))
    assert run["steps"]["s"]["output"] > 0


@every_pool
def test_without_it_jobs_end_the_same(plain_cell: Any, pool: str) -> None:
    plain_cell.worker("job.t.echo", "job.t.flaky", "job.t.fatal", pool=pool)
    run_id = plain_cell.start(
        """a: {topic: job.t.echo, input: {x: []}}, b: {topic: job.t.flaky, retry: {max_retries: 1}},
           c: {topic: job.t.fatal}"""
    )
    steps = plain_cell.ended(run_id)["steps"]
    assert [steps[step]["status"] for step in "abc"] == ["succeeded", "succeeded", "failed"]
    assert (steps["a"]["output"], steps["b"]["output"]) == ({"x": []}, 2)


def test_both_paths_work_on_the_same_queue(cell: Any, plain_cell: Any) -> None:
    cell.worker("job.t.gated", name="fast", concurrency=1)
    plain_cell.worker("job.t.gated", name="plain", concurrency=1)
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.t.gated}}" for n in range(4)))
    eventually(lambda: len(cell.lines("gated")) == 2, "a job on each of them")
    (cell.directory / "gate").touch()
    run = cell.ended(run_id)
    assert run["status"] == "succeeded"
    assert len({step["worker"] for step in run["steps"].values()}) == 2
    assert len(cell.lines("gated")) == 4


def test_jobs_are_taken_claimed_and_recorded_together(cell: Any) -> None:
    cell.worker("job.t.echo", pool="threads", concurrency=8)
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.t.echo}}" for n in range(32)))
    before = commands(cell, "brpop")
    assert cell.ended(run_id)["status"] == "succeeded"
    assert commands(cell, "brpop") - before < 16


# -- what Celery's users see -------------------------------------------------------------------------------------


@every_pool
def test_a_job_is_celerys_current_task_and_its_signals_are_sent(cell: Any, pool: str) -> None:
    cell.worker("job.t.current", "job.t.flaky", "job.t.broken", pool=pool, concurrency=1)
    retry = "{max_retries: 1}"
    run_id = cell.start(
        f"a: {{topic: job.t.current}}, b: {{topic: job.t.flaky, retry: {retry}}}, c: {{topic: job.t.broken}}"
    )
    steps = cell.ended(run_id)["steps"]
    assert steps["a"]["output"] == ["job.t.current", f"{run_id}:a@1", 0]
    assert cell.lines("success ") == ["success job.t.current", "success job.t.flaky"]
    assert cell.lines("retry ") == ["retry job.t.flaky"]
    assert cell.lines("failure ") == ["failure job.t.broken"]
    assert len(cell.lines("prerun ")) == len(cell.lines("postrun ")) == 4


@concurrent_pools
def test_inspect_tells_what_runs_what_is_consumed_and_how_much_was_done(cell: Any, control: Any, pool: str) -> None:
    worker = cell.worker("job.t.gated", "job.t.echo", pool=pool, concurrency=2)
    ask = control.inspect(timeout=10, limit=1)
    for _ in range(3):
        cell.ended(cell.start("s: {topic: job.t.echo}"))
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.t.gated}}" for n in range(4)))
    running = {f"{run_id}:s0@1", f"{run_id}:s1@1"}
    eventually(lambda: len(cell.lines("gated")) == 2, "the start of two jobs")
    active = eventually(lambda: len(found := answer(ask.active())) == 2 and found, "two active jobs")
    assert ids(active) == running
    for request in active:
        assert (request["name"], request["args"], request["kwargs"]) == ("job.t.gated", [request["id"]], {})
        assert request["delivery_info"]["routing_key"] == "job.t.gated"
        assert (request["worker_pid"] == worker.pid) == (pool == "threads")
        assert request["time_start"]
    # Nothing is hoarded: what does not run is with nobody.
    assert answer(ask.reserved()) == []
    assert set(answer(ask.query_task(*running))) == running
    assert queues_in(answer(ask.active_queues())) == {"job.t.gated", "job.t.echo"}
    assert answer(ask.stats())["total"] == {"job.t.echo": 3, "job.t.gated": 2}
    (cell.directory / "gate").touch()
    cell.ended(run_id)
    eventually(lambda: answer(ask.active()) == [], "the end of the jobs")
    assert answer(ask.stats())["total"] == {"job.t.echo": 3, "job.t.gated": 4}


def test_inspect_of_a_solo_worker_answers_between_jobs(cell: Any, control: Any) -> None:
    cell.worker("job.t.echo", pool="solo")
    ask = control.inspect(timeout=10, limit=1)
    cell.ended(cell.start(", ".join(f"s{n}: {{topic: job.t.echo}}" for n in range(5))))
    assert answer(ask.active()) == []
    assert answer(ask.reserved()) == []
    assert queues_in(answer(ask.active_queues())) == {"job.t.echo"}
    assert answer(ask.stats())["total"] == {"job.t.echo": 5}


@every_pool
def test_consumers_are_added_and_cancelled_by_remote_control(cell: Any, control: Any, pool: str) -> None:
    cell.worker("job.t.echo", pool=pool, concurrency=1)
    ask = control.inspect(timeout=10, limit=1)

    def queues() -> set[str]:
        return queues_in(answer(ask.active_queues()))

    heard(control.add_consumer, "job.t.current")
    assert cell.ended(cell.start("s: {topic: job.t.current}"))["status"] == "succeeded"
    assert queues() == {"job.t.echo", "job.t.current"}
    heard(control.cancel_consumer, "job.t.echo")
    eventually(lambda: queues() == {"job.t.current"}, "the end of consuming")
    left = cell.start("s: {topic: job.t.echo}")
    for n in range(3):
        assert cell.ended(cell.start(f"s{n}: {{topic: job.t.current}}"))["status"] == "succeeded"
    assert cell.run(left)["steps"]["s"]["status"] == "queued"
    assert cell.lines("echo") == []
    heard(control.add_consumer, "job.t.echo")
    assert cell.ended(left)["status"] == "succeeded"


@every_pool
def test_a_job_revoked_before_it_was_taken_never_runs(
    cell: Any, control: Any, events: dict[str, set[str]], pool: str
) -> None:
    cell.worker("job.t.echo", pool=pool, concurrency=1, extra=["-E"])
    eventually(lambda: events[""], "a sign of the worker")
    cell.ended(cell.start("s: {topic: job.t.echo}"))
    run_id = cell.start("a: {topic: job.t.echo}, b: {topic: job.t.echo, depends_on: [a]}")
    job_id = f"{run_id}:b@1"
    heard(control.revoke, job_id)
    run = cell.ended(run_id)
    assert run["steps"]["b"]["status"] in ("cancelled", "succeeded")
    push(cell, "job.t.echo", job_message(job_id, "job.t.echo", 0))
    eventually(lambda: "task-revoked" in events[job_id], "the event")
    assert cell.executed().count(job_id) <= (run["steps"]["b"]["status"] == "succeeded")


def test_a_time_limit_set_by_remote_control_ends_a_job(cell: Any, control: Any) -> None:
    cell.worker("job.t.limited", pool="prefork", concurrency=1)
    heard(control.time_limit, "job.t.limited", hard=0.5)
    run_id = cell.start("s: {topic: job.t.limited}")
    run = cell.ended(run_id)
    assert (run["status"], run["steps"]["s"]["output"]) == ("succeeded", 2)
    assert cell.events(run_id).count("step.worker_lost") == 1


def test_a_soft_time_limit_is_a_time_out(cell: Any, control: Any) -> None:
    cell.worker("job.t.limited", pool="prefork", concurrency=1)
    heard(control.time_limit, "job.t.limited", soft=0.5)
    run = cell.ended(cell.start("s: {topic: job.t.limited}"))
    assert (run["status"], run["steps"]["s"]["error"]["code"]) == ("timed_out", "timeout")


@concurrent_pools
def test_a_rate_limit_is_kept_by_celery_and_others_fly_on(cell: Any, control: Any, pool: str) -> None:
    cell.worker("job.t.echo", "job.t.current", pool=pool, concurrency=2)
    heard(control.rate_limit, "job.t.current", "2/m")
    slow = cell.start(", ".join(f"s{n}: {{topic: job.t.current}}" for n in range(4)))
    for n in range(5):
        assert cell.ended(cell.start(f"s{n}: {{topic: job.t.echo}}"))["status"] == "succeeded"
    done = [step["status"] for step in cell.run(slow)["steps"].values()].count("succeeded")
    assert done <= 2
    heard(control.rate_limit, "job.t.current", "0")
    assert cell.ended(slow)["status"] == "succeeded"


def test_a_grown_pool_takes_more(cell: Any, control: Any) -> None:
    cell.worker("job.t.gated", pool="prefork", concurrency=1)
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.t.gated}}" for n in range(3)))
    eventually(lambda: len(cell.lines("gated")) == 1, "the start of a job")
    heard(control.pool_grow, 1)
    eventually(lambda: len(cell.lines("gated")) == 2, "the start of another one")
    (cell.directory / "gate").touch()
    assert cell.ended(run_id)["status"] == "succeeded"


@concurrent_pools
def test_a_busy_worker_leaves_the_rest_to_an_idle_one(cell: Any, pool: str) -> None:
    cell.worker("job.t.gated", pool=pool, concurrency=2, name="first")
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.t.gated}}" for n in range(4)))
    eventually(lambda: len(cell.lines("gated")) == 2, "the start of two jobs")
    cell.worker("job.t.gated", pool=pool, concurrency=2, name="second")
    eventually(lambda: len(cell.lines("gated")) == 4, "the start of the others")
    (cell.directory / "gate").touch()
    run = cell.ended(run_id)
    workers = [step["worker"] for step in run["steps"].values()]
    assert sorted(workers.count(one) for one in set(workers)) == [2, 2]
