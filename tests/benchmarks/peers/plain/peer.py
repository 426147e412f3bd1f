"""Plain Celery tasks without results: what the graph's steps cost when nobody keeps them in order."""

from __future__ import annotations

import os
from importlib.metadata import version

from common import HERE, Answer, Place, Workers, main, missing, python, timed, until


def tasks(place: Place, count: int, of_run: int) -> Answer:
    os.environ |= {"PEER_BROKER": place.url(3), "PYTHONPATH": str(HERE)}
    os.environ.pop("PEER_BACKEND", None)
    import celery_tasks as known

    answer: Answer = {}
    command = ("-m", "celery", "--quiet", "-A", "celery_tasks", "worker", "-l", "warning")
    pool = ("-P", place.pool, "-c", str(place.concurrency))
    commands = [python(*command, *pool, "-n", f"peer-{number}@%h") for number in range(2)]
    with Workers(commands, {}), known.app.connection_for_read() as connection:
        while len(known.app.control.ping(timeout=1, limit=2)) < 2:
            pass
        client = connection.default_channel.client
        total = count * of_run
        with timed(answer):
            for number in range(total):
                known.classify.delay(number)
            until(lambda: total - client.llen("celery") - client.hlen("unacked"), total, 0.02)
        stats = known.app.control.inspect(timeout=10, limit=2).stats() or {}
        worked = sum(sum(worker["total"].values()) for worker in stats.values())
        return answer | {"problems": missing(worked, total, "tasks were worked on")}


def triage(place: Place, count: int) -> Answer:
    return tasks(place, count, 4)


def singles(place: Place, count: int) -> Answer:
    return tasks(place, count, 1)


if __name__ == "__main__":
    main(
        {"triage": triage, "singles": singles},
        {name: version(name) for name in ("celery", "kombu")},
        "four independent tasks a run, no results; settings by default",
    )
