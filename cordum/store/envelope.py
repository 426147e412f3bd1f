"""The messages that cordum's scripts put on Celery's queues, in kombu's Redis format (message protocol 2).

The only place that writes them. The fields are those without which a Celery worker refuses or mistreats a message,
found by leaving out each in turn; a test compares the whole with what kombu itself produces.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from cordum.domain.routing import dead_letter_queue
from cordum.store.keys import COORDINATOR_QUEUE
from cordum.store.unique import unique

COORDINATOR_TASK = "cordum.coordinate"
DEAD_LETTER_TASK = "cordum.dead_letter"

# Stands for the task's id in what messages of one task have alike; ids and topics need no escaping in JSON.
_ID = "@id@"
_LETTERS = dead_letter_queue("")


def job_message(job_id: str, topic: str, priority: int) -> str:
    """The message of one attempt: task name = topic, task id = job id, the only argument is the job id.

    On a queue of dead letters (`dlq.<topic>`) it is that of a letter; all of these have one task, which looks for the
    function by the queue: a pattern of functions covers topics that nobody knew when the worker started.
    The same text each time for the same job: a duplicate is recognised by its claim, not by its message.
    """
    task = DEAD_LETTER_TASK if topic.startswith(_LETTERS) else topic
    return _template(task, topic, priority, (_ID,)).replace(_ID, job_id)


def coordinator_message() -> str:
    """A call for the coordinators; it names no run, because whoever takes it advances all that is due."""
    return _template(COORDINATOR_TASK, COORDINATOR_QUEUE, 0, ()).replace(_ID, unique())


@lru_cache(maxsize=1024)
def _template(task: str, queue: str, priority: int, args: tuple[str, ...]) -> str:
    return json.dumps(
        {
            "body": json.dumps([args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": _headers(_ID, task, args),
            "properties": {
                "correlation_id": _ID,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": priority,
                "delivery_tag": _ID,
            },
        },
        separators=(",", ":"),
    )


def _headers(task_id: str, task: str, args: tuple[str, ...]) -> dict[str, Any]:
    return {
        # `id` stands first: find_unclaimed.lua reads it from the text.
        "id": task_id,
        "task": task,
        "lang": "py",
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": f"({', '.join(args)})",
        "kwargsrepr": "{}",
        "origin": "cordum",
        "ignore_result": True,
    }


def job_headers(job_id: str, topic: str) -> dict[str, Any]:
    """The headers of a job's message, read."""
    return _headers(job_id, topic, (job_id,))


MESSAGE_FORM = _template("@topic@", "@topic@", -1, (_ID,)).replace('"priority":-1', '"priority":@priority@')
"""The text of a job's message, with words in place of what differs: `take_jobs.lua` knows by it what is ours."""
