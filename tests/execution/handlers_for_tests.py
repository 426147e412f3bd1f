"""Handlers that real workers load in the tests. Each tells a journal what happened, whatever process it runs in."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import signals

from cordum import Fatal, Retry, job

_journal = Path(os.environ["JOURNAL"])
_sockets_at_fork = 0


def tell(*words: object) -> None:
    with _journal.open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def wait_for(name: str) -> None:
    while not (_journal.parent / name).exists():
        time.sleep(0.01)


def open_sockets() -> int:
    links = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path)]
    return sum(link.startswith("socket:") for link in links)


def _before_fork() -> None:
    global _sockets_at_fork
    _sockets_at_fork = open_sockets()


os.register_at_fork(before=_before_fork, after_in_child=lambda: tell("forked", _sockets_at_fork))


@job("job.t.echo")
def echo(ctx: Any, **given: Any) -> Any:
    tell("echo", ctx.job_id)
    ctx.log.info("echoing", keys=len(given))
    return given


@job("job.t.async")
async def later(ctx: Any, n: int) -> Any:
    await asyncio.sleep(0.01)
    return {"n": n + 1}


@job("job.t.fatal")
def fatal(ctx: Any) -> None:
    raise Fatal("no use")


@job("job.t.flaky")
def flaky(ctx: Any) -> Any:
    tell("flaky", ctx.attempt)
    if ctx.attempt == 1:
        raise Retry("once more", after=0.05)
    return ctx.attempt


@job("job.t.broken")
def broken(ctx: Any) -> None:
    raise ValueError("broken")


@job("job.t.unkeepable")
def unkeepable(ctx: Any) -> Any:
    return {"a": {1, 2}}


@job("job.t.until_stopped")
def until_stopped(ctx: Any) -> None:
    tell("started", ctx.job_id)
    while not ctx.cancelled:
        time.sleep(0.02)
    tell("stopped", ctx.job_id)


@job("job.t.sockets")
def sockets(ctx: Any) -> int:
    return open_sockets()


@job("job.t.current")
def current(ctx: Any) -> Any:
    """What libraries of Celery's users ask."""
    from celery import current_task

    return [current_task.name, current_task.request.id, current_task.request.retries]


@job("job.t.limited")
def limited(ctx: Any) -> Any:
    tell("limited", ctx.job_id)
    while ctx.attempt == 1:
        time.sleep(0.02)
    return ctx.attempt


def _signalled(name: str) -> None:
    def on_signal(sender: Any, **_: Any) -> None:
        if isinstance(getattr(sender, "name", None), str) and sender.name.startswith("job.t."):
            tell(name, sender.name)

    getattr(signals, f"task_{name}").connect(on_signal, weak=False)


for _name in ("prerun", "success", "failure", "retry", "postrun"):
    _signalled(_name)


@job("job.t.gated")
def gated(ctx: Any) -> Any:
    tell("gated", ctx.job_id)
    wait_for("gate")
    return "through"


@job("job.t.dies_once")
def dies_once(ctx: Any) -> Any:
    tell("dies_once", ctx.attempt)
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.attempt


@job("job.t.once")
def once(ctx: Any) -> Any:
    ctx.progress(0.5, "half")
    return [ctx.once("mail"), ctx.once("mail"), ctx.idempotency_key]


@job("job.t.mixed")
def mixed(ctx: Any, how: str = "") -> Any:
    """Short, unless told otherwise."""
    tell("mixed", ctx.job_id)
    if how == "wait":
        wait_for("gate")
    if how == "die" and ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.attempt
