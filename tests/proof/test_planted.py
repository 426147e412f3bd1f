"""Bugs that were planted on purpose are found, and shown by a short course of things that anybody can repeat."""

from __future__ import annotations

import pytest

from tests.proof.explorer.laboratory import Laboratory
from tests.proof.planted import PLANTED, Bug

pytestmark = pytest.mark.proof

# Where each is seen, the promise that it breaks, and in how many calls at most.
SEEN = {
    "commit_without_version": ("an_answer_in_a_group_of_one", "P8", 12),
    "claim_of_any_attempt": ("a_message_of_an_older_attempt", "P3", 5),
    "mark_cleared_unseen": ("two_results_and_a_join", "P7", 6),
    "mark_not_set_again": ("one_step_is_cancelled", "P7", 7),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, lab: Laboratory) -> None:
    scenario, promise, calls = SEEN[name]
    breach = lab.breach(scenario, PLANTED[name].library(), most_states=50_000)
    assert breach is not None
    print(breach)
    assert breach.broken.promise == promise
    assert len(breach.trail) <= calls


def test_the_explorer_is_asked_for_each() -> None:
    """The model machine is, too: `test_model.BUGS`."""
    assert SEEN.keys() == PLANTED.keys()


@pytest.mark.parametrize(
    ("line", "instead", "promise"),
    [
        ("  wake(linked.run,", "  tostring(", "P7"),  # nobody looks at the run that is to undo this one
        (
            "    tell(KEYS[plan.told.timeline], now, ARGV[at])\n"
            "    audit(plan.told.tenant, now, 'run:' .. plan.told.run, {ARGV[at]})\n",
            "",
            "P3",
        ),  # the run that is undone does not hear of it
    ],
)
def test_what_a_compensation_needs_is_missed(line: str, instead: str, promise: str, lab: Laboratory) -> None:
    """Not for the model machine, which knows no compensations."""
    bug = Bug("a compensation without one of its lines", instead=[("apply_plan", line, instead)])
    breach = lab.breach("children_are_undone_one_by_one", bug.library(), most_states=20_000)
    assert breach is not None
    assert breach.broken.promise == promise


def test_a_bug_needs_a_place_to_be_planted() -> None:
    with pytest.raises(ValueError, match="0 places"):
        Bug("?", instead=[("ring", "no such line", "")]).library()
