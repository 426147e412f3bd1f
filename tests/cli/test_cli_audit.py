"""`cordum audit`: what is in Redis, and what lies in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cordum.cli import main
from cordum.redis_address import RedisAddress

Run = Callable[..., Result]
KEY = "k1:a secret of some length"


@pytest.fixture
def run(redis_address: RedisAddress, tmp_path: Path) -> Run:
    def invoke(*arguments: str, **variables: str) -> Result:
        env = {"CORDUM_REDIS_URL": redis_address.url(), "CORDUM_DATA_DIR": str(tmp_path), "CORDUM_AUDIT_KEY": KEY}
        return CliRunner().invoke(main, arguments, env={**env, **variables})

    return invoke


def make_key(run: Run, person: str = "ann") -> None:
    assert run("keys", "create", "--person", person, "--role", "viewer").exit_code == 0


def test_records_are_listed(run: Run) -> None:
    for person in ("ann", "bob", "carol"):
        make_key(run, person)
    shown = json.loads(run("audit", "list", "--json", "--limit", "2").stdout)
    assert [(one["sequence"], one["data"]["person"]) for one in shown] == [(3, "carol"), (2, "bob")]
    assert "api_key.created" in run("audit", "list", "--actor", "cordum keys").stdout
    assert json.loads(run("audit", "list", "--json", "--type", "run.created").stdout) == []
    assert json.loads(run("audit", "list", "--json", "--tenant", "other").stdout) == []


def test_an_export_is_verified_where_there_is_no_redis(run: Run, tmp_path: Path) -> None:
    make_key(run)
    file, keys = tmp_path / "audit.jsonl", tmp_path / "keys.yaml"
    keys.write_text("keys: {k1: a secret of some length}\n")
    assert run("audit", "export", "-o", str(file)).exit_code == 0
    assert run("audit", "export").stdout.splitlines()[1:] == file.read_text().splitlines()[1:]
    away = {"CORDUM_REDIS_URL": "redis://127.0.0.1:1/0", "CORDUM_AUDIT_KEY": ""}
    assert run("audit", "verify", str(file), "--keys", str(keys), **away).exit_code == 0
    unchecked = run("audit", "verify", str(file), **away)
    assert (unchecked.exit_code, "signatures were not checked" in unchecked.stdout) == (0, True)

    file.write_text(file.read_text().replace("viewer", "admin"))
    changed = run("audit", "verify", str(file), "--json", "--keys", str(keys), **away)
    assert changed.exit_code == 0, "it is not sealed yet: only what is sealed cannot be changed"


def test_a_sealed_record_that_was_changed_is_told_with_its_number(
    run: Run, redis_address: RedisAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cordum.engine import Engine
    from cordum.settings import load_settings

    monkeypatch.setattr("cordum.engine.audit._SETTLED_SEC", 0.0)
    make_key(run)
    make_key(run, "bob")
    engine = Engine.connect(
        load_settings(env={"CORDUM_DATA_DIR": str(tmp_path), "CORDUM_AUDIT_KEY": KEY}), redis_address
    )
    engine.audit.seal()
    file = tmp_path / "audit.jsonl"
    assert run("audit", "export", "-o", str(file)).exit_code == 0
    assert run("audit", "verify").exit_code == run("audit", "verify", str(file)).exit_code == 0

    file.write_text(file.read_text().replace("bob", "eve"))
    changed = run("audit", "verify", str(file))
    assert (changed.exit_code, changed.stdout.splitlines()[1].strip()[:2]) == (1, "2:")
    checkpoints = str(tmp_path / "audit-checkpoints.jsonl")
    assert run("audit", "verify", str(file), "--checkpoints", checkpoints).exit_code == 1

    engine.store.connection.read(lambda client: client.rpop(engine.store.keys.audit("default")))
    engine.close()
    cut = run("audit", "verify", "--json")
    report = json.loads(cut.stdout)
    assert (cut.exit_code, report["status"], report["first_problem"]) == (1, "compromised", 2)


def test_a_secret_is_not_shown(run: Run) -> None:
    shown = run("doctor", "--json").output
    assert "a secret of some length" not in shown
    assert "k1:" in shown


def test_keys_that_cannot_be_used_are_a_refused_configuration(run: Run) -> None:
    refused = run("audit", "verify", CORDUM_AUDIT_KEY="k1:short")
    assert (refused.exit_code, "short" in refused.output) == (78, False)
