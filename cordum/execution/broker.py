"""kombu's Redis transport with the one thing taken out that cordum must not have: putting messages back its own way.

kombu restores unacknowledged messages at the newest end of their list. cordum tells a lost message from a waiting one
by the order of the list, and finds and sends lost ones again itself. So running jobs' messages are never restored, and
a message that comes too late to be worked on goes back to the oldest end, where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis
from kombu.utils.url import maybe_sanitize_url

from cordum.domain.routing import is_direct

__all__ = ["Amqp", "BrokerConnection", "Channel", "Transport"]


class Channel(redis.Channel):
    do_restore = False

    def close(self) -> None:
        kombu: Any = super()
        if not self.closed:
            self.hand_back_unread()
        kombu.close()

    def hand_back_unread(self) -> None:
        """A blocking pop may be under way when consuming ends: what it brings goes back untouched."""
        channel: Any = self
        if not channel._in_poll:
            return
        try:
            reply = channel.client.parse_response(channel.client.connection, "BRPOP")
            if reply:
                with channel.conn_or_acquire() as client:
                    client.rpush(*reply)
        except channel.connection_errors:
            channel.client.connection.disconnect()
        finally:
            channel._in_poll = None

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        if is_direct(message.delivery_info["routing_key"]):
            return  # the engine finds it unclaimed, and another worker for it
        # As it came: `message.serializable()` would give a body of bytes, which kombu writes as something else.
        payload = message._raw
        channel: Any = self
        key = channel._q_for_pri(
            message.delivery_info["routing_key"], channel._get_message_priority(payload, reverse=False)
        )
        with channel.conn_or_acquire() as client:
            client.rpush(key, json.dumps(payload, separators=(",", ":")))


class Transport(redis.Transport):
    """`first_to_hear` is given each message as it was read, with its queue, and says whether it has taken it: for what
    needs none of kombu's own work on a message, which costs as much as the rest of its way.
    """

    Channel = Channel
    first_to_hear: Callable[[Any, str], bool] | None = None

    def _deliver(self, message: Any, queue: str) -> None:
        # Without a callback the queue is not consumed any more, and kombu puts back what has come too late.
        if self.first_to_hear is not None and queue in self._callbacks and self.first_to_hear(message, queue):
            return
        # The message says its topic, wherever it lies; who handles it has to know that it came to this worker alone.
        if is_direct(queue):
            message["properties"]["delivery_info"]["routing_key"] = queue
        kombu: Any = super()
        kombu._deliver(message, queue)


class BrokerConnection(Connection):
    """Uses our transport whatever the URL says: a scheme such as `redis+socket` would otherwise choose kombu's."""

    def get_transport_cls(self) -> type[Transport]:
        return Transport

    def info(self) -> dict[str, Any]:
        """What `inspect stats` and Flower show: they leave out the password, but not the one in a socket's URL."""
        kombu: Any = super()
        told: dict[str, Any] = kombu.info()
        return told | {"hostname": maybe_sanitize_url(told["hostname"])}


class Amqp(AMQP):
    Connection = BrokerConnection
