"""Failpoints: named places at which a process can be made to fail, for tests of what then holds.

Owns the list of places, the language of the setting `failpoints`, and what each action does. Off unless that setting
says otherwise, and then a place costs one look at `ACTIVE`:

    if failpoints.ACTIVE:
        failpoints.reach("worker.before_acknowledgement")

Every script call is two places, `<script>.before` and `<script>.after`: the store's connection names them, so that a
new script has them without being asked. Each process counts for itself; a pool child goes on from its parent's count.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from cordum.config_files import did_you_mean
from cordum.errors import ConfigurationRefused

__all__ = [
    # what there is
    "ACTIONS",
    "Failpoint",
    "places",
    # switching them on and off
    "ACTIVE",
    "arm",
    "parse",
    # at the places
    "InjectedError",
    "LostReply",
    "reach",
    "times_reached",
]

ACTIVE = False
"""Whether any failpoint is set in this process; written by `arm` only."""

IN_THE_CODE: Mapping[str, str] = MappingProxyType(
    {
        "api.before_answer": "what a request asked for has happened, the answer has not left",
        "coordinator.before_acknowledgement": "all that was due has been advanced, the call is not acknowledged",
        "worker.after_claim_before_user": "the attempt is claimed, user code has not begun",
        "worker.after_user_before_record": "user code has ended, its outcome is known to this process only",
        "worker.before_acknowledgement": "the outcome is recorded, the message is not acknowledged",
    }
)

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "kill": "SIGKILL to this process",
        "stop": "SIGSTOP to this process, until somebody sends SIGCONT",
        "delay(MS)": "wait so many milliseconds, then go on",
        "error": "raise an error that nobody expects",
        "lost_reply": "the script ran; its reply is thrown away as by a broken connection (`<script>.after` only)",
    }
)

_ITEM = re.compile(r"(?P<place>[\w.]+)=(?P<action>[a-z_]+)(?:\((?P<ms>[0-9]{1,7})\))?(?:@(?P<nth>[1-9][0-9]{0,8}))?")
_EXAMPLE = "worker.after_user_before_record=kill@3;claim.after=delay(250)"


class InjectedError(RuntimeError):
    """What the action `error` raises."""


class LostReply(ConnectionError):
    """What the action `lost_reply` raises; the store's connection takes it for its own."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """What happens at a place: the `nth` time it is reached, or each time."""

    place: str
    action: str
    ms: int = 0
    nth: int | None = None

    def act(self) -> None:
        match self.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                # Sent to the process, another thread might take it, and this one go on for a moment.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            case "delay":
                time.sleep(self.ms / 1000)
            case "lost_reply":
                raise LostReply(f"failpoint {self.place}: the reply is lost")
            case _:
                raise InjectedError(f"failpoint {self.place}")


@cache
def places() -> Mapping[str, str]:
    """Every place by its name, with what has happened there."""
    found = dict(IN_THE_CODE)
    for name, about in _scripts().items():
        found[f"{name}.before"] = f"not sent yet: {about}"
        found[f"{name}.after"] = f"carried out, its reply not looked at: {about}"
    return MappingProxyType(dict(sorted(found.items())))


def _scripts() -> Mapping[str, str]:
    """The scripts by name, with the first line of what they say of themselves.

    Read from their files: the store, which calls them, lies above this module.
    """
    lua = files("cordum") / "store" / "lua"
    named = {one.name[:-4]: one for one in lua.iterdir() if re.fullmatch(r"[a-z]\w*\.lua", one.name)}
    firsts = {name: one.read_text().partition("\n")[0] for name, one in sorted(named.items())}
    return {name: line.removeprefix(f"-- {name}: ") for name, line in firsts.items()}


def parse(text: str) -> tuple[Failpoint, ...]:
    """`<place>=<action>[@<n>];…`; ConfigurationRefused says everything that is wrong, each with its mend."""
    items = [item.strip() for item in text.split(";") if item.strip()]
    problems = [problem for item in items if (problem := _problem(item))]
    if problems:
        raise ConfigurationRefused("\n".join(f"failpoints: {problem}" for problem in problems))
    return tuple(_failpoint(item) for item in items)


def _failpoint(item: str) -> Failpoint:
    found = _ITEM.fullmatch(item)
    assert found is not None
    nth = found["nth"]
    return Failpoint(found["place"], found["action"], int(found["ms"] or 0), None if nth is None else int(nth))


def _problem(item: str) -> str:
    """What is wrong with one item; empty when nothing is."""
    found = _ITEM.fullmatch(item)
    if found is None:
        return f"{item!r} cannot be read; write it as in {_EXAMPLE!r}"
    place, action = found["place"], found["action"]
    if place not in places():
        return f"there is no place {place!r}{did_you_mean(place, places())}; `cordum failpoints` lists them"
    known = [one.partition("(")[0] for one in ACTIONS]
    if action not in known:
        return f"there is no action {action!r}{did_you_mean(action, known)}; there are {', '.join(ACTIONS)}"
    if (action == "delay") != (found["ms"] is not None):
        return f"{item!r}: only a delay takes milliseconds, and it needs them, as in delay(250)"
    if action == "lost_reply" and (place in IN_THE_CODE or not place.endswith(".after")):
        return f"{item!r}: only a script has a reply to lose, at <script>.after"
    return ""


class _Armed:
    """The failpoints of this process, and how often each place has been reached."""

    def __init__(self, points: Sequence[Failpoint] = ()) -> None:
        self.points = tuple(points)
        self.times = dict.fromkeys((point.place for point in points), 0)
        self.lock = threading.Lock()

    def due(self, place: str) -> list[Failpoint]:
        with self.lock:
            self.times[place] += 1
            return [point for point in self.points if point.place == place and point.nth in (None, self.times[place])]


_armed = _Armed()


def arm(text: str | None) -> None:
    """Set the failpoints of this process in place of those it has; the same ones again keep their counts."""
    global _armed, ACTIVE
    points = parse(text or "")
    if points != _armed.points:
        _armed = _Armed(points)
    ACTIVE = bool(points)


def reach(place: str) -> None:
    """Do here what was asked for. Only to be called while ACTIVE."""
    armed = _armed
    if place in armed.times:
        for point in armed.due(place):
            point.act()


def times_reached(place: str) -> int:
    """How often this process has been at a place that something was asked for."""
    return _armed.times.get(place, 0)


def _after_fork() -> None:
    # Another thread of the parent may have held it.
    _armed.lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
