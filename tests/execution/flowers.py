"""A Flower in a process of its own, asked by HTTP."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

from flower.urls import handlers
from tornado.web import RequestHandler

from tests.cells import eventually

CREDENTIALS = "ann:letmein"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Flower:
    url: str
    credentials: str | None = CREDENTIALS

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        place = urlsplit(self.url)
        connection = HTTPConnection(place.hostname or "", place.port, timeout=30)
        headers = {}
        if self.credentials is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read().decode())
        connection.close()
        return answer

    def tasks(self) -> dict[str, dict[str, Any]]:
        """All it has heard of, by job id."""
        found: dict[str, dict[str, Any]] = self.ask("GET", "/api/tasks").json
        return found

    def states(self) -> dict[str, str]:
        return {job_id: task["state"] for job_id, task in self.tasks().items()}

    def state(self, job_id: str, wanted: str) -> dict[str, Any]:
        """What it says of a job, once that is in this state."""

        def look() -> Mapping[str, Any] | None:
            answer = self.ask("GET", f"/api/task/info/{quote(job_id)}")
            return answer.json if answer.status == 200 and answer.json["state"] == wanted else None

        found: dict[str, Any] = eventually(look, f"{job_id} as {wanted}, not {self.states()}")
        return found


def flower_of(cell: Any, *argv: str, command: tuple[str, ...] = ("-m", "cordum.cli", "flower")) -> Flower:
    """Start a Flower on any free port and wait until it answers."""
    process = cell.python(*command, "--port=0", f"--basic-auth={CREDENTIALS}", *argv)

    def url() -> str | None:
        assert process.poll() is None, cell.logs()
        found = re.findall(r"Visit me at (\S+)", cell.logs())
        return found[-1] if found else None

    flower = Flower(eventually(url, "Flower"))
    flower.ask("GET", "/")  # it says where it is before its loop runs
    return flower


def hears(flower: Flower) -> Callable[[], bool]:
    """Whether a worker's events reach it: from then on it misses none."""
    return lambda: any(worker_heard(flower))


def worker_heard(flower: Flower) -> Iterator[str]:
    yield from re.findall(r"flower_worker_online\{worker=\"([^\"]+)\"\} 1", flower.ask("GET", "/metrics").text)


def routes() -> Iterator[tuple[str, str]]:
    """Each method and path that Flower serves, with something in the place of its variable parts."""
    for route in handlers:
        pattern, handler = route[:2] if isinstance(route, tuple) else (route.regex.pattern, route.handler_class)
        path = re.sub(r"\(\.[+*]\)", "x", pattern.rstrip("$").replace("/?", "")).replace(".*", "/nowhere")
        for method in ("GET", "POST"):
            if getattr(handler, method.lower()) is not RequestHandler._unimplemented_method:
                yield method, path
