"""All of cordum on one machine: Redis, the API in this process, a coordinator and two workers as child processes.

For development: its policy allows by default, and nobody has to say who they are. What it needs of a place (ports,
directories, other processes) it gives back at the end, however that comes.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from cordum.api import serve
from cordum.cli.children import Children, Program
from cordum.cli.production import read_policy
from cordum.cli.stop import Stop
from cordum.console import CONSOLE, create_console
from cordum.engine import Engine
from cordum.errors import ConfigurationRefused, StateConflict, Unavailable, Unprocessable
from cordum.execution.config import refuse_other_brokers
from cordum.execution.handlers import registry
from cordum.execution.roles import coordinator_argv, worker_argv
from cordum.ops.data_dir import private_directory
from cordum.ops.discovery import Running, published
from cordum.ops.redis_server import RedisServer
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, config_dir

WORKERS = ("worker-1", "worker-2")
SLOTS = 2
TENANT = "default"
READY_TIMEOUT_SEC = 60.0

_DEV_POLICY = "safety.dev.yaml"
_POLL_SEC = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What the stack is to be. `modules` register handlers; `environment` is added to that of the workers."""

    modules: Sequence[str]
    next_free_port: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs. `embedded`: its Redis is its own."""

    engine: Engine
    address: RedisAddress
    api_url: str
    topics: tuple[str, ...]
    embedded: bool
    log_dir: Path


def dev_settings(settings: Settings, origin: str, *, port: int | None, data_dir: Path | None) -> Settings:
    """Settings of a stack: development whatever the file says, under the development policy where there is one."""
    beside = config_dir() / _DEV_POLICY
    return settings.with_overrides(
        origin,
        env="dev",
        api_port=port,
        data_dir=data_dir,
        policy_file=beside if beside.is_file() else None,
        allow_anonymous_approval=True,
    )


@contextmanager
def running_stack(settings: Settings, plan: Plan, stop: Stop, say: Callable[[str], None]) -> Iterator[Stack]:
    """The stack, ready for work. `say` hears of what goes wrong meanwhile; `stop` ends the wait for readiness."""
    refuse_other_brokers()
    if not plan.next_free_port:
        _refuse_taken_port(settings.api_host, settings.api_port)
    topics = topics_of(plan.modules)
    log_dir = private_directory(private_directory(settings.data_dir) / "logs")
    with ExitStack() as held:
        address = held.enter_context(_redis(settings, say))
        engine = Engine.connect(settings, address)
        held.callback(engine.close)
        engine.ping()
        pages = {CONSOLE: create_console(engine, settings)}
        api = serve(engine, settings, settings.api_host, settings.api_port, next_free=plan.next_free_port, pages=pages)
        held.callback(api.stop)
        engine.policies.publish_file(read_policy(settings.policy_file), "cordum dev")
        engine.pools.publish_file(settings.pools_file, "cordum dev")
        programs = _programs(topics, plan.modules, settings, log_dir)
        children = held.enter_context(Children(programs, _environment(settings, address, plan.environment), say))
        _await_ready(engine, children, stop)
        children.watch()
        held.enter_context(published(settings.data_dir, Running(address, api.url, os.getpid())))
        yield Stack(engine, address, api.url, topics, settings.redis_url is None, log_dir)


def topics_of(modules: Sequence[str]) -> tuple[str, ...]:
    """The topics these modules register handlers for; Unprocessable when one cannot be imported."""
    here = str(Path.cwd())
    if here not in sys.path:
        # Where Celery looks too, so that both find the same modules.
        sys.path.insert(0, here)
    for module in modules:
        try:
            import_module(module)
        except ConfigurationRefused:
            raise
        except Exception as error:
            raise Unprocessable(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    topics: list[str] = []
    registry.follow(topics.append)
    return tuple(topics)


@contextmanager
def _redis(settings: Settings, say: Callable[[str], None]) -> Iterator[RedisAddress]:
    if settings.redis_url is not None:
        yield RedisAddress.parse(settings.redis_url)
        return
    with RedisServer(settings.data_dir, settings.durability, supervise=True, on_event=say) as server:
        yield server.address


def _refuse_taken_port(host: str, port: int) -> None:
    """Before anything is started; whoever takes the port after this look gets the API's own, shorter refusal."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            mend = "stop what listens there, or choose another with --port (0 takes a free one)"
            raise StateConflict(f"port {port} on {host} is taken: {mend}", code="port_taken") from error


def _programs(topics: Sequence[str], modules: Sequence[str], settings: Settings, log_dir: Path) -> list[Program]:
    level = settings.log_level
    # The coordinator is called each second, and Celery would log each call.
    lines = {"coordinator": coordinator_argv(log_level="warning" if level == "info" else level)} | {
        name: worker_argv(topics, modules=modules, concurrency=SLOTS, name=name, log_level=level) for name in WORKERS
    }
    celery = (sys.executable, "-m", "celery")
    return [Program(name, (*celery, *line), log_dir / f"{name}.log") for name, line in lines.items()]


def _environment(settings: Settings, address: RedisAddress, more: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "CORDUM_ENV": settings.env,
        "CORDUM_DATA_DIR": str(settings.data_dir),
        "CORDUM_REDIS_URL": address.url(),
        # When this process is killed, the kernel sends SIGTERM: its workers must not finish long jobs for nobody.
        "REMAP_SIGTERM": "SIGQUIT",
    }
    return {**os.environ, **ours, **more}


def _await_ready(engine: Engine, children: Children, stop: Stop) -> None:
    pids = children.pids()
    wanted = {pids[name] for name in WORKERS}
    give_up = time.monotonic() + READY_TIMEOUT_SEC
    while not wanted <= {info.get("pid") for info in engine.store.workers.known().values()}:
        children.check()
        if time.monotonic() > give_up:
            said = children.last_lines()
            raise Unavailable(f"the workers were not ready within {READY_TIMEOUT_SEC:g} s; {said}", code="start_failed")
        stop.pause(_POLL_SEC)
