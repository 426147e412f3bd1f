"""Compensations: who undoes what, whatever comes in between."""

from __future__ import annotations

from cordum.domain.saga import compensation_id
from tests.proof.explorer.cast import FATAL, canceller, coordinator, retrier, worker
from tests.proof.explorer.scenario import Scenario, scenario

UNDO = "compensate: {topic: job.t}"
CHAIN = f"steps: {{a: {{topic: job.t, {UNDO}}}, b: {{topic: job.t, depends_on: [a], {UNDO}}}}}"
FAN = f"steps: {{f: {{topic: job.t, for_each: '${{input.items}}', {UNDO}}}}}"
UNDOING = compensation_id("r1")


@scenario()
def a_failure_a_retry_and_a_compensation() -> Scenario:
    """The second step fails; somebody retries while the first one is being undone, by two coordinators."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", FATAL, incarnation="w2"),
            coordinator("c1", 2),
            retrier("bob"),
            coordinator("u1", 2, UNDOING),
            coordinator("u2", 1, UNDOING),
            worker("wu", f"{UNDOING}:1-a@1"),
        ),
    )


@scenario()
def two_cancel_and_one_of_them_wants_it_undone() -> Scenario:
    """Who comes first decides; a result comes in between."""
    return Scenario(
        CHAIN,
        (
            worker("wa", "r1:a@1"),
            worker("wb", "r1:b@1", incarnation="w2"),
            coordinator("c1"),
            canceller("bob", undo=True),
            canceller("carol"),
            coordinator("u1", 2, UNDOING),
            worker("wu", f"{UNDOING}:1-a@1"),
        ),
    )


@scenario()
def children_are_undone_one_by_one() -> Scenario:
    """One child of a fan-out fails beside another that has succeeded, or is about to."""
    return Scenario(
        FAN,
        (
            worker("w0", "r1:f[0]@1"),
            worker("w1", "r1:f[1]@1", FATAL, incarnation="w2"),
            coordinator("c1"),
            coordinator("c2"),
            coordinator("u1", 2, UNDOING),
            canceller("bob", UNDOING),
            worker("wu", f"{UNDOING}:1-f.0@1"),
        ),
        input={"items": [1, 2]},
    )
