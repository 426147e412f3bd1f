"""That the benchmark ends: results that Celery's client is not told of, runs that never end, and its own death."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from celery import Celery
from celery.exceptions import TimeoutError as NotYet
from celery.result import AsyncResult

from cordum.bench import triage
from cordum.bench.celery_app import close_app, make_app
from cordum.bench.celery_sides import CanvasBout
from cordum.bench.processes import Processes
from cordum.errors import Unavailable
from cordum.redis_address import RedisAddress

STORED = '{"status": "SUCCESS", "result": [7, 7], "task_id": "%s", "traceback": null, "children": []}'


@pytest.fixture
def app(redis_address: RedisAddress) -> Iterator[Celery]:
    broker, backend = (replace(redis_address, db=db).kombu_url() for db in (1, 2))
    made = make_app(broker, backend)
    yield made
    close_app(made)


def store_unheard_after_the_first_reading(app: Celery, result: AsyncResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker stores between the client's reading and its subscription: the message of it reaches nobody."""
    read, get_task_meta = threading.Event(), app.backend.get_task_meta

    def reading(task_id: str, cache: bool = True) -> object:
        found = get_task_meta(task_id, cache)
        read.set()
        return found

    def store() -> None:
        read.wait(10)
        app.backend.client.set(app.backend.get_key_for_task(result.id), STORED % result.id)

    monkeypatch.setattr(app.backend, "get_task_meta", reading)
    threading.Thread(target=store).start()


def test_a_result_nobody_tells_of_is_found(app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Processes({}, tmp_path / "log") as none:
        result = AsyncResult("unheard", app=app)
        store_unheard_after_the_first_reading(app, result, monkeypatch)
        assert CanvasBout(app, none)._get(result, float("inf")) == [7, 7]


def test_one_long_get_does_not_find_it(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    result = AsyncResult("unheard", app=app)
    store_unheard_after_the_first_reading(app, result, monkeypatch)
    with pytest.raises(NotYet):
        result.get(timeout=1)


def test_what_never_ends_is_given_up_and_named(app: Celery, tmp_path: Path) -> None:
    """There are no workers."""
    with Processes({}, tmp_path / "log") as none, pytest.raises(Unavailable) as given_up:
        CanvasBout(app, none, done_sec=lambda runs: 0.0).run(1)
    assert given_up.value.detail.count("PENDING") == len(triage.STEPS)


HANGING = """
import os, sys, time
from contextlib import contextmanager
from pathlib import Path
from cordum.bench.contest import Options, _measured_apart
from cordum.bench.processes import Processes
from cordum.bench.sides import Place

class Hanging:
    name = "hanging"

    @contextmanager
    def ready(self, place):
        with Processes(dict(os.environ), place.directory / "log") as processes:
            child = processes.python("-c", "import time; time.sleep(600)")
            print(os.getpid(), child.pid, flush=True)
            time.sleep(600)
            yield

if __name__ == "__main__":
    _measured_apart(Hanging(), Place(None, 0, "threads", 1, Path(sys.argv[1])), Options())
"""


def test_a_killed_benchmark_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    benchmark = subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True)
    assert benchmark.stdout is not None
    descendants = [int(pid) for pid in benchmark.stdout.readline().split()]
    assert len(descendants) == 2
    ends = [os.pidfd_open(pid) for pid in descendants]
    benchmark.kill()
    benchmark.wait()
    benchmark.stdout.close()
    for end in ends:
        assert select.select([end], [], [], 30)[0], "still there"
        os.close(end)
