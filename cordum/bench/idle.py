"""What an idle `cordum dev` costs: processor seconds and proportional memory of all its processes, read from /proc."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cordum.bench import proc
from cordum.bench.processes import Processes, clean_environment, wait_for
from cordum.errors import Unavailable

BUDGET_CPU_SEC_PER_MINUTE = 3.0
BUDGET_PSS_MIB = 400.0
_READY_SEC = 60.0
_SETTLE_SEC = 3.0


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """One process: processor seconds during the measurement, and PSS at its end."""

    command: str
    cpu_sec: float
    pss_mib: float


@dataclass(frozen=True, slots=True)
class Idle:
    seconds: float
    processes: tuple[ProcessCost, ...]

    @property
    def cpu_sec(self) -> float:
        return sum(one.cpu_sec for one in self.processes)

    @property
    def pss_mib(self) -> float:
        return sum(one.pss_mib for one in self.processes)

    @property
    def within_budget(self) -> bool:
        return self.cpu_sec * 60 / self.seconds <= BUDGET_CPU_SEC_PER_MINUTE and self.pss_mib < BUDGET_PSS_MIB

    @property
    def budget(self) -> str:
        return f"{BUDGET_CPU_SEC_PER_MINUTE:g} processor seconds in 60 s, less than {BUDGET_PSS_MIB:g} MiB (PSS)"

    def document(self) -> dict[str, Any]:
        return asdict(self) | {
            "cpu_sec": self.cpu_sec,
            "pss_mib": self.pss_mib,
            "budget": self.budget,
            "within_budget": self.within_budget,
        }


def measure_idle(seconds: float) -> Idle:
    """Start `cordum dev` in a place of its own, leave it alone for so long, and end it."""
    if not proc.PRESENT:
        raise Unavailable("idle costs are read from /proc, which this system does not have")
    with tempfile.TemporaryDirectory(prefix="cordum-bench-") as name:
        log = Path(name) / "dev.log"
        with Processes(clean_environment({}), log) as processes:
            data = str(Path(name) / "data")
            dev = processes.python("-m", "cordum.cli", "dev", "--port", "0", "--data-dir", data)
            wait_for(
                lambda: "\nAPI http" in log.read_text(errors="replace"),
                "cordum dev",
                processes,
                every_sec=0.1,
                timeout_sec=_READY_SEC,
            )
            time.sleep(_SETTLE_SEC)
            return _watch(dev, seconds)


def _watch(dev: subprocess.Popen[bytes], seconds: float) -> Idle:
    before = {pid: proc.cpu_sec(pid) for pid in proc.family(dev.pid)}
    began = time.monotonic()
    time.sleep(seconds)
    after = proc.family(dev.pid)
    if missing := before.keys() - set(after):
        raise Unavailable(f"processes ended while cordum was idle: {', '.join(map(str, missing))}")
    costs = tuple(
        ProcessCost(proc.command(pid), proc.cpu_sec(pid) - before.get(pid, 0.0), proc.pss_mib(pid)) for pid in after
    )
    return Idle(time.monotonic() - began, costs)
