"""The one way to Redis: calls scripts and plain reads, and turns what can go wrong into `Unavailable`.

redis-py's own retries are off: it would send a script again although the first sending may have been carried out.
Ours may be sent again because each of them is idempotent by token or by expected state, and answers the second call
like the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from cordum.errors import Unavailable
from cordum.redis_address import RedisAddress
from cordum.store.scripts import Argument, Library, word_of

SOCKET_TIMEOUT_SEC = 5.0
CONNECT_TIMEOUT_SEC = 2.0
_PAUSES_SEC = (0.0, 0.05, 0.2)  # before the second, third and fourth sending

_T = TypeVar("_T")
_FULL = ("OOM", "MISCONF")


class Connection:
    """A pool of connections to one Redis, safe to share between threads, not between processes."""

    def __init__(self, client: redis.Redis, library: Library | None = None) -> None:
        self.library = library or Library()
        self._client = client

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
        chosen = self.library[script]
        names, values = chosen.arrange(keys, args, more_keys, more_args)

        def send() -> list[Any]:
            try:
                reply = self._client.evalsha(chosen.sha, len(names), *names, *values)
            except NoScriptError:
                reply = self._client.eval(chosen.source, len(names), *names, *values)
            return cast(list[Any], reply)

        reply = self.guarded(send)
        if word_of(reply) not in chosen.replies:
            raise RuntimeError(f"{script} answered {reply[0]!r}, which its header does not declare")
        return reply

    def read(self, ask: Callable[[redis.Redis], _T]) -> _T:
        """A plain read; `ask` gets the client and must not write."""
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
                if str(error).startswith(_FULL):
                    raise Unavailable(
                        "Redis takes no more writes: its memory or disk is full", code="storage_full"
                    ) from error
                raise
            except RedisError as error:
                raise Unavailable(f"Redis refused: {error}", code="store_unavailable") from error
        raise AssertionError("unreachable")
