"""Identifiers: their formats (CONTRACT.md section 1) and how a job id is put together and taken apart."""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from typing import NamedTuple

WORKFLOW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
STEP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
STEP_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\[[0-9]{1,9}\])*\Z")
TOPIC = re.compile(r"job(\.[A-Za-z0-9_-]+)+\Z")
TOPIC_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]{1,256}\Z")
MAX_TOPIC = 256
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
POOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
GROUP_ID = re.compile(r"[0-9a-f]{16}\Z")
BULK_ID = re.compile(r"bulk-[0-9a-f]{20}\Z")
RUN_ID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")

APPROVAL_TOPIC = "sys.approval.gate"

_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")
_JOB_ID = re.compile(r"(?P<run>[^:@]+):(?P<ref>[^:@]+)@(?P<attempt>[1-9][0-9]{0,8})\Z")


class JobId(NamedTuple):
    """`<run_id>:<step>@<attempt>`; `step` is a step id, or `<step id>[<i>]` for the child of a fan-out."""

    run_id: str
    step: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.run_id}:{self.step}@{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> JobId | None:
        """The parts of `text`, or None when it is not a job id."""
        match = _JOB_ID.match(text)
        return cls(match["run"], match["ref"], int(match["attempt"])) if match else None


def is_topic(text: str) -> bool:
    return len(text) <= MAX_TOPIC and TOPIC.match(text) is not None


def new_run_id(cell: str, now_ms: int, entropy: bytes) -> str:
    """A run id that sorts by time within its cell.

    The cell's name, 48 bits of milliseconds, 80 random bits (ten bytes).
    """
    if len(entropy) != 10:
        raise ValueError("a run id takes ten random bytes")
    return f"{cell}-{_digits((now_ms << 80) | int.from_bytes(entropy, 'big'), 26)}"


def child_run_id(parent: str, digest: bytes) -> str:
    """The id of a child run: always the same for the same parent and digest; it sorts beside its parent."""
    before, after = parent[:-16], int.from_bytes(digest[:10], "big")
    return f"{before}{_digits(after, 16)}"


def run_of_job(parent: str, job_id: str) -> str:
    """The id of the child run that this attempt of a step starts."""
    return child_run_id(parent, hashlib.sha256(job_id.encode()).digest())


def _digits(number: int, count: int) -> str:
    """The last `count` digits of a number of 160 bits at most, to the base of 32."""
    return b32encode(number.to_bytes(20, "big"))[-count:].translate(_TO_CROCKFORD).decode()
