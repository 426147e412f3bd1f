"""What an idle `cordum dev` costs: processor seconds and proportional memory of all its processes, read from /proc."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cordum.bench.processes import Processes, clean_environment, wait_for
from cordum.errors import Unavailable

BUDGET_CPU_SEC_PER_MINUTE = 3.0
BUDGET_PSS_MIB = 400.0
_READY_SEC = 60.0
_SETTLE_SEC = 3.0
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


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
    if not _PROC.is_dir():
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
    before = {pid: _cpu_sec(pid) for pid in _family(dev.pid)}
    began = time.monotonic()
    time.sleep(seconds)
    after = _family(dev.pid)
    if missing := before.keys() - set(after):
        raise Unavailable(f"processes ended while cordum was idle: {', '.join(map(str, missing))}")
    costs = tuple(ProcessCost(_command(pid), _cpu_sec(pid) - before.get(pid, 0.0), _pss_mib(pid)) for pid in after)
    return Idle(time.monotonic() - began, costs)


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name, from the state on; empty when the process has ended."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_sec(pid: int) -> float:
    """User and system time, also of children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS_PER_SEC


def _pss_mib(pid: int) -> float:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _command(pid: int) -> str:
    words = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return words.strip()
