"""A worker and a coordinator in one process and without Celery, so that what it costs to move runs can be counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cordum.bench import triage
from cordum.domain.run import OutcomeClass
from cordum.engine import Caller, Engine, WorkerInfo
from cordum.errors import Unavailable
from cordum.ops.redis_server import RedisServer
from cordum.settings import load_settings
from cordum.store.jobs import Recording

ME = Caller("bench", "bench")
_AT_ONCE = 32
_RENEW_SEC = 1.0
_PATIENCE_SEC = 30.0
_OUTPUT = '{"incident":1}'


@dataclass(frozen=True, slots=True)
class Spent:
    """What Redis and this process have done so far: commands, processor microseconds."""

    commands: int
    redis_us: float
    own_us: float

    def since(self, before: Spent) -> Spent:
        return Spent(self.commands - before.commands, self.redis_us - before.redis_us, self.own_us - before.own_us)


class Player:
    """`connect` gives another engine on the same Redis."""

    def __init__(self, connect: Callable[[], Engine]) -> None:
        self.connect = connect
        self.engine = connect()
        self._worker = WorkerInfo("player", "nowhere", "player", 1, _AT_ONCE, (), 0)
        self._renew_at = 0.0
        self._turns = count(1)

    def play(self, topics: Sequence[str], runs: int, *, coordinates: bool = True) -> int:
        """Work until so many runs more have ended well; the number of jobs that took.

        `coordinates`: False while somebody else does that.
        """
        goal, jobs, moved_at = self._ended() + runs, 0, time.monotonic()
        while self._ended() < goal:
            done = self._turn(topics)
            jobs += done
            if done:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _PATIENCE_SEC:
                raise Unavailable("the runs of a measurement do not end")
            if coordinates:
                self.engine.coordinate(stay=False)
        return jobs

    def _turn(self, topics: Sequence[str]) -> int:
        """Take, claim and finish what there is."""
        if time.monotonic() >= self._renew_at:
            self.engine.jobs.renew(self._worker)
            self._renew_at = time.monotonic() + _RENEW_SEC
        jobs, done = 0, self._exchange([], topics)
        while done:
            jobs += len(done)
            done = self._exchange(done, topics)
        return jobs

    def _exchange(self, done: Sequence[Recording], topics: Sequence[str]) -> list[Recording]:
        """Say what has been done, and do what is next."""
        turn = next(self._turns)
        begun = self.engine.jobs.exchange(self._worker.incarnation, done, [], topics, _AT_ONCE, turn=turn).begun
        return [Recording(one.job, one.topic, one.nonce, OutcomeClass.SUCCESS, _OUTPUT) for one, _ in begun]

    def spent(self) -> Spent:
        stats: Any = self._info("commandstats")
        cpu: Any = self._info("cpu")
        return Spent(
            sum(one["calls"] for one in stats.values()),
            (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6,
            time.process_time() * 1e6,
        )

    def memory(self) -> int:
        """Bytes that Redis has given to what it keeps; what is on its way to clients and to the disk comes and goes.

        While the log is written anew some of what was removed is kept: the end of that is waited for.
        """
        while self._info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.05)
        info = self._info("memory")
        return int(info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"])

    def _info(self, section: str) -> Mapping[str, Any]:
        info: Any = self.engine.store.connection.read(lambda client: client.info(section))
        return dict(info)

    def _ended(self) -> int:
        return self.engine.store.figures.counters().get("runs_ended:succeeded", 0)


@contextmanager
def player(more: Mapping[str, str] | None = None) -> Iterator[Player]:
    """On a Redis of its own, with a policy that allows the jobs of benchmarks; `more` settings as in an environment."""
    with TemporaryDirectory(prefix="cordum-bench-") as name, RedisServer(Path(name)) as server:
        one = Player(lambda: Engine.connect(load_settings(env=more or {}), server.address))
        try:
            one.engine.publish_policy(triage.POLICY, "bench")
            one.engine.save_workflow(ME.tenant, triage.DEFINITION, "yaml")
            yield one
        finally:
            one.engine.close()


def started(engine: Engine, workflow_id: str, count: int) -> list[str]:
    """The ids of runs that are started with numbers as incidents."""
    found = engine.start_runs(ME, workflow_id, [{"incident": number} for number in range(count)])
    return [str(one) for one in found]
