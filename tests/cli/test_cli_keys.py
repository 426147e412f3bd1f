"""`cordum keys`, and commands that carry a key."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from cordum.cli import main
from cordum.redis_address import RedisAddress

Run = Callable[..., Result]


@pytest.fixture
def run(redis_address: RedisAddress, api_url: str) -> Run:
    def invoke(*arguments: str, key: str = "") -> Result:
        env = {"CORDUM_REDIS_URL": redis_address.url(), "CORDUM_API_URL": api_url, "CORDUM_API_KEY": key}
        return CliRunner().invoke(main, arguments, env=env)

    return invoke


def test_a_key_is_made_shown_once_used_and_revoked(run: Run) -> None:
    made = run("keys", "create", "--person", "ann", "--role", "admin", "--expires-days", "30")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    assert key.startswith("ck_")

    refused = run("runs")
    assert refused.exit_code == 1
    assert "CORDUM_API_KEY" in refused.output
    assert run("runs", key=key).exit_code == 0
    assert run("runs", "--tenant", "other", key=key).exit_code == 1

    listed = run("keys", "list", "--json")
    (shown,) = json.loads(listed.stdout)
    assert (shown["person"], shown["role"], shown["tenant"], shown["revoked_at"]) == ("ann", "admin", "default", None)
    assert key not in listed.output

    assert run("keys", "revoke", key[3:11]).exit_code == 0
    (shown,) = json.loads(run("keys", "list", "--json").stdout)
    assert shown["revoked_at"] is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--person", "a b", "--role", "viewer"),
        ("create", "--person", "ann", "--role", "god"),
        ("create", "--person", "ann", "--role", "viewer", "--tenant", "a:b"),
        ("create", "--role", "viewer"),
    ],
)
def test_a_key_that_cannot_be_made_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("keys", *arguments).exit_code == 2


def test_revoking_what_is_not_there_fails(run: Run) -> None:
    assert run("keys", "revoke", "aaaaaaaa").exit_code == 1
