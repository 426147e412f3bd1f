"""Texts and lists of texts in one value, as MessagePack: what Redis' Lua takes apart at once (`cmsgpack.unpack`)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

Packed: TypeAlias = str | Sequence["Packed"]


def pack(value: Packed) -> bytes:
    if not isinstance(value, str):
        size = len(value)
        head = bytes((0x90 | size,)) if size < 16 else struct.pack(">BH", 0xDC, size)
        return head + b"".join(map(pack, value))
    text = value.encode()
    size = len(text)
    if size < 32:
        return bytes((0xA0 | size,)) + text
    return (struct.pack(">BH", 0xDA, size) if size < 65536 else struct.pack(">BI", 0xDB, size)) + text
