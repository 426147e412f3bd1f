"""kombu's Redis transport with the one thing taken out that cordum must not have: putting messages back its own way.

kombu restores unacknowledged messages at the newest end of their list. cordum tells a lost message from a waiting one
by the order of the list, and finds and sends lost ones again itself. So running jobs' messages are never restored, and
a message that comes too late to be worked on goes back to the oldest end, where it was.
"""

from __future__ import annotations

import json
from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import redis

__all__ = ["Amqp", "BrokerConnection", "Channel", "Transport"]


class Channel(redis.Channel):
    do_restore = False

    def close(self) -> None:
        kombu: Any = super()
        if self._in_poll and not self.closed:
            _hand_back_unread(self)
        kombu.close()

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        # As it came: `message.serializable()` would give a body of bytes, which kombu writes as something else.
        payload = message._raw
        channel: Any = self
        key = channel._q_for_pri(
            message.delivery_info["routing_key"], channel._get_message_priority(payload, reverse=False)
        )
        with channel.conn_or_acquire() as client:
            client.rpush(key, json.dumps(payload, separators=(",", ":")))


def _hand_back_unread(channel: Any) -> None:
    """A blocking pop may be under way when a channel is closed: what it brings goes back untouched."""
    try:
        reply = channel.client.parse_response(channel.client.connection, "BRPOP")
        if reply:
            with channel.conn_or_acquire() as client:
                client.rpush(*reply)
    except channel.connection_errors:
        channel.client.connection.disconnect()
    finally:
        channel._in_poll = None


class Transport(redis.Transport):
    Channel = Channel


class BrokerConnection(Connection):
    """Uses our transport whatever the URL says: a scheme such as `redis+socket` would otherwise choose kombu's."""

    def get_transport_cls(self) -> type[Transport]:
        return Transport


class Amqp(AMQP):
    Connection = BrokerConnection
