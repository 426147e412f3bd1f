"""The explorer's own parts: what it takes for the same, what it can take back, and how it tells what it found."""

from __future__ import annotations

import pytest

from cordum.store.scripts import Library
from tests.proof.explorer.laboratory import Laboratory
from tests.proof.explorer.moment import Entry
from tests.proof.explorer.opening import GENUINE
from tests.proof.explorer.tape import Call, Paused, Tape
from tests.proof.planted import PLANTED, Bug

pytestmark = pytest.mark.proof

TIMELINE = "cordum:run:{r1}:timeline"
A1, A2, B1 = ('1|{"type":"x","step_id":"a"}', '2|{"type":"y","step_id":"a"}', '1|{"type":"x","step_id":"b"}')


def test_the_order_of_events_of_different_steps_makes_no_difference() -> None:
    one, other = Entry.of(TIMELINE, "list", [A1, B1, A2]), Entry.of(TIMELINE, "list", [B1, A1, A2])
    assert one.compared == other.compared
    assert one.value != other.value  # Redis is put back into the very order


def test_the_order_of_events_of_one_step_does() -> None:
    assert Entry.of(TIMELINE, "list", [A1, A2]).compared != Entry.of(TIMELINE, "list", [A2, A1]).compared


def test_counters_make_no_difference() -> None:
    counted = Entry.of("cordum:c1:stats", "hash", ["commits:conflict", "1"])
    assert counted.compared == Entry.of("cordum:c1:stats", "hash", ["commits:conflict", "2"]).compared


def test_an_actor_is_stopped_at_the_first_call_without_an_answer() -> None:
    tape = Tape(GENUINE)
    tape.rewind(["first"])
    assert tape.command("GET", "x") == "first"
    with pytest.raises(Paused):
        tape.command("GET", "y")
    assert tape.pending == Call("GET", (), ("y",))


def test_an_error_is_an_answer_too() -> None:
    tape = Tape(GENUINE)
    tape.rewind([ValueError("no")])
    with pytest.raises(ValueError, match="no"):
        tape.command("GET", "x")


def test_what_was_found_is_told_again_in_the_same_words(lab: Laboratory) -> None:
    library = PLANTED["claim_of_any_attempt"].library()
    first, second = (lab.breach("a_message_of_an_older_attempt", library, most_states=10_000) for _ in range(2))
    assert str(first) == str(second)
    assert str(first).splitlines()[-1].endswith("claim(r1:a@1) -> CLAIMED")


def test_a_search_loses_replies(lab: Laboratory) -> None:
    """Nothing else shows that a claim does not answer its own second sending like the first."""
    library = Library(virtual_clock=True, without=[("claim", "own_claim")])
    breach = lab.breach("a_message_comes_twice", library, most_states=10_000)
    assert "CLAIMED, and the reply is lost" in str(breach)
    assert lab.breach("a_message_comes_twice", GENUINE, most_states=10_000) is None


def test_what_is_not_audited_is_noticed(lab: Laboratory) -> None:
    forgets = Bug("decisions are told to nobody", instead=[("apply_plan", "if plan.audited then", "if false then")])
    breach = lab.breach("two_coordinators_seal", forgets.library(), most_states=1_000)
    assert breach is not None
    assert breach.broken.promise == "S10"
