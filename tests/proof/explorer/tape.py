"""Stops cordum's own code at every call it makes to Redis, and lets it go on with a recorded answer.

An actor is plain code. It is started again from its beginning for each of its calls, with the answers to the calls
before; at the first call without an answer it is stopped. So any actor can be taken back to any point of its life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import redis

from cordum.store import connection
from cordum.store.connection import Connection
from cordum.store.scripts import Argument, Library


class Paused(BaseException):
    """The actor waits for an answer that is not there yet. No code of cordum's may catch it."""


@dataclass(frozen=True)
class Call:
    """One call that may write: a script by its name, or a plain command."""

    name: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    named: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        told = (self.named[name] for name in ("job_id", "run_id", "incarnation", "actor") if name in self.named)
        return f"{self.name}({next(told, ', '.join(self.args) if len(self.args) < 3 else '')})"


@dataclass(frozen=True, eq=False)
class Read:
    """Plain reads; `ask` gets a client."""

    ask: Callable[[Any], Any]


Pending: TypeAlias = Call | Read


class Tape(Connection):
    """A connection without Redis: answers what is recorded, stops at what is not."""

    def __init__(self, library: Library) -> None:
        super().__init__(redis.Redis(), library)  # nothing is ever sent
        self._answers: Sequence[Any] = ()
        self._position = 0
        self.pending: Pending | None = None

    def rewind(self, answers: Sequence[Any]) -> None:
        self._answers, self._position, self.pending = answers, 0, None

    def run(
        self,
        script: str,
        keys: Mapping[str, str],
        more_keys: Sequence[str] = (),
        more_args: Sequence[Argument] = (),
        **args: Argument,
    ) -> list[Any]:
        return list(self._answer(self.call(script, keys, more_keys, more_args, **args)))

    def call(
        self,
        script: str,
        keys: Mapping[str, str],
        more_keys: Sequence[str] = (),
        more_args: Sequence[Argument] = (),
        **args: Argument,
    ) -> Any:
        return _told(super().call(script, keys, more_keys, more_args, **args))

    def run_all(self, calls: Sequence[Any]) -> list[list[Any]]:
        """Calls that are sent together are carried out one by one: others may come in between."""
        return [list(self._answer(call if isinstance(call, Call) else _told(call))) for call in calls]

    def run_each(self, calls: Sequence[Any], *, undivided: bool = False) -> list[list[Any] | Exception]:
        return [*self.run_all(calls)]

    def command(self, name: str, *args: str) -> Any:
        return self._answer(Call(name, (), args))

    def read(self, ask: Callable[[Any], Any]) -> Any:
        return self._answer(Read(ask))

    def _answer(self, call: Pending) -> Any:
        if self._position == len(self._answers):
            self.pending = call
            raise Paused
        answer = self._answers[self._position]
        self._position += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


def _told(call: connection.Call) -> Call:
    script, (keys, *parts) = call
    names, values = parts[: int(keys)], [str(value) for value in parts[int(keys) :]]
    if "coordinator" in script.keys:
        values[script.args.index("message")] = "call"  # the real one differs by a random tag that nobody reads
    return Call(script.name, tuple(map(str, names)), tuple(values), dict(zip(script.args, values, strict=False)))
