"""Handlers that do not end as they should, for workers that real tests load. Each tells the journal that it began."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from typing import Any

from cordum import Retry, job
from tests.execution.handlers_for_tests import tell, wait_for


@job("job.e.quick")
def quick(ctx: Any, n: int = 0) -> int:
    tell("quick", ctx.job_id)
    time.sleep(0.02)
    return n


@job("job.e.gated")
def gated(ctx: Any) -> int:
    tell("gated", ctx.job_id, os.getpid())
    if ctx.attempt == 1:
        wait_for("gate")
    return int(ctx.attempt)


@job("job.e.stuck")
def stuck(ctx: Any) -> int:
    """Its first attempt never ends and never asks."""
    tell("stuck", ctx.job_id, os.getpid())
    while ctx.attempt == 1:
        time.sleep(0.02)
    return int(ctx.attempt)


@job("job.e.stubborn")
def stubborn(ctx: Any) -> None:
    """Does not even end at a SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stuck(ctx)


@job("job.e.swallows")
def swallows(ctx: Any) -> str:
    """Takes the signal that ends it for an error of its own."""
    try:
        stuck(ctx)
    except SystemExit:
        tell("swallowed", ctx.job_id)
    return "went on"


@job("job.e.obedient")
def obedient(ctx: Any) -> None:
    tell("obedient", ctx.job_id)
    while not ctx.cancelled:
        time.sleep(0.02)
    tell("obeyed", ctx.job_id)


@job("job.e.flaky")
def flaky(ctx: Any) -> int:
    if ctx.attempt == 1:
        raise Retry("once more", after=0.01)
    return int(ctx.attempt)


@job("job.e.dies")
def dies(ctx: Any, how: str, times: int) -> int:
    tell("dies", ctx.job_id)
    if ctx.attempt <= times:
        _WAYS[how]()
    return int(ctx.attempt)


@job("job.e.holds_the_lock")
def holds_the_lock(ctx: Any, seconds: float) -> int:
    """Nothing else in this process can run meanwhile: PyDLL does not let go of the interpreter lock."""
    tell("holds", ctx.job_id)
    if ctx.attempt == 1:
        libc = ctypes.PyDLL(None)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            libc.usleep(900_000)
    return int(ctx.attempt)


def _out_of_memory() -> None:
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


_WAYS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "exit 0": lambda: os._exit(0),
    "exit 1": lambda: os._exit(1),
    "terminated": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "out of memory": _out_of_memory,
}
