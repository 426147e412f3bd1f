"""`api`, `coordinator` and `worker` as a deployment runs them: one process each, on a Redis of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from cordum.client import Client
from cordum.ops.redis_server import RedisServer
from tests.cells import api_key
from tests.cli.programs import PATIENCE_SEC, ROOT, Program, eventually, survivors

Spawn = Callable[..., Program]

TOPICS = "job.sre.classify,job.sre.logs,job.sre.metrics,job.sre.rollback"
INCIDENT = {"incident_id": "INC-4821", "summary": "p95 latency up 4x"}


def test_in_production_the_three_roles_carry_a_run_to_its_end(
    spawn: Spawn, home: Path, fresh_redis: Callable[..., RedisServer]
) -> None:
    address = fresh_redis().address
    env = {"CORDUM_ENV": "production", "CORDUM_REDIS_URL": address.url()}
    ann, bob = (api_key(address, person) for person in ("ann", "bob"))
    api = spawn("api", "--port", "0", **env)
    others = [
        spawn("coordinator", **env, CORDUM_AUDIT_KEY="k1:a secret of some length"),
        spawn("worker", "-Q", TOPICS, "-I", "cordum.demo.handlers", "-c", "1", **env),
    ]
    url = api.line("API ")
    client = Client(url, api_key=ann)
    client.save_workflow((ROOT / "config/workflows/incident_triage_parallel.yaml").read_bytes())
    run_id = client.start("incident_triage_parallel", INCIDENT)["run_id"]
    assert eventually(lambda: client.get(run_id)["status"] == "waiting")
    # No workspace was prepared, so the rollback has nothing to act on and says so: shipped data is never changed.
    Client(url, api_key=bob).approve(client.approvals()[0]["job_id"])
    run = client.wait(run_id, timeout=PATIENCE_SEC)
    assert "CORDUM_DEMO_DIR is not set" in run["steps"]["rollback"]["error"]["message"]
    assert [step["status"] for step in run["steps"].values()] == ["succeeded"] * 5 + ["failed"]
    assert api.end(signal.SIGTERM) == 0
    for other in others:
        other.end(signal.SIGTERM)
    assert survivors(home) == []


@pytest.mark.parametrize("role", ["api", "coordinator"])
def test_production_refuses_an_unfit_redis_with_a_line_for_each_fault(
    spawn: Spawn, fresh_redis: Callable[..., RedisServer], role: str
) -> None:
    server = fresh_redis()
    with Redis(**server.address.redis_py_kwargs()) as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("appendonly", "no")
    program = spawn(role, CORDUM_ENV="production", CORDUM_REDIS_URL=server.address.url(), CORDUM_API_PORT="0")
    assert program.end() == 78, program.text
    lines = program.text.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)
    assert "append-only" in lines[0]
    assert "noeviction" in lines[1]


def test_in_production_the_api_does_not_start_without_a_key(
    spawn: Spawn, fresh_redis: Callable[..., RedisServer]
) -> None:
    address = fresh_redis().address
    program = spawn("api", "--port", "0", CORDUM_ENV="production", CORDUM_REDIS_URL=address.url())
    assert program.end() == 78, program.text
    assert "cordum keys create" in program.text


def test_in_production_a_coordinator_does_not_start_without_a_key_for_the_audit(
    spawn: Spawn, fresh_redis: Callable[..., RedisServer]
) -> None:
    address = fresh_redis().address
    program = spawn("coordinator", CORDUM_ENV="production", CORDUM_REDIS_URL=address.url())
    assert program.end() == 78, program.text
    assert "CORDUM_AUDIT_KEY" in program.text


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["api", "--host", "0.0.0.0", "--port", "0"], {}, "api_host"),
        (["api"], {"CORDUM_POLICY_FILE": "/nowhere/policy.yaml"}, "/nowhere/policy.yaml cannot be read"),
        (["coordinator"], {"CORDUM_REDIS_URL": ""}, "no Redis is configured"),
        (["coordinator"], {"CORDUM_REDIS_URL": "http://x"}, "redis://"),
    ],
)
def test_a_role_that_must_not_start_says_why(
    spawn: Spawn, fresh_redis: Callable[..., RedisServer], arguments: list[str], env: dict[str, str], said: str
) -> None:
    program = spawn(*arguments, **({"CORDUM_REDIS_URL": fresh_redis().address.url()} | env))
    assert program.end() == 78, program.text
    assert said in program.text
    assert "Traceback" not in program.text


def test_a_policy_that_is_none_keeps_the_role_from_starting(
    spawn: Spawn, home: Path, fresh_redis: Callable[..., RedisServer]
) -> None:
    (home / "policy.yaml").write_text("rules: [{decision: perhaps}]\n")
    program = spawn("api", CORDUM_REDIS_URL=fresh_redis().address.url(), CORDUM_POLICY_FILE=str(home / "policy.yaml"))
    assert program.end() == 1
    assert program.text.startswith("error: ")
    assert "Traceback" not in program.text
