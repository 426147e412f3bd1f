"""What Linux says in /proc: who descends from whom, processor time, memory, how busy the machine is."""

from __future__ import annotations

import os
import time
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")

PRESENT = (_PROC / "self" / "smaps_rollup").exists()


def busy_share(seconds: float) -> float:
    """What share of all processors' time was in use, or taken by other machines, during the next `seconds`."""
    before = _processor_times()
    time.sleep(seconds)
    used = [now - then for now, then in zip(_processor_times(), before, strict=True)]
    idle = used[3] + used[4]
    return 1 - idle / sum(used) if sum(used) else 0.0


def _processor_times() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal, since the start of the machine."""
    return [int(ticks) for ticks in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]


def family(pid: int) -> list[int]:
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


def cpu_sec(pid: int) -> float:
    """User and system time, also of children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS_PER_SEC


def pss_mib(pid: int) -> float:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def command(pid: int) -> str:
    words = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return words.strip()
