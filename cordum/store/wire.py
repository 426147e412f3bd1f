"""Connections of our own under the scripts: redis-py's client and pool around a call cost more than the call itself.

A connection is used by one thread at a time and thrown away after any trouble, so that no reply is ever taken for
another's. Not to be shared between processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from hiredis import pack_command
from redis.exceptions import ResponseError

from cordum.store.scripts import Argument


class Wire:
    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._idle: list[Any] = []

    def exchange(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send all, then read the reply to each; a reply that is an error stands in its place as an exception."""
        connection = self._take()
        try:
            connection.send_packed_command([b"".join(map(_packed, commands))])
            replies = [_reply(connection) for _ in commands]
        except (redis.ConnectionError, redis.TimeoutError):
            # Whatever ended this connection has probably ended the others, too.
            self.close()
            connection.disconnect()
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return replies

    def transaction(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """The same without anything of others in between."""
        *queued, replies = self.exchange([("MULTI",), *commands, ("EXEC",)])
        if isinstance(replies, Exception):
            # What was not even queued says why.
            raise next((one for one in queued if isinstance(one, Exception)), replies)
        return list(replies)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().disconnect()

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._pool.connection_class(**self._pool.connection_kwargs)


def _packed(command: Sequence[Argument]) -> bytes:
    """Without redis-py's look at each argument: ours are texts, bytes and whole numbers."""
    parts: Any = tuple(command)
    packed: bytes = pack_command(parts)
    return packed


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
