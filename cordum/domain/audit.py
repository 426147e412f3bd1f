"""The audit as values: what goes into it, its chain of hashes, and the judge who says where it has been changed.

A record is the bytes that a script has appended: `<number> <milliseconds> <subject> <event JSON>`. Numbers count from 1
for each tenant. Link n of the chain is SHA-256 over number, link n - 1 and record n; where there is a key, it is signed
with HMAC-SHA-256. A *seal* is a link with its signature, as text: `<link>` or `<link> <key id> <signature>`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from cordum.domain.plan import Event

KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")
LEAST_SECRET_BYTES = 16
_WIDEST_GAP = 1_000_000  # a record that claims a larger one lies about its number

AUDITED = frozenset(
    {
        *("run.created", "run.succeeded", "run.failed", "run.denied", "run.timed_out", "run.cancelled"),
        *("run.reopened", "run.migrated", "step.decision"),
        *("approval.requested", "approval.escalated", "approval.expired"),
        *("dead_letter.added", "dead_letter.replayed", "dead_letter.discarded"),
        *("compensation.started", "compensation.finished"),
    }
)
"""What cordum does by itself and answers for. Whatever a person has done is audited beside these."""


def audited(event: Event) -> bool:
    """Whether an event of a plan goes into the audit."""
    return event.type in AUDITED or event.actor is not None


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something that is about no run, why, and in whose audit it is told."""

    by: str
    tenant: str
    reason: str = ""

    def event(self, type: str, **data: Any) -> Event:
        """The event of the act; the reason is in its data, where one was given."""
        return Event(type, actor=self.by, data=data | ({"reason": self.reason} if self.reason else {}))


# -- records -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """What one record tells, and what it is about.

    `subject`: `run:<id>`, `workflow:<id>@<version>`, `policy:<epoch>`, `policy_draft:<id>`, `api_key:<id>`,
    `queue:<topic>`, `worker:<incarnation>`, `pool:<name>`, `pools:<epoch>`, `schedule:<id>`,
    `hook:<id>`, `bulk_retry:<id>`.
    """

    number: int
    at: int  # milliseconds
    subject: str
    event: Mapping[str, Any]


def number_of(raw: bytes) -> int | None:
    """The number of the record in these bytes; None when they hold none. All that a judge needs, and cheap."""
    parts = raw.split(b" ", 3)
    return int(parts[0]) if len(parts) == 4 and parts[0].isdigit() and len(parts[0]) < 19 else None


def read_record(raw: bytes) -> Record | None:
    """The record in these bytes; None when they hold none."""
    try:
        number, at, subject, text = raw.decode().split(" ", 3)
        event = json.loads(text)
        return Record(int(number), int(at), subject, event) if isinstance(event, dict) else None
    except ValueError:  # also what is not UTF-8
        return None


# -- the chain ---------------------------------------------------------------------------------------------------


def first_link(cell: str, tenant: str) -> str:
    """What the first record is linked to, so that one tenant's chain cannot stand in for another's."""
    return hashlib.sha256(f"cordum audit\n{cell}\n{tenant}".encode()).hexdigest()


def next_link(number: int, previous: str, record: bytes) -> str:
    return hashlib.sha256(b"%d\n%s\n" % (number, previous.encode()) + record).hexdigest()


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of the chain, signed or not (`key_id` empty)."""

    link: str
    key_id: str = ""
    signature: str = ""

    def text(self) -> str:
        return f"{self.link} {self.key_id} {self.signature}" if self.key_id else self.link

    @classmethod
    def parse(cls, raw: bytes) -> Seal:
        parts = raw.decode("utf-8", "replace").split(" ")
        return cls(*parts) if len(parts) == 3 else cls(parts[0])


@dataclass(frozen=True)
class Keyring:
    """Secrets by key id; the active one signs, all of them verify. Without an active one nothing is signed."""

    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    active: str | None = None

    def seal(self, link: str) -> Seal:
        """The link, signed by the active key if there is one."""
        return Seal(link) if self.active is None else Seal(link, self.active, self.sign(self.active, link))

    def sign(self, key_id: str, text: str) -> str:
        return hmac.digest(self.secrets[key_id], f"cordum audit\n{text}".encode(), "sha256").hex()

    def signed(self, key_id: str, signature: str, text: str) -> bool:
        """Whether a key of this ring has signed this text."""
        if key_id not in self.secrets:
            return False
        return hmac.compare_digest(self.sign(key_id, text).encode(), signature.encode("utf-8", "replace"))


# -- checkpoints -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was the last link of a tenant's chain at a time, told where Redis cannot change it."""

    cell: str
    tenant: str
    sequence: int
    link: str
    at: int
    key_id: str = ""
    signature: str = ""

    def said(self) -> str:
        """What the signature is over."""
        return f"checkpoint\n{self.cell}\n{self.tenant}\n{self.sequence}\n{self.link}\n{self.at}"


# -- the judge ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be unless somebody has changed the audit; `sequence`: the first record it is about."""

    sequence: int
    code: str
    message: str


class Judge:
    """Looks at an audit from its first record to its last, each with its seal.

    With keys every seal has to be signed by one of them, but for those that were made before the first key: a later
    signature covers those.
    """

    MOST_FINDINGS = 100

    def __init__(self, cell: str, tenant: str, keyring: Keyring, checkpoints: Sequence[Checkpoint] = ()) -> None:
        self._keyring = keyring
        self._expected = 1  # number of the next record
        self._link: str | None = first_link(cell, tenant)  # the link before it; None: not known
        self._missing: set[int] = set()
        self._found: list[Finding] = []
        self._findings = 0
        self._first_since: int | None = None  # of what was found since the last checkpoint that agreed
        self._unsigned: int | None = None  # the first of the unsigned seals that no signed one has followed
        self._key_ids: set[str] = set()
        self._sealed = 0
        self._bare: int | None = None  # the first record without a seal that no sealed one has followed
        self._checkpoints = self._trusted([one for one in checkpoints if (one.cell, one.tenant) == (cell, tenant)])
        self._last_agreed = 0

    def _trusted(self, points: Sequence[Checkpoint]) -> dict[int, str]:
        """The checkpoints by number; one that is signed wrongly counts for nothing, but is a finding.

        One that is not signed is used: checkpoints only ever add to what is found.
        """
        found: dict[int, str] = {}
        for point in points:
            wrong = point.key_id and not self._keyring.signed(point.key_id, point.signature, point.said())
            if wrong and self._keyring.secrets:
                self.tell(point.sequence, "checkpoint_signature", "this checkpoint is not signed by a known key")
            elif found.setdefault(point.sequence, point.link) != point.link:
                self.tell(point.sequence, "checkpoints_differ", "two checkpoints tell of different chains")
        return found

    # -- looking -------------------------------------------------------------------------------------------------

    def add(self, raw: bytes, seal_of: Callable[[int], bytes | None]) -> None:
        """The next record as it lies there; `seal_of` gives the seal of a number, None when it is not there."""
        told = number_of(raw)
        number = self._expected if told is None else told
        if told is None:
            self.tell(number, "unreadable", "this is no record")
        elif number < self._expected:
            self._out_of_place(number)
            return
        elif number - self._expected > _WIDEST_GAP:
            self.tell(self._expected, "unreadable", f"a record says here that it is number {number}")
            number = self._expected
        for gone in range(self._expected, number):
            self._missing.add(gone)
            self._judge_seal(gone, None, seal_of(gone))
        self._judge_seal(number, raw, seal_of(number))
        self._expected = number + 1

    def _out_of_place(self, number: int) -> None:
        if number in self._missing:
            self._missing.discard(number)
            self.tell(number, "out_of_order", f"record {number} stands behind record {self._expected - 1}")
        else:
            self.tell(number, "inserted", f"there is more than one record {number}")

    def _judge_seal(self, number: int, raw: bytes | None, told: bytes | None) -> None:
        previous, self._link = self._link, None
        if told is None:
            self._bare = self._bare or number
            return
        if self._bare is not None:
            self.tell(self._bare, "unsealed", f"record {self._bare} has no seal, later ones have")
            self._bare = None
        seal = Seal.parse(told)
        self._link, self._sealed = seal.link, number
        if raw is not None and previous is not None and next_link(number, previous, raw) != seal.link:
            self.tell(number, "changed", f"record {number} or its seal is not what it was")
        self._check_signature(number, seal)
        self._check_checkpoint(number, seal.link)

    def _check_signature(self, number: int, seal: Seal) -> None:
        if seal.key_id:
            self._key_ids.add(seal.key_id)
        if not self._keyring.secrets:
            return
        if not seal.key_id:
            if self._unsigned is None:
                self._unsigned = number
            if self._key_ids:
                self.tell(number, "unsigned", f"seal {number} is not signed, an earlier one is")
        elif not self._keyring.signed(seal.key_id, seal.signature, seal.link):
            self.tell(number, "signature", f"seal {number} is not signed by the key that it names")
        else:
            self._unsigned = None

    def _check_checkpoint(self, number: int, link: str) -> None:
        expected = self._checkpoints.pop(number, None)
        if expected is None:
            return
        if expected == link:
            self._last_agreed, self._first_since = number, None
        else:
            # Somewhere since the last one that agreed; where, something else may have shown.
            first = self._first_since or self._last_agreed + 1
            self._last_agreed = number
            told = f"record {number}" if first == number else f"records {first} to {number}"
            self.tell(first, "checkpoint", f"{told} do not lead to the checkpoint of number {number}")

    def tell(self, sequence: int, code: str, message: str) -> None:
        self._findings += 1
        if sequence and (self._first_since is None or sequence < self._first_since):
            self._first_since = sequence
        if len(self._found) < self.MOST_FINDINGS:
            self._found.append(Finding(sequence, code, message))

    # -- judging -------------------------------------------------------------------------------------------------

    def verdict(self, counted: int, sealed: int, seal_of: Callable[[int], bytes | None] = lambda _: None) -> Verdict:
        """What was found, when all records were shown; so many must have been counted and sealed."""
        last = self._expected - 1
        while (told := seal_of(self._expected)) is not None:
            self._judge_seal(self._expected, None, told)
            self._expected += 1
        self._missing.update(range(last + 1, max(counted, self._sealed, *self._checkpoints, last) + 1))
        gaps = tuple(_spans(self._missing))
        for first, until in gaps:
            told_of = f"record {first} is" if first == until else f"records {first} to {until} are"
            self.tell(first, "missing", f"{told_of} missing")
        if last > counted:
            self.tell(counted + 1, "uncounted", f"there are {last} records, {counted} were counted")
        if self._sealed < (wanted := max(sealed, *self._checkpoints, 0)):
            self.tell(self._sealed + 1, "cut", f"there were {wanted} seals, now there are {self._sealed}")
        if self._unsigned is not None and not self._key_ids:
            self.tell(self._unsigned, "unsigned", "no seal is signed, though there is a key")
        found = tuple(sorted(self._found, key=lambda one: one.sequence))
        return Verdict(found, self._findings - len(found), max(last, counted), self._sealed, gaps, self._key_ids)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`gaps`: first and last number of records that are missing. `more`: findings that are not listed."""

    findings: tuple[Finding, ...]
    more: int
    total: int
    sealed: int
    gaps: tuple[tuple[int, int], ...]
    key_ids: Set[str]

    @property
    def ok(self) -> bool:
        return not self.findings


def _spans(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """Neighbours as (first, last)."""
    first: int | None = None
    last = 0
    for number in sorted(numbers):
        if first is None:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first is not None:
        yield first, last
