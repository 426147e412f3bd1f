"""What Python packs, Redis' Lua takes apart as it was."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from cordum.redis_address import RedisAddress
from cordum.store.packed import Packed, pack

SIZES = (0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536)


@pytest.mark.parametrize("value", [*("ü" * (size // 2) + "x" * (size % 2) for size in SIZES)], ids=SIZES)
def test_texts(value: str, redis_address: RedisAddress) -> None:
    assert unpacked([value], redis_address) == [value]


@pytest.mark.parametrize(
    "value",
    [[], ["a"] * 15, ["a"] * 16, [str(n) for n in range(3000)], [[], ["a", ["b"]], "c"], ["\x00\n\x7f"]],
)
def test_lists(value: list[Packed], redis_address: RedisAddress) -> None:
    assert unpacked(value, redis_address) == value


def unpacked(value: Packed, address: RedisAddress) -> Any:
    with Redis(**address.redis_py_kwargs(), decode_responses=True) as client:
        return client.eval("return cmsgpack.unpack(ARGV[1])", 0, pack(value))
