"""A step's state: the short ways of making one give what the long ways give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cordum.domain.run import StepState
from cordum.domain.states import StepStatus

RUNNING = StepState(status=StepStatus.RUNNING, attempt=2, worker="w")


def test_what_is_made_of_its_facts_equals_what_is_constructed() -> None:
    made = StepState.made({"status": StepStatus.RUNNING, "attempt": 2, "worker": "w"})
    assert made == RUNNING
    assert (made.losses, made.child_generation, made.decision) == (0, 1, None)


def test_but_replaces() -> None:
    assert RUNNING.but(worker=None, attempt=3) == replace(RUNNING, worker=None, attempt=3)
    assert RUNNING.worker == "w"


def test_a_fact_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="a step has no attempts"):
        RUNNING.but(attempts=3)
