"""The same works on cordum and on what a user would pick instead, one after the other, each on a Redis of its own.

A peer is a program in the source checkout, `tests/benchmarks/peers/NAME`; `common.py` there says how one is called
and what it answers. What it needs besides this Python (node's packages, an environment of its own) is installed beside
it, once.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cordum.bench.processes import clean_environment
from cordum.bench.setting import setting
from cordum.errors import ConfigurationRefused, Unavailable
from cordum.ops.redis_server import RedisServer

PEERS = ("cordum", "canvas", "plain", "dramatiq", "bullmq")
_HOME = Path(__file__).parents[2] / "tests" / "benchmarks" / "peers"
_LONGEST_SEC = 900.0
_SAID_LINES = 15


@dataclass(frozen=True, slots=True)
class Work:
    """`play` and `count` are what a peer is told; `figure` makes the figure of its answer, in `unit`.

    Each side has `slots` in each of its two workers, but for those in `fewer`, which are faster so. `floors`: by peer,
    how many times as good as it cordum has to be.
    """

    name: str
    what: str
    play: str
    count: int
    unit: str
    more_is_better: bool
    peers: tuple[str, ...] = PEERS
    pool: str = "threads"
    slots: int = 50
    fewer: tuple[tuple[str, int], ...] = ()
    floors: tuple[tuple[str, float], ...] = ()

    def figure(self, answer: dict[str, Any], count: int) -> float:
        if self.unit == "ms":
            return float(statistics.median(answer["latencies_ms"]))
        if self.unit == "s":
            return float(answer.get("settled_sec", answer["seconds"]))
        return count / float(answer["seconds"])

    def times_as_good(self, ours: float, theirs: float) -> float:
        return ours / theirs if self.more_is_better else theirs / ours


_ORDERED = ("cordum", "canvas", "dramatiq", "bullmq")
_FAN_OUT = Work(
    "W2 1,000",
    "fan-out and join",
    "fan_out",
    1_000,
    "s",
    False,
    _ORDERED,
    fewer=(("dramatiq", 8),),
    floors=(("bullmq", 1.0),),
)
WORKS = (
    Work("W1a", "one triage run at a time, p50", "latency", 200, "ms", False, _ORDERED, floors=(("bullmq", 1.0),)),
    Work(
        "W1b",
        "1,000 triage runs at once",
        "triage",
        1_000,
        "runs/s",
        True,
        floors=(("bullmq", 1.0), ("canvas", 8.0)),
    ),
    Work(
        "W1b prefork",
        "the same, one child each",
        "triage",
        1_000,
        "runs/s",
        True,
        ("cordum", "canvas", "bullmq"),
        pool="prefork",
        slots=1,
        floors=(("canvas", 4.0),),
    ),
    Work(
        "W1b waiting",
        "the same, steps wait 5 ms",
        "waiting",
        1_000,
        "runs/s",
        True,
        _ORDERED,
        floors=(("bullmq", 1.5),),
    ),
    _FAN_OUT,
    replace(_FAN_OUT, name="W2 10,000", count=10_000),
    Work("W3", "10,000 single jobs", "singles", 10_000, "jobs/s", True, floors=(("canvas", 8.0),)),
    Work(
        "W3 by one",
        "the same, BullMQ one job at a time",
        "singles",
        10_000,
        "jobs/s",
        True,
        ("cordum", "bullmq"),
        fewer=(("bullmq", 1),),
        floors=(("bullmq", 1.0),),
    ),
    Work("W4", "300 runs, a worker killed: until all ended", "killed", 300, "s", False, _ORDERED),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """One measurement: a peer at a work."""

    work: str
    peer: str
    figure: float
    answer: dict[str, Any]


@dataclass(slots=True)
class Comparison:
    works: tuple[Work, ...]
    setting: dict[str, Any]
    taken: list[Taken] = field(default_factory=list)

    def figures(self, work: Work, peer: str) -> list[float]:
        return [one.figure for one in self.taken if (one.work, one.peer) == (work.name, peer)]

    def median(self, work: Work, peer: str) -> float | None:
        found = self.figures(work, peer)
        return statistics.median(found) if found else None

    def ratio(self, work: Work, peer: str) -> float | None:
        """How many times as good as the peer cordum was; None when one of them was not measured."""
        ours, theirs = self.median(work, "cordum"), self.median(work, peer)
        return None if ours is None or theirs is None else work.times_as_good(ours, theirs)

    def below_floor(self) -> list[str]:
        """What a floor asks and the median does not show."""
        return [
            f"{work.name}: {ratio:.2f} times as good as {peer}, at least {floor:g} is asked"
            for work in self.works
            for peer, floor in work.floors
            if (ratio := self.ratio(work, peer)) is not None and ratio < floor
        ]

    def problems(self) -> list[str]:
        """What makes measurements void: a wrong result; of cordum, also a lost run and a step applied twice."""
        return [
            f"{one.work}, {one.peer}: {problem}"
            for one in self.taken
            for problem in (*one.answer["problems"], *(_losses(one.answer) if one.peer == "cordum" else ()))
        ]

    def document(self) -> dict[str, Any]:
        return {
            "setting": self.setting,
            "works": [asdict(work) | {"ratios": self._ratios(work)} for work in self.works],
            "taken": [asdict(one) for one in self.taken],
            "below_floor": self.below_floor(),
            "problems": self.problems(),
        }

    def _ratios(self, work: Work) -> dict[str, float | None]:
        return {peer: self.ratio(work, peer) for peer in work.peers if peer != "cordum"}


def compare(
    names: Sequence[str], repeats: int, on_taken: Callable[[Work, Taken], None], scale: float = 1.0
) -> Comparison:
    """Measure the works of these names (all when there are none), peers in turn; `on_taken` hears of each measurement.

    `scale` makes every work so many times as large: a small one shows that a peer works here.
    """
    works = tuple(work for work in WORKS if not names or work.name in names)
    for peer in sorted({peer for work in works for peer in work.peers}):
        _prepare(peer)
    comparison = Comparison(works, setting())
    for _ in range(repeats):
        for work, peer in _turns(works):
            count = max(round(work.count * scale), 4)
            answer = measure(work, peer, count)
            comparison.taken.append(Taken(work.name, peer, work.figure(answer, count), answer))
            on_taken(work, comparison.taken[-1])
    return comparison


def _turns(works: Sequence[Work]) -> Iterator[tuple[Work, str]]:
    for work in works:
        for peer in work.peers:
            yield work, peer


def _losses(answer: dict[str, Any]) -> list[str]:
    return [
        f"{answer[word]} {what}" for word, what in (("lost", "runs lost"), ("twice", "steps twice")) if answer.get(word)
    ]


def measure(work: Work, peer: str, count: int) -> dict[str, Any]:
    """What one peer answers to one work of this size, on a Redis of its own; Unavailable when it fails."""
    slots = dict(work.fewer).get(peer, work.slots)
    with tempfile.TemporaryDirectory(prefix="cordum-bench-") as name, RedisServer(Path(name)) as server:
        how = ["--socket", server.address.socket, "--pool", work.pool, "--concurrency", str(slots)]
        done = subprocess.run(
            [*_program(peer), work.play, str(count), *how],
            env=clean_environment({"PYTHONPATH": str(_HOME)}),
            capture_output=True,
            text=True,
            timeout=_LONGEST_SEC,
            check=False,
        )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[-_SAID_LINES:])
        raise Unavailable(f"{peer} ended with {done.returncode} at {work.name}:\n{said}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _program(peer: str) -> list[str]:
    if peer == "bullmq":
        return ["node", str(_HOME / peer / "peer.mjs")]
    python = _own_python(peer) if (_HOME / peer / "requirements.txt").exists() else sys.executable
    return [str(python), str(_HOME / peer / "peer.py")]


def _own_python(peer: str) -> Path:
    return _HOME / peer / ".venv" / "bin" / "python"


def _prepare(peer: str) -> None:
    """Install what the peer needs, unless that has been done."""
    home = _HOME / peer
    if not home.is_dir():
        raise ConfigurationRefused(f"the peers of the benchmark are in cordum's source checkout; there is no {home}")
    if (home / "package.json").exists() and not (home / "node_modules").is_dir():
        if shutil.which("npm") is None:
            raise ConfigurationRefused(f"{peer} needs node and npm: apt-get install nodejs npm")
        _install(["npm", "ci", "--no-audit", "--no-fund"], home)
    if (home / "requirements.txt").exists() and not _own_python(peer).exists():
        venv.create(home / ".venv", with_pip=True)
        _install([str(_own_python(peer)), "-m", "pip", "install", "--quiet", "-r", "requirements.txt"], home)


def _install(command: list[str], home: Path) -> None:
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env=dict(os.environ), check=False)
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` in {home} failed:\n{done.stderr[-2000:]}")
