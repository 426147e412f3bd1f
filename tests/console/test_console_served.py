"""The pages beside the API, on a real socket."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection, HTTPResponse

from cordum.api import serve
from cordum.console import CONSOLE, create_console
from cordum.engine import Engine
from cordum.settings import Settings


def test_one_server_answers_for_both(engine: Engine, settings: Settings, waiting: str) -> None:
    with serve(engine, settings, "127.0.0.1", 0, pages={CONSOLE: create_console(engine, settings)}) as server:

        def get(path: str) -> tuple[int, str | None, str]:
            with closing(HTTPConnection(server.host, server.port, timeout=20)) as connection:
                connection.request("GET", path)
                answered: HTTPResponse = connection.getresponse()
                return answered.status, answered.getheader("Location"), answered.read().decode()

        assert get("/api/v1/workflow-runs")[0] == 200
        assert get("/consoles")[0] == 404
        status, location, _ = get("/console")
        assert status == 308
        assert location is not None
        assert location.endswith("/console/")
        assert get("/console/")[1] == "/console/runs"
        status, _, page = get(f"/console/runs/{waiting}")
        assert status == 200
        assert 'href="/console/static/style.css?v=' in page
