"""An exported audit, judged by itself: no Redis is asked, only keys and checkpoints that the reader has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from cordum.domain.audit import Checkpoint, Judge, Keyring
from cordum.engine.audit import FORMAT, canonical, report_of
from cordum.errors import Unprocessable

_HEADER = {"format": str, "cell": str, "tenant": str, "exported_at": str, "records": int, "sealed": int, "head": str}


def verify_export(lines: Iterable[bytes], keyring: Keyring, checkpoints: Sequence[Checkpoint] = ()) -> dict[str, Any]:
    """Whether these lines are what was exported, and that what was written. Unprocessable when they are no export."""
    rest = iter(lines)
    header = _header(next(rest, b""))
    # What the header says of the chain's end is one more checkpoint.
    own = Checkpoint(header["cell"], header["tenant"], header["sealed"], header["head"], 0)
    judge = Judge(own.cell, own.tenant, keyring, [*checkpoints, own] if own.sequence else checkpoints)
    if keyring.secrets and not _signed(header, keyring):
        judge.tell(0, "header", "the export's first line is not signed by a known key")
    for line in rest:
        record, seal = _line(line)
        judge.add(record, seal.get)
    return report_of(own.tenant, judge.verdict(header["records"], header["sealed"]), keyring)


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    fits = isinstance(header, dict) and all(type(header.get(name)) is kind for name, kind in _HEADER.items())
    if not isinstance(header, dict) or not fits or header["format"] != FORMAT:
        raise Unprocessable("this is no export of an audit: its first line must say what it is")
    return header


def _signed(header: dict[str, Any], keyring: Keyring) -> bool:
    said = {name: value for name, value in header.items() if name not in ("key_id", "signature")}
    return keyring.signed(str(header.get("key_id")), str(header.get("signature")), canonical(said))


def _line(line: bytes) -> tuple[bytes, dict[int, bytes]]:
    """A record, and its seal by its number; of what is no line, nothing."""
    try:
        found = json.loads(line)
        seal = found["seal"]
        return found["record"].encode(), {} if seal is None else {found["sequence"]: seal.encode()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return b"", {}
