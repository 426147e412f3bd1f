"""What the HTTP API answers in a second: submissions and looks at a run, from clients that keep their connections.

The clients share the machine with the API and Redis, and are Python, too: the API's own processor time is told beside.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cordum.bench import proc, triage
from cordum.bench.player import ME
from cordum.bench.processes import Processes, clean_environment, wait_for
from cordum.engine import Engine
from cordum.errors import Unavailable
from cordum.ops.redis_server import RedisServer
from cordum.settings import load_settings

CLIENTS = 4
_READY_SEC = 60.0
_WARM_UP = 50
_HEADERS = {"Content-Type": "application/json", "X-Tenant-ID": ME.tenant, "X-Principal-Id": ME.person}
_START = f"/api/v1/workflows/{triage.WORKFLOW_ID}/runs"

Ask = Callable[[http.client.HTTPConnection, int], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Answered:
    """Requests of one kind: how many in a second, milliseconds each as a client sees it, and of the API's processor."""

    what: str
    requests: int
    per_sec: float
    p50_ms: float
    p99_ms: float
    api_cpu_ms: float

    def document(self) -> dict[str, Any]:
        return asdict(self)


def measure_http(requests: int) -> list[Answered]:
    """Start so many triage runs, which nobody works on, each with a key of its own; then look at each."""
    with TemporaryDirectory(prefix="cordum-bench-") as name, RedisServer(Path(name)) as server:
        directory = Path(name)
        (directory / "policy.yaml").write_bytes(triage.POLICY)
        environment = clean_environment(
            {"CORDUM_REDIS_URL": server.address.url(), "CORDUM_POLICY_FILE": str(directory / "policy.yaml")}
        )
        engine = Engine.connect(load_settings(env=environment), server.address)
        try:
            engine.save_workflow(ME.tenant, triage.DEFINITION, "yaml")
            with Processes(environment, directory / "api.log") as processes:
                api = processes.python("-m", "cordum.cli", "api", "--port", "0")
                return _measured(_port(directory / "api.log", processes), api.pid, requests)
        finally:
            engine.close()


def _port(log: Path, processes: Processes) -> int:
    """What the API says once it answers."""

    def told() -> re.Match[str] | None:
        return re.search(r"^API http://.*:(\d+)$", log.read_text(errors="replace"), re.MULTILINE)

    wait_for(lambda: told() is not None, "the API", processes, every_sec=0.05, timeout_sec=_READY_SEC)
    found = told()
    assert found is not None
    return int(found[1])


def _measured(port: int, pid: int, requests: int) -> list[Answered]:
    clients = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(CLIENTS)]
    ids: dict[int, str] = {}

    def start(client: http.client.HTTPConnection, number: int) -> tuple[int, bytes]:
        said = _ask(client, "POST", _START, {"Idempotency-Key": f"n{number}"}, json.dumps({"incident": number}))
        ids[number] = json.loads(said[1]).get("run_id", "")
        return said

    def look(client: http.client.HTTPConnection, number: int) -> tuple[int, bytes]:
        return _ask(client, "GET", f"/api/v1/workflow-runs/{ids[number]}", {}, None)

    try:
        found = []
        for numbers in (range(_WARM_UP), range(_WARM_UP, _WARM_UP + requests)):
            found = [
                _timed("submit", start, clients, numbers, pid),
                _timed("get run", look, clients, numbers, pid),
            ]
    finally:
        for client in clients:
            client.close()
    if len({*ids.values()}) != len(ids):
        raise Unavailable("the API gave one run to two keys")
    return found


def _timed(what: str, ask: Ask, clients: list[http.client.HTTPConnection], numbers: range, pid: int) -> Answered:
    """Each client asks for its share, one request after the other."""
    times: list[float] = []
    wrong: list[str] = []

    def play(client: http.client.HTTPConnection, share: range) -> None:
        for number in share:
            began = time.perf_counter()
            status, body = ask(client, number)
            times.append((time.perf_counter() - began) * 1000)
            if status != 200:
                wrong.append(f"{status} {body[:200].decode(errors='replace')}")
                return

    cpu, began = proc.cpu_sec(pid), time.perf_counter()
    threads = [
        threading.Thread(target=play, args=(client, numbers[place :: len(clients)]))
        for place, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, cpu = time.perf_counter() - began, proc.cpu_sec(pid) - cpu
    if wrong or len(times) != len(numbers):
        raise Unavailable(f"the API answered {wrong[0] if wrong else 'not everything'} to {what}")
    times.sort()
    count = len(times)
    return Answered(what, count, count / took, times[count // 2], times[count * 99 // 100], cpu / count * 1000)


def _ask(
    client: http.client.HTTPConnection, method: str, path: str, more: dict[str, str], body: str | None
) -> tuple[int, bytes]:
    client.request(method, path, body, {**_HEADERS, **more})
    answered = client.getresponse()
    return answered.status, answered.read()
