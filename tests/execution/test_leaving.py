"""How real workers of each pool end: nothing is lost, nothing waits for a lease. Leases here outlast every test."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cordum.domain.routing import queue_list

POOLS = ("solo", "threads", "prefork")
every_pool = pytest.mark.parametrize("pool", POOLS)
# No lease of a test's worker runs out before the test has failed.
LONG_LEASE = {"lease_ms": 600_000}
QUICK = "job.e.quick"


def waiting(cell: Any, topic: str = QUICK) -> list[str]:
    """The job ids on a topic's queue, oldest first."""
    messages = cell.engine.store.connection.read(lambda client: client.lrange(queue_list(topic, 3), 0, -1))
    return [text.split('"id":"', 1)[1].split('"', 1)[0] for text in reversed(messages)]


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def tell_to_end(cell: Any, worker: subprocess.Popen[bytes], eventually: Callable[..., Any], *signals: int) -> None:
    """Signals one after the other, each when the one before has been heard."""
    heard = cell.logs().count("shutdown (MainProcess)")
    for number, one in enumerate(signals, 1):
        worker.send_signal(one)
        if number < len(signals):
            eventually(lambda n=number: cell.logs().count("shutdown (MainProcess)") >= heard + n, "the signal")


@every_pool
def test_an_idle_worker_ends_at_once(ending_cell: Any, pool: str) -> None:
    cell = ending_cell(**LONG_LEASE)
    worker = cell.worker(QUICK, pool=pool)
    worker.terminate()
    assert worker.wait(20) == 0
    assert cell.engine.store.workers.known() == {}
    assert "given to other workers" not in cell.logs()


@every_pool
def test_jobs_that_end_within_the_grace_are_done_where_they_are(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    cell = ending_cell(**LONG_LEASE)
    worker = cell.worker("job.e.gated", pool=pool, concurrency=2)
    runs = [cell.start("s: {topic: job.e.gated}") for _ in range(1 if pool == "solo" else 2)]
    eventually(lambda: len(cell.lines("gated")) == len(runs), "the start of the jobs")
    tell_to_end(cell, worker, eventually, signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in cell.logs(), "the signal")
    (cell.directory / "gate").touch()
    assert worker.wait(20) == 0
    for run_id in runs:
        run = cell.ended(run_id)
        assert (run["status"], run["steps"]["s"]["attempts"]) == ("succeeded", 1)
    assert "given to other workers" not in cell.logs()


@every_pool
def test_a_job_longer_than_the_grace_goes_to_another_worker(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    cell = ending_cell(**LONG_LEASE, shutdown_grace_sec=1, max_losses=1)
    worker = cell.worker("job.e.stuck", pool=pool, name="first")
    run_id = cell.start("s: {topic: job.e.stuck}")
    (begun,) = eventually(lambda: cell.lines("stuck"), "the start of the job")
    worker.terminate()
    assert worker.wait(20) == 0
    assert not is_alive(int(begun.split()[-1]))
    cell.worker("job.e.stuck", name="second")
    run = cell.ended(run_id)
    assert (run["status"], run["steps"]["s"]["output"]) == ("succeeded", 2)
    # Not held against the job, which a single loss would have ended here.
    assert cell.events(run_id).count("step.worker_lost") == 1


def test_without_its_goodbye_the_job_would_wait_for_the_lease(ending_cell: Any, eventually: Callable[..., Any]) -> None:
    """The control: what the tests beside this one would see if leaving freed nothing."""
    cell = ending_cell(**LONG_LEASE)
    worker = cell.worker("job.e.stuck", name="first")
    run_id = cell.start("s: {topic: job.e.stuck}")
    eventually(lambda: cell.lines("stuck"), "the start of the job")
    worker.kill()
    worker.wait()
    cell.worker("job.e.stuck", name="second")
    for _ in range(20):
        cell.engine.coordinate()
    assert cell.run(run_id)["steps"]["s"]["status"] == "running"


TWICE, QUIT = (signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,)


@pytest.mark.parametrize(
    ("pool", "signals"),
    [
        *((pool, signals) for pool in POOLS for signals in (TWICE, QUIT)),
        ("threads", (signal.SIGINT, signal.SIGINT)),
        ("prefork", (signal.SIGTERM, signal.SIGQUIT)),
    ],
)
def test_a_worker_in_a_hurry_gives_its_jobs_away_at_once(
    ending_cell: Any, eventually: Callable[..., Any], pool: str, signals: tuple[int, ...]
) -> None:
    cell = ending_cell(**LONG_LEASE, shutdown_grace_sec=600)
    worker = cell.worker("job.e.stuck", pool=pool, name="first")
    run_id = cell.start("s: {topic: job.e.stuck}")
    (begun,) = eventually(lambda: cell.lines("stuck"), "the start of the job")
    tell_to_end(cell, worker, eventually, *signals)
    assert worker.wait(20) == 0
    assert not is_alive(int(begun.split()[-1]))
    assert "step.worker_lost" in cell.events(run_id)
    cell.worker("job.e.stuck", name="second")
    assert cell.ended(run_id)["steps"]["s"]["output"] == 2


def test_a_remapped_term_is_a_quit_and_an_interrupt_still_lets_jobs_finish(
    ending_cell: Any, eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    cell = ending_cell(**LONG_LEASE, shutdown_grace_sec=600, stop_grace_sec=1)
    polite = cell.worker("job.e.gated", pool="prefork", name="polite")
    gated = cell.start("s: {topic: job.e.gated}")
    eventually(lambda: cell.lines("gated"), "the start of the job")
    tell_to_end(cell, polite, eventually, signal.SIGINT)
    eventually(lambda: "Warm shutdown" in cell.logs(), "the signal")
    (cell.directory / "gate").touch()
    assert polite.wait(20) == 0
    assert cell.ended(gated)["steps"]["s"]["attempts"] == 1

    hurried = cell.worker("job.e.stuck", pool="prefork", name="hurried")
    cancelled = cell.start("s: {topic: job.e.stuck}")
    (begun,) = eventually(lambda: cell.lines("stuck"), "the start of the job")
    cell.cancel(cancelled)
    eventually(lambda: not is_alive(int(begun.split()[-1])), "the end of its process")
    abandoned = cell.start("s: {topic: job.e.stuck}")
    eventually(lambda: len(cell.lines("stuck")) == 2, "the start of the job")
    hurried.terminate()
    assert hurried.wait(20) == 0
    assert "step.worker_lost" in cell.events(abandoned)


@every_pool
def test_workers_that_end_in_the_middle_of_a_queue_leave_it_in_order(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    """Nothing is found lost: an hour would have to pass before anything counted as that."""
    cell = ending_cell(**LONG_LEASE, message_grace_ms=3_600_000, window_minimum=500)
    steps = ", ".join(f"s{n:03}: {{topic: {QUICK}}}" for n in range(240))
    run_id = cell.start(steps)
    sent = waiting(cell)
    assert len(sent) == 240
    for _ in range(4):
        before = len(cell.lines("quick"))
        worker = cell.worker(QUICK, pool=pool, concurrency=1)
        eventually(lambda n=before: len(cell.lines("quick")) >= n + 12, "some jobs")
        worker.terminate()
        assert worker.wait(20) == 0
        done = [line.split()[1] for line in cell.lines("quick")]
        assert done + waiting(cell) == sent
    assert len(done) < 240
    cell.worker(QUICK, pool=pool)
    run = cell.ended(run_id)
    assert run["status"] == "succeeded"
    done = [line.split()[1] for line in cell.lines("quick")]
    assert sorted(done) == sorted(sent)
    assert {step["attempts"] for step in run["steps"].values()} == {1}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_full_worker_that_ends_takes_nothing_more(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    cell = ending_cell(**LONG_LEASE)
    worker = cell.worker("job.e.gated", pool=pool, concurrency=2)
    run_id = cell.start(", ".join(f"s{n}: {{topic: job.e.gated}}" for n in range(6)))
    eventually(lambda: len(cell.lines("gated")) == 2, "the start of two jobs")
    worker.terminate()
    eventually(lambda: "Warm shutdown" in cell.logs(), "the signal")
    (cell.directory / "gate").touch()
    assert worker.wait(20) == 0
    begun = [line.split()[1] for line in cell.lines("gated")]
    assert len(begun) == 2
    assert waiting(cell, "job.e.gated") == [f"{run_id}:s{n}@1" for n in range(2, 6)]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_what_comes_while_a_worker_finishes_stays_for_others(
    ending_cell: Any, eventually: Callable[..., Any], pool: str
) -> None:
    """A free slot has a blocking pop under way; what that brings must not wait until the last job has ended."""
    cell = ending_cell(**LONG_LEASE, message_grace_ms=3_600_000)
    worker = cell.worker("job.e.gated", pool=pool, concurrency=2)
    first = cell.start("s: {topic: job.e.gated}")
    eventually(lambda: cell.lines("gated"), "the start of the job")
    worker.terminate()
    eventually(lambda: "Warm shutdown" in cell.logs(), "the signal")
    second = cell.start("s: {topic: job.e.gated}")
    eventually(lambda: "takes nothing more" in cell.logs(), "the end of consuming")
    assert waiting(cell, "job.e.gated") == [f"{second}:s@1"]
    assert worker.poll() is None
    (cell.directory / "gate").touch()
    assert worker.wait(20) == 0
    assert cell.ended(first)["status"] == "succeeded"
    assert len(cell.lines("gated")) == 1


def test_the_command_shutdown_ends_a_worker_like_a_signal(
    ending_cell: Any, eventually: Callable[..., Any], control: Any
) -> None:
    cell = ending_cell(**LONG_LEASE, shutdown_grace_sec=1)
    worker = cell.worker("job.e.stuck", pool="threads", name="first")
    run_id = cell.start("s: {topic: job.e.stuck}")
    eventually(lambda: cell.lines("stuck"), "the start of the job")
    control.shutdown()
    assert worker.wait(20) == 0
    cell.worker("job.e.stuck", name="second")
    assert cell.ended(run_id)["steps"]["s"]["output"] == 2
