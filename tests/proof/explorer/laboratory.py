"""Explores scenarios by name, with the scripts as they are or with some that are broken on purpose."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from cordum.ops.redis_server import RedisServer
from cordum.store.scripts import Library
from tests.proof import scenarios
from tests.proof.explorer.actors import Company
from tests.proof.explorer.evidence import Law
from tests.proof.explorer.judge import Judge
from tests.proof.explorer.opening import GENUINE, open_scenario
from tests.proof.explorer.scenario import SCENARIOS, Scenario
from tests.proof.explorer.search import Breach, Found, Search, State
from tests.proof.explorer.stage import Stage

for _module in pkgutil.iter_modules(scenarios.__path__):
    importlib.import_module(f"{scenarios.__name__}.{_module.name}")


@dataclass(frozen=True)
class _Opened:
    scenario: Scenario
    begin: State
    company: Company
    judge: Judge


class Laboratory:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._stage = Stage(client)
        self._opened: dict[str, _Opened] = {}

    def explore(self, name: str, *, most_states: int) -> Found:
        """Search a scenario whole; what breaks a promise is shown by the shortest course of things that does."""
        found = self._search(name, GENUINE, most_states).run()
        if found.breach is not None:
            found.breach = self.breach(name, GENUINE, most_states=most_states) or found.breach
        return found

    def breach(self, name: str, library: Library, *, most_states: int) -> Breach | None:
        """The shortest course of things that breaks a promise."""
        return self._search(name, library, most_states).shortest()

    def _search(self, name: str, library: Library, most_states: int) -> Search:
        if name not in self._opened:
            self._opened[name] = self._open(name)
        opened = self._opened[name]
        return Search(self._stage, opened.company, opened.judge, library, opened.begin, most_states)

    def _open(self, name: str) -> _Opened:
        scenario = SCENARIOS[name].make()
        opening = open_scenario(scenario, self._client, self._stage)
        begin = State(opening.moment, tuple(opening.company.begin(actor) for actor in scenario.actors), scenario.faults)
        return _Opened(scenario, begin, opening.company, Judge(Law(opening.workflows, scenario.limits)))


@contextmanager
def laboratory(binary: Path) -> Iterator[Laboratory]:
    """One with a Redis of its own, which keeps no log: nothing that happens here has to be found again."""
    with (
        TemporaryDirectory(prefix="cordum-test-") as directory,
        RedisServer(Path(directory), binary=binary) as server,
        redis.Redis(**{**server.address.redis_py_kwargs(), "decode_responses": True}) as client,
    ):
        client.config_set("appendonly", "no")
        yield Laboratory(client)
