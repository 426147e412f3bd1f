"""A connection that counts what the scripts answer, and on demand breaks around the next call of one of them.

It breaks below the store's own way of sending again, which is what a fault has to meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import redis

from cordum.redis_address import RedisAddress
from cordum.store.connection import Call, Connection
from cordum.store.scripts import Library, word_of


class ProcessDied(BaseException):
    """The process that made the call is gone; no `except Exception` of it may go on."""


class Fault(StrEnum):
    NONE = "none"
    LOST_REPLY = "lost reply"  # carried out, but the connection breaks before the answer
    LOST_CALL = "lost call"  # the connection breaks before anything is carried out
    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"


class BreakableConnection(Connection):
    """`words` counts (script, first word of its reply), `happened` the faults that were met."""

    def __init__(self, address: RedisAddress, library: Library) -> None:
        self.client = redis.Redis(**{**address.redis_py_kwargs(), "decode_responses": True})
        super().__init__(self.client, library)
        self.words: Counter[tuple[str, str]] = Counter()
        self.happened: Counter[str] = Counter()
        self._faults: dict[str, Fault] = {}
        self._before: dict[str, Callable[[], object]] = {}
        self._flushed = False

    def break_next(self, script: str, fault: Fault) -> None:
        """The next call of this script meets this fault."""
        if fault is not Fault.NONE:
            self._faults[script] = fault

    def before_next(self, script: str, act: Callable[[], object]) -> None:
        """Somebody else is quicker: `act` happens just before the next call of this script."""
        self._before[script] = act

    def calm(self) -> None:
        """Forget the faults that nothing has met."""
        self._faults.clear()
        self._before.clear()

    def lose_scripts(self) -> None:
        self.client.script_flush()
        self._flushed = True

    def _send(self, calls: Sequence[Call], undivided: bool = False) -> list[tuple[Call, Any]]:
        names = [call.script.name for call in calls]
        for name in names:
            if act := self._before.pop(name, None):
                act()
        faults = [fault for name in names if (fault := self._faults.pop(name, None))]
        if Fault.DIES_BEFORE in faults:
            raise self._met(Fault.DIES_BEFORE, ProcessDied())
        if Fault.LOST_CALL in faults:
            raise self._met(Fault.LOST_CALL, redis.ConnectionError("broken on purpose"))
        replies = super()._send(calls, undivided)
        self.words.update((call.script.name, word_of(reply)) for call, reply in replies if isinstance(reply, list))
        if self._flushed:
            self._flushed = False
            self.happened["script not in the cache"] += 1
        if Fault.DIES_AFTER in faults:
            raise self._met(Fault.DIES_AFTER, ProcessDied())
        if Fault.LOST_REPLY in faults:
            raise self._met(Fault.LOST_REPLY, redis.ConnectionError("broken on purpose"))
        return replies

    def _met(self, fault: Fault, trouble: BaseException) -> BaseException:
        self.happened[fault.value] += 1
        return trouble
