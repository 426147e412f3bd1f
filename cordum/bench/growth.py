"""How the cost of one step grows: with the steps of a run, its children, the runs in flight, the coordinators.

For a step are counted the commands that Redis executes, those inside of scripts included, and the processor time that
it and this process take, which is worker, coordinator and submitter at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from cordum.bench import triage
from cordum.bench.player import ME, Player, player, started
from cordum.engine import Engine

MOST_GROWTH = 1.5
_TOPIC = "job.bench.step"
_STEPS_MEASURED = 1_000
SIZES = {"steps of a run": (10, 100, 1_000), "children": (10, 100, 1_000, 10_000), "coordinators": (1, 2, 4, 8)}
_IN_FLIGHT = (1, 1_000, 10_000, 100_000)
_ASLEEP = b"id: asleep\nsteps: {sleep: {type: delay, delay_sec: 86400}}"
_LISTEN_SEC = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step cost where the range was at `size`, processor time in microseconds; `steps`: how many were
    measured.
    """

    range: str
    size: int
    steps: int
    commands: float
    redis_us: float
    own_us: float

    @property
    def processor_us(self) -> float:
        return self.redis_us + self.own_us


@dataclass(frozen=True, slots=True)
class Growth:
    costs: tuple[Cost, ...]

    def growth(self, name: str) -> dict[str, float]:
        """How many times as much the dearest size of a range costs as its smallest."""
        first, *_ = found = [cost for cost in self.costs if cost.range == name]
        return {
            "commands": max(cost.commands for cost in found) / first.commands,
            "processor": max(cost.processor_us for cost in found) / first.processor_us,
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cost.range for cost in self.costs))

    def over(self) -> list[str]:
        """Ranges in which a step becomes too much dearer."""
        return [name for name in self.names if max(self.growth(name).values()) > MOST_GROWTH]

    def document(self) -> dict[str, Any]:
        return {
            "costs": [asdict(cost) for cost in self.costs],
            "growth": {name: self.growth(name) for name in self.names},
            "most": MOST_GROWTH,
            "over": self.over(),
        }


def measure_growth(most_runs: int, on_cost: Callable[[Cost], None]) -> Growth:
    """Every range from its smallest size to its largest; `most_runs` are in flight at most."""
    costs: list[Cost] = []
    for name, measured in _RANGES.items():
        for size in SIZES.get(name) or [size for size in _IN_FLIGHT if size <= most_runs]:
            costs.append(measured(name, size))
            on_cost(costs[-1])
    return Growth(tuple(costs))


def _cost(name: str, size: int, one: Player, play: Callable[[], int]) -> Cost:
    before = one.spent()
    steps = play()
    spent = one.spent().since(before)
    return Cost(name, size, steps, spent.commands / steps, spent.redis_us / steps, spent.own_us / steps)


def _chain(name: str, size: int) -> Cost:
    """Runs of so many steps, one after the other."""
    steps = [f"s{number}: {{topic: {_TOPIC}" for number in range(size)]
    after = ["}", *(f", depends_on: [s{number}]}}" for number in range(size - 1))]
    document = "id: chain\nsteps:\n" + "".join(f"  {step}{end}\n" for step, end in zip(steps, after, strict=True))
    with player() as one:
        one.engine.save_workflow(ME.tenant, document.encode(), "yaml")

        def play() -> int:
            done = 0
            while done < _STEPS_MEASURED:
                started(one.engine, "chain", 1)
                done += one.play([_TOPIC], 1)
            return done

        return _cost(name, size, one, play)


def _fan_out(name: str, size: int) -> Cost:
    document = f"id: fan\nsteps: {{each: {{topic: {_TOPIC}, for_each: input.items, input: {{n: '${{item}}'}}}}}}"
    with player({"CORDUM_MAX_ITEMS": str(size)}) as one:
        one.engine.save_workflow(ME.tenant, document.encode(), "yaml")

        def play() -> int:
            done = 0
            while done < _STEPS_MEASURED:
                one.engine.start_run(ME, "fan", {"items": list(range(size))}, show=False)
                done += one.play([_TOPIC], 1)
            return done

        return _cost(name, size, one, play)


def _beside(name: str, size: int) -> Cost:
    """Triage runs beside so many that sleep."""
    with player() as one:
        one.engine.save_workflow(ME.tenant, _ASLEEP, "yaml")
        started(one.engine, "asleep", size)
        return _cost(name, size, one, lambda: _triage(one))


def _triage(one: Player, *, coordinates: bool = True) -> int:
    runs = _STEPS_MEASURED // len(triage.STEPS)
    started(one.engine, triage.WORKFLOW_ID, runs)
    return one.play(triage.TOPICS, runs, coordinates=coordinates)


def _coordinated(name: str, size: int) -> Cost:
    with player() as one, _coordinators(one, size):
        return _cost(name, size, one, lambda: _triage(one, coordinates=False))


@contextmanager
def _coordinators(one: Player, count: int) -> Iterator[None]:
    """Threads that each listen for the coordinators' call, as so many processes would."""
    over = threading.Event()
    engines = [one.connect() for _ in range(count)]
    threads = [threading.Thread(target=_coordinate, args=(engine, over), daemon=True) for engine in engines]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread, engine in zip(threads, engines, strict=True):
            thread.join()
            engine.close()


def _coordinate(engine: Engine, over: threading.Event) -> None:
    while not over.is_set():
        if engine.store.wakeups.heard(_LISTEN_SEC):
            engine.coordinate(stay=False)


_RANGES: dict[str, Callable[[str, int], Cost]] = {
    "steps of a run": _chain,
    "children": _fan_out,
    "runs in flight": _beside,
    "coordinators": _coordinated,
}
