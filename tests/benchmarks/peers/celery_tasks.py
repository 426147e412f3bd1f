"""The jobs of the works as Celery tasks; what is not named is Celery's default."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, chain, chord, group
from common import WAIT_SEC

app = Celery("peer", broker=os.environ["PEER_BROKER"], backend=os.environ.get("PEER_BACKEND"))
app.conf.update(broker_connection_retry_on_startup=True, task_ignore_result="PEER_BACKEND" not in os.environ)


@app.task
def classify(incident: int, wait: bool = False) -> dict[str, int]:
    return _after(wait, {"incident": incident})


@app.task
def look(case: dict[str, int], wait: bool = False) -> dict[str, int]:
    return _after(wait, case)


@app.task
def rollback(found: list[dict[str, int]], wait: bool = False) -> list[int]:
    return _after(wait, [case["incident"] for case in found])


@app.task
def each(case: dict[str, int], number: int) -> int:
    return number


@app.task
def count(found: list[int]) -> int:
    return len(found)


def _after(wait: bool, value: Any) -> Any:
    if wait:
        time.sleep(WAIT_SEC)
    return value


def triage(incident: int, wait: bool = False) -> chain:
    """Celery makes a chord of a group with a task behind it."""
    return chain(classify.s(incident, wait), group(look.s(wait), look.s(wait)), rollback.s(wait))


def fan_out(size: int) -> chain:
    return chain(classify.s(1), chord([each.s(number) for number in range(size)], count.s()))
