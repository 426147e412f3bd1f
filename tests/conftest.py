"""Fixtures that every test may use: a real, private Redis on a unix socket. No fakes, no fixed ports."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cordum.ops.redis_server import RedisServer, find_redis_server
from cordum.redis_address import RedisAddress

_SHOWN = "shown"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--guards-json", metavar="PATH", help="write the table of guards (tests/proof) to this file")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have to show, whichever process they ran in: see `show`."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == _SHOWN and report.when == "call":
                    terminalreporter.section(report.nodeid, sep="-")
                    terminalreporter.write_line(text)


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a table at the end of the whole run."""
    return lambda text: record_property(_SHOWN, text)


@pytest.fixture(scope="session")
def redis_binary() -> Path:
    """The redis-server program; a machine without one fails here, it does not skip."""
    return find_redis_server()


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A directory short enough for unix sockets; pytest's own may not be."""
    path = Path(tempfile.mkdtemp(prefix="cordum-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server(redis_binary: Path, short_dir: Path) -> Iterator[RedisServer]:
    """One server for the whole session; do not kill it, take `fresh_redis` for that."""
    with RedisServer(short_dir / "shared", binary=redis_binary) as server:
        yield server


@pytest.fixture
def redis_address(redis_server: RedisServer) -> RedisAddress:
    """The session's server, emptied of the data and scripts of the test before."""
    with Redis(**redis_server.address.redis_py_kwargs()) as client:
        client.flushall()
        client.script_flush()
    return redis_server.address


@pytest.fixture
def fresh_redis(redis_binary: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a server of the test's own, to be killed or restarted at will; keywords are RedisServer's."""
    with ExitStack() as stack:

        def start(**options: object) -> RedisServer:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cordum-test-")))
            return stack.enter_context(RedisServer(directory, **({"binary": redis_binary} | options)))

        yield start
