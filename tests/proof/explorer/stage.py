"""A real Redis that can be put into any moment, makes one call there, and tells the moment that follows.

What was done once is remembered: the same call in the same moment ends the same way, because the clock is virtual.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import redis

from cordum.store.scripts import Library
from tests.proof.explorer.moment import Entry, Moment
from tests.proof.explorer.tape import Call, Read

_LOOK = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local value
  if kind == 'string' then value = redis.call('GET', key)
  elseif kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  else value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end
  found[#found + 1] = {key, kind, value}
end
return cjson.encode(found)
"""
_PUT = """
for _, entry in ipairs(cjson.decode(ARGV[1])) do
  local key, kind, value = entry[1], entry[2], entry[3]
  redis.call('DEL', key)
  if kind == 'string' then redis.call('SET', key, value)
  elseif kind == 'hash' then redis.call('HSET', key, unpack(value))
  elseif kind == 'list' then redis.call('RPUSH', key, unpack(value))
  elseif kind == 'set' then redis.call('SADD', key, unpack(value))
  elseif kind == 'zset' then for i = 1, #value, 2 do redis.call('ZADD', key, value[i + 1], value[i]) end end
end
return 'OK'
"""


class Stage:
    def __init__(self, client: redis.Redis) -> None:
        self.calls = 0  # that were really made
        self._client = client
        self._look = client.script_load(_LOOK)
        self._put = client.script_load(_PUT)
        self._loaded: set[str] = set()
        self._entries: dict[Any, Entry] = {}
        self._moments: dict[Any, Moment] = {}
        self._done: dict[Any, tuple[Any, Moment]] = {}
        self._read: dict[Any, Any] = {}
        self._live: Mapping[str, Entry] = {}

    def empty(self) -> None:
        self._client.flushall()
        self._live = {}

    def present(self) -> Moment:
        """The moment Redis is in now."""
        return self._seen(self._client.evalsha(self._look, 0))

    def do(self, moment: Moment, call: Call, library: Library) -> tuple[Any, Moment]:
        """Make a call in this moment: the reply (or the exception it raised), and the moment that follows."""
        source = library[call.name].sha if call.keys else ""
        known = self._done.get((moment, call, source))
        if known is None:
            known = self._done[moment, call, source] = self._really(moment, call, library)
        return known

    def read(self, moment: Moment, read: Read, asker: object) -> Any:
        """Ask something in this moment; `asker` stands for the question."""
        if (moment, asker) not in self._read:
            changes = self._changes(moment)
            if changes is not None:
                self._client.evalsha(self._put, 0, changes)
            self._live = moment.entries
            self._read[moment, asker] = read.ask(self._client)
        return self._read[moment, asker]

    def _really(self, moment: Moment, call: Call, library: Library) -> tuple[Any, Moment]:
        self.calls += 1
        with self._client.pipeline(transaction=False) as pipe:
            changes = self._changes(moment)
            if changes is not None:
                pipe.evalsha(self._put, 0, changes)
            if call.keys:
                pipe.evalsha(self._sha(call.name, library), len(call.keys), *call.keys, *call.args)
            else:
                pipe.execute_command(call.name, *call.args)
            pipe.evalsha(self._look, 0)
            *_, reply, look = pipe.execute(raise_on_error=False)
        return _ordered(call.name, reply), self._seen(look)

    def _sha(self, name: str, library: Library) -> str:
        script = library[name]
        if script.sha not in self._loaded:
            self._client.script_load(script.source)
            self._loaded.add(script.sha)
        return script.sha

    def _changes(self, moment: Moment) -> bytes | None:
        """What must be written to bring Redis from where it is into this moment."""
        there, here = moment.entries, self._live
        changed: list[Any] = [(key, e.kind, e.value) for key, e in there.items() if here.get(key) is not e]
        changed += [(key, "none") for key in here if key not in there]
        return orjson.dumps(changed) if changed else None

    def _seen(self, look: Any) -> Moment:
        entries = {key: self._entry(key, kind, raw) for key, kind, raw in orjson.loads(look)}
        self._live = entries
        name = frozenset((key, entry.compared) for key, entry in entries.items())
        return self._moments.setdefault(name, Moment(entries))

    def _entry(self, key: str, kind: str, raw: Any) -> Entry:
        entry = Entry.of(key, kind, raw)
        return self._entries.setdefault((key, entry.value), entry)


def _ordered(name: str, reply: Any) -> Any:
    """A hash has no order; a snapshot must not depend on the one it happened to come in."""
    if not isinstance(reply, list) or reply[0] not in ("FOUND", "CREATED"):
        return reply
    match name:
        case "read_run":
            return [reply[0], _ordered_snapshot(reply[1])]
        case "create_run" if len(reply) > 2:
            return [*reply[:2], _ordered_snapshot(reply[2]), _sorted_pairs(reply[3])]
    return reply


def _ordered_snapshot(parts: list[Any]) -> list[Any]:
    return [*parts[:2], *(_sorted_pairs(flat) for flat in parts[2:])]


def _sorted_pairs(flat: list[str]) -> list[str]:
    return [part for pair in sorted(zip(flat[::2], flat[1::2], strict=True)) for part in pair]
