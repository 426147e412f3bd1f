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


def test_a_bug_needs_a_place_to_be_planted() -> None:
    with pytest.raises(ValueError, match="0 places"):
        Bug("?", instead=[("ring", "no such line", "")]).library()
