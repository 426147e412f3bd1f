"""Ended runs that somebody deletes while others still have to do with them."""

from __future__ import annotations

from tests.proof.explorer.cast import (
    FATAL,
    canceller,
    child_of,
    coordinator,
    discarder,
    remover,
    reporter,
    retrier,
    signaller,
    worker,
)
from tests.proof.explorer.scenario import Scenario, scenario

CHILD = child_of("r1", "s")


@scenario("remove_run.run_version")
def a_run_is_deleted_and_retried() -> Scenario:
    """Its dead letter is put away, somebody deletes it, and somebody else has it go on."""
    return Scenario(
        "steps: {a: {topic: job.t}}",
        (
            worker("w", "r1:a@1", FATAL),
            coordinator("c1", 2),
            discarder("dan", "r1:a@1"),
            remover("rob"),
            retrier("bob"),
            worker("again", "r1:a@2", incarnation="w2"),
        ),
    )


@scenario()
def a_run_is_deleted_while_others_still_speak_of_it() -> Scenario:
    """Late results, a signal, a second deletion."""
    return Scenario(
        "steps: {a: {topic: job.t}, b: {topic: job.t}}",
        (
            worker("w", "r1:a@1"),
            reporter("late", "r1:a@1"),
            canceller("bob"),
            coordinator("c1"),
            remover("rob"),
            remover("roy"),
            signaller("sue", "t"),
        ),
    )


@scenario()
def a_run_is_deleted_with_its_child() -> Scenario:
    """The child run goes after its parent, and not before its own end."""
    return Scenario(
        "steps: {s: {type: subworkflow, workflow_id: other}}",
        (
            worker("w", f"{CHILD}:a@1"),
            coordinator("c1", 2),
            coordinator("cc", 2, CHILD),
            canceller("bob"),
            remover("rob"),
            remover("roy", CHILD),
        ),
        others={"other": "steps: {a: {topic: job.t}}"},
    )
