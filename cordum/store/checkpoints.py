"""The file of checkpoints: what the audit's chain was at a time, kept where Redis cannot change it.

JSON lines, only ever appended and synced to disk. Several processes may write the same file: each line is one write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cordum.domain.audit import Checkpoint

_FIELDS = {"cell": str, "tenant": str, "sequence": int, "link": str, "at": int, "key_id": str, "signature": str}


class CheckpointFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Raises OSError when they are not safely on disk."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = "".join(json.dumps(asdict(one), separators=(",", ":")) + "\n" for one in checkpoints)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self) -> tuple[list[Checkpoint], int]:
        """All checkpoints, and how many lines are none.

        A file that is not there has no lines; one that cannot be read counts as one that is no checkpoint.
        """
        found: list[Checkpoint] = []
        broken = 0
        try:
            with self.path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    one = _checkpoint(line)
                    if one is None:
                        broken += 1
                    else:
                        found.append(one)
        except FileNotFoundError:
            pass
        except OSError:
            broken += 1
        return found, broken


def _checkpoint(line: str) -> Checkpoint | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    fits = isinstance(fields, dict) and fields.keys() == _FIELDS.keys()
    if not fits or not all(type(fields[name]) is kind for name, kind in _FIELDS.items()):
        return None
    return Checkpoint(**fields)
