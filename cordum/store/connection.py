"""The one way to Redis: calls scripts and plain reads, and turns what can go wrong into `Unavailable`.

redis-py's own retries are off: it would send a script again although the first sending may have been carried out.
Ours may be sent again because each of them is idempotent by token or by expected state, and answers the second call
like the first.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.retry import Retry

from cordum import failpoints
from cordum.errors import Unavailable
from cordum.redis_address import RedisAddress
from cordum.store.scripts import Argument, Library, Script, word_of
from cordum.store.wire import Wire

SOCKET_TIMEOUT_SEC = 5.0
CONNECT_TIMEOUT_SEC = 2.0
_PAUSES_SEC = (0.0, 0.05, 0.2)  # before the second, third and fourth sending

_T = TypeVar("_T")
# Before Redis 7 an error inside of a script comes wrapped: `Error running script (…): … -OOM command not allowed …`.
_FULL = re.compile(r"\A(OOM|MISCONF) |Error running script .* -(OOM|MISCONF) ", re.DOTALL)


class Call(NamedTuple):
    """A script with its keys and arguments, ready to be sent."""

    script: Script
    arguments: Sequence[Argument]


class Connection:
    """A pool of connections to one Redis, safe to share between threads, not between processes."""

    def __init__(self, client: redis.Redis, library: Library | None = None) -> None:
        self.library = library or Library()
        self._client = client
        self._wire = Wire(client.connection_pool)
        self._loaded: set[str] = set()  # scripts that this Redis has been given since it was last lost

    @classmethod
    def open(cls, address: RedisAddress, library: Library | None = None) -> Connection:
        """A connection to this Redis; nothing is sent before the first call."""
        client: redis.Redis = redis.Redis(
            **{
                **address.redis_py_kwargs(),
                "decode_responses": True,
                "socket_timeout": SOCKET_TIMEOUT_SEC,
                "socket_connect_timeout": CONNECT_TIMEOUT_SEC,
                "health_check_interval": 30,
                "retry": Retry(NoBackoff(), 0),
            }
        )
        return cls(client, library)

    def close(self) -> None:
        self._wire.close()
        self._client.close()

    def run(
        self,
        script: str,
        keys: Mapping[str, str],
        more_keys: Sequence[str] = (),
        more_args: Sequence[Argument] = (),
        **args: Argument,
    ) -> list[Any]:
        """Call a script; the reply is a list whose first element is one of the script's declared words."""
        return self.run_all([self.call(script, keys, more_keys, more_args, **args)])[0]

    def call(
        self,
        script: str,
        keys: Mapping[str, str],
        more_keys: Sequence[str] = (),
        more_args: Sequence[Argument] = (),
        **args: Argument,
    ) -> Call:
        """A call to be sent with others, by `run_all`."""
        chosen = self.library[script]
        names, values = chosen.arrange(keys, args, more_keys, more_args)
        return Call(chosen, (len(names), *names, *values))

    def run_all(self, calls: Sequence[Call]) -> list[list[Any]]:
        """Call scripts in one round trip, each for itself: one that is refused or fails does not undo another."""
        return self.guarded(lambda: [_checked(call.script, reply) for call, reply in self._send(calls)])

    def run_each(self, calls: Sequence[Call], *, undivided: bool = False) -> list[list[Any] | Exception]:
        """The same for calls that have nothing to do with each other: the error of one stands in its place.

        `undivided`: nothing of others comes between them, not even a message for one who waits for it.
        """
        return self.guarded(lambda: [_judged(call.script, reply) for call, reply in self._send(calls, undivided)])

    def _send(self, calls: Sequence[Call], undivided: bool = False) -> list[tuple[Call, Any]]:
        send = self._send_with_failpoints if failpoints.ACTIVE else self._exchange
        return list(zip(calls, send(calls, undivided), strict=True))

    def _send_with_failpoints(self, calls: Sequence[Call], undivided: bool) -> list[Any]:
        for call in calls:
            failpoints.reach(f"{call.script.name}.before")
        replies = self._exchange(calls, undivided)
        try:
            for call in calls:
                failpoints.reach(f"{call.script.name}.after")
        except failpoints.LostReply as lost:
            raise redis.ConnectionError(str(lost)) from lost
        return replies

    def _exchange(self, calls: Sequence[Call], undivided: bool) -> list[Any]:
        """The replies as they come, errors among them."""
        commands = [("EVALSHA", call.script.sha, *call.arguments) for call in calls]
        try:
            self._load({call.script for call in calls if call.script.sha not in self._loaded})
            replies = self._wire.transaction(commands) if undivided else self._wire.exchange(commands)
        except (redis.ConnectionError, redis.TimeoutError):
            # It may have been restarted, and then knows none.
            self._loaded.clear()
            raise
        unknown = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            # Somebody has flushed them. Others of these calls have been carried out before; no order is promised then.
            whole = [("EVAL", calls[number].script.source, *calls[number].arguments) for number in unknown]
            for number, reply in zip(unknown, self._wire.exchange(whole), strict=True):
                replies[number] = reply
        return replies

    def _load(self, scripts: Collection[Script]) -> None:
        """Before their first call: one that is sent whole after a refusal comes later than the calls behind it."""
        if scripts:
            replies = self._wire.exchange([("SCRIPT", "LOAD", script.source) for script in scripts])
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
            self._loaded.update(script.sha for script in scripts)

    def awaited(self, list_: str, seconds: float) -> bool:
        """Whether an element comes to the old end of a list within so long (less than the socket's time-out)."""
        return self.guarded(lambda: self._popped(list_, seconds)) is not None

    def _popped(self, list_: str, seconds: float) -> Any:
        reply = self._wire.exchange([("BRPOP", list_, f"{seconds:g}")])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def read(self, ask: Callable[[redis.Redis], _T]) -> _T:
        """Plain commands that may be sent twice: reads, and writes that set a value. `ask` gets the client."""
        return self.guarded(lambda: ask(self._client))

    def guarded(self, send: Callable[[], _T]) -> _T:
        """Send, and send again after a broken connection; what stays broken is `Unavailable`."""
        for pause in (*_PAUSES_SEC, None):
            try:
                return send()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if pause is None:
                    raise Unavailable("Redis cannot be reached", code="store_unavailable") from error
                time.sleep(pause)
            except ResponseError as error:
                if _is_full(error):
                    raise Unavailable(
                        "Redis takes no more writes: its memory or disk is full", code="storage_full"
                    ) from error
                raise
            except RedisError as error:
                raise Unavailable(f"Redis refused: {error}", code="store_unavailable") from error
        raise AssertionError("unreachable")


def _is_full(error: Exception) -> bool:
    """Whether Redis takes no more writes."""
    return isinstance(error, OutOfMemoryError) or _FULL.search(str(error)) is not None


def _judged(script: Script, reply: Any) -> list[Any] | Exception:
    """Redis that is full is nobody's own trouble, and raises."""
    try:
        return _checked(script, reply)
    except Exception as error:
        if _is_full(error):
            raise
        return error


def _checked(script: Script, reply: Any) -> list[Any]:
    if isinstance(reply, ResponseError):
        raise reply
    if word_of(reply) not in script.replies:
        raise RuntimeError(f"{script.name} answered {reply[0]!r}, which its header does not declare")
    answer: list[Any] = reply
    return answer
