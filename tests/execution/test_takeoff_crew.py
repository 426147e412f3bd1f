"""Jobs of a pool of threads: each begins at once, whatever those before it do, and no error ends a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from celery.concurrency.thread import TaskPool

from cordum.execution.takeoff.crew import Crew

SLOTS = 4


class Job:
    def __init__(self, work: Callable[[], object]) -> None:
        self.run = work


@pytest.fixture
def pool() -> Iterator[TaskPool]:
    pool = TaskPool(limit=SLOTS)
    pool.start()
    yield pool
    pool.stop()


def test_as_many_jobs_run_at_once_as_the_pool_has_threads(pool: TaskPool) -> None:
    together = threading.Barrier(SLOTS + 1)
    crew = Crew(pool)
    for _ in range(SLOTS):
        crew.add(Job(lambda: together.wait(5)))
    together.wait(5)


def test_a_job_beside_long_ones_begins_at_once(pool: TaskPool) -> None:
    held, begun = threading.Event(), threading.Semaphore(0)
    crew = Crew(pool)

    def long() -> None:
        begun.release()
        held.wait(10)

    for _ in range(SLOTS):
        crew.add(Job(long))
        assert begun.acquire(timeout=5)
    held.set()


def test_many_short_jobs_each_run_once(pool: TaskPool) -> None:
    ran: list[int] = []
    done = threading.Event()
    crew = Crew(pool)

    def work(number: int) -> None:
        ran.append(number)
        if len(ran) == 20_000:
            done.set()

    for number in range(20_000):
        crew.add(Job(lambda number=number: work(number)))  # type: ignore[misc]
    assert done.wait(20)
    assert sorted(ran) == list(range(20_000))


def test_an_error_does_not_keep_the_next_job(pool: TaskPool) -> None:
    done = threading.Event()
    crew = Crew(pool)
    crew.add(Job(lambda: 1 / 0))
    crew.add(Job(done.set))
    assert done.wait(5)


def test_a_closed_pool_refuses_a_job_and_does_not_keep_it() -> None:
    pool = TaskPool(limit=1)
    pool.start()
    pool.stop()
    crew = Crew(pool)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            crew.add(Job(lambda: None))
    assert not crew._jobs
