"""Flower is never open: where it may listen, whom it asks, and that no way of starting it goes around that."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import pytest
from flower.views.monitor import Metrics
from tornado import options as tornado_options

from cordum.execution import process
from cordum.execution.flower import guard
from cordum.settings import Settings
from tests.execution.flowers import CREDENTIALS, Flower, flower_of, routes

CORDUM = ("-m", "cordum.cli", "flower")
CELERY = ("-m", "celery", "-A", "cordum", "flower")
# What says nothing of the installation: "OK", scripts and styles, "you are logged out", "not found".
OPEN = {("GET", "/healthcheck"), ("GET", "/static/x"), ("GET", "/logout"), ("GET", "/nowhere"), ("POST", "/nowhere")}
PAGES = ("/", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/queues/length")

Guarded = Callable[..., SimpleNamespace]


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """Flower's options after the guard's look at them, as if its command were running."""
    monkeypatch.setattr(Metrics, "get", Metrics.get)

    def look(settings: Settings | None = None, command: str = "flower", **given: Any) -> SimpleNamespace:
        unset = {"address": "", "basic_auth": None, "auth": "", "unix_socket": "", "enable_events": True}
        options = SimpleNamespace(**(unset | given))
        monkeypatch.setattr(tornado_options, "options", options)
        monkeypatch.setattr(process, "settings", lambda: settings or Settings())
        with click.Context(click.Command(command)):
            guard()
        return options

    return look


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1", "127.8.8.8", "localhost", "::1", "::ffff:127.0.0.1"])
def test_on_loopback_a_password_is_made_and_told(
    guarded: Guarded, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    options = guarded(address=address)
    assert options.address == address
    (credential,) = options.basic_auth
    user, password = credential.split(":")
    assert len(password) >= 20
    assert f"user {user}, password {password} " in capsys.readouterr().err
    assert guarded(address=address).basic_auth != options.basic_auth


@pytest.mark.parametrize("address", ["0.0.0.0", "0", "::", "::0", "::ffff:0.0.0.0", "0x0", "10.1.2.3", "public.test"])
def test_without_authentication_any_other_address_is_refused(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    real = socket.getaddrinfo
    known = {"public.test": "192.0.2.7"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **kw: real(known.get(host, host), *args, **kw))
    with pytest.raises(SystemExit) as refusal:
        guarded(address=address)
    assert refusal.value.code == 78
    assert re.fullmatch(
        r"error: Flower does not listen on \S+ without authentication: [^\n]+\n", capsys.readouterr().err
    )


def test_a_name_is_as_public_as_its_most_public_address(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(socket.AF_INET, 1, 6, "", (number, 0)) for number in ("127.0.0.1", "192.0.2.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kw: places)
    with pytest.raises(SystemExit):
        guarded(address="both.test")


@pytest.mark.parametrize("given", [{"basic_auth": ["ann:x"]}, {"auth": "ann@example.com"}])
@pytest.mark.parametrize("env", ["dev", "production"])
def test_with_authentication_every_address_is_taken(guarded: Guarded, given: dict[str, Any], env: Any) -> None:
    options = guarded(Settings(env=env), address="0.0.0.0", **given)
    assert (options.address, options.basic_auth) == ("0.0.0.0", given.get("basic_auth"))


@pytest.mark.parametrize("given", [{}, {"unix_socket": "/run/flower.sock"}])
def test_production_makes_no_password(
    guarded: Guarded, capsys: pytest.CaptureFixture[str], given: dict[str, str]
) -> None:
    with pytest.raises(SystemExit):
        guarded(Settings(env="production"), **given)
    assert "does not start in production without authentication" in capsys.readouterr().err


@pytest.mark.parametrize("credentials", [[""], ["ann"], [":x"], ["ann:"], ["ann:x", "y"], ["änn:x"], ["ann:x\n"]])
def test_a_credential_that_would_let_in_anybody_is_refused(
    guarded: Guarded, capsys: pytest.CaptureFixture[str], credentials: list[str]
) -> None:
    with pytest.raises(SystemExit):
        guarded(basic_auth=credentials)
    assert "USER:PASSWORD" in capsys.readouterr().err


def test_no_address_means_that_of_the_settings(guarded: Guarded) -> None:
    assert guarded().address == "127.0.0.1"
    assert guarded(Settings(flower_address="::1")).address == "::1"
    with pytest.raises(SystemExit):
        guarded(Settings(flower_address="0.0.0.0"))


def test_flower_does_not_have_workers_send_events(guarded: Guarded) -> None:
    assert guarded().enable_events is False


def test_other_commands_are_left_alone(guarded: Guarded) -> None:
    assert guarded(command="worker", address="0.0.0.0").enable_events is True


# --- started for real ---


@pytest.mark.parametrize("command", [CORDUM, CELERY])
def test_however_it_is_started_it_refuses_a_public_address(cell: Any, command: tuple[str, ...]) -> None:
    program: subprocess.Popen[bytes] = cell.python(*command, "--address=0.0.0.0", "--port=0")
    assert program.wait(30) == 78, cell.logs()
    assert cell.logs().startswith("error: Flower does not listen on 0.0.0.0 without authentication: ")
    assert cell.logs().count("\n") == 1


def test_a_port_that_is_taken_is_told_in_one_line(cell: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = cell.python(*CORDUM, f"--port={taken.getsockname()[1]}")
        assert program.wait(30) == 78, cell.logs()
    assert re.search(r"^error: Flower cannot listen on 127.0.0.1 port \d+: ", cell.logs(), re.MULTILINE)
    assert "Traceback" not in cell.logs()


@pytest.fixture(params=[CORDUM, CELERY], ids=["cordum", "celery"])
def running(cell: Any, request: pytest.FixtureRequest) -> Flower:
    return flower_of(cell, command=request.param)


def test_every_route_asks_who_is_there(running: Flower) -> None:
    all_routes = list(routes())
    assert len(all_routes) > 30
    for credentials in (None, "", "ann:wrong", "ann:", "letmein"):
        stranger = Flower(running.url, credentials)
        answers = {(method, path): stranger.ask(method, path) for method, path in all_routes}
        assert {route for route, answer in answers.items() if answer.status != 401} == OPEN, credentials
    # Flower stumbles over these, but does not fall.
    stranger = Flower(running.url, "änn:letmein")
    assert {stranger.ask("GET", path).status for path in PAGES} == {500}
    assert {running.ask("GET", path).status for path in PAGES} == {200}


def test_it_listens_on_loopback_and_ends_when_told(cell: Any) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", flower_of(cell).url)
    (program,) = cell._processes
    program.terminate()
    assert program.wait(30) == 0
    assert "Traceback" not in cell.logs()
    assert CREDENTIALS not in cell.logs()
