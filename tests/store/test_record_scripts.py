"""resolve_approval, save_workflow, publish_policy, renew_lease: what people and workers say, kept once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cordum.domain.ids import JobId
from cordum.domain.run import Failure
from cordum.store.approvals import Resolution, ResolveReply
from cordum.store.workflows import SaveReply
from tests.store.world import START, World

GATE = "steps: {g: {type: approval}, after: {topic: job.t, depends_on: [g]}}"
APPROVE = Resolution("approved", "bob", "fine", True, "succeeded:1", output='{"decision":"approved"}')
REJECT = Resolution("rejected", "carol", "no", True, "settling:1", failure=Failure("approval_rejected", "no"))
GATE_JOB = JobId("r1", "g", 1)


def resolve(world: World, resolution: Resolution) -> ResolveReply:
    return world.decide(GATE_JOB, resolution)


# -- approvals ---------------------------------------------------------------------------------------------------


def test_an_open_approval_is_listed_and_belongs_to_its_tenant(world: World) -> None:
    world.create(GATE)
    (record,) = world.store.approvals.page("default", None, 10, resolved_too=False)
    assert (record["job_id"], record["state"], record["submitted_by"]) == ("r1:g@1", "pending", "alice")
    assert world.store.approvals.get("other", "r1:g@1") is None


def test_a_decision_comes_back_to_the_step_as_its_result(world: World) -> None:
    world.create(GATE)
    assert resolve(world, APPROVE) is ResolveReply.RESOLVED
    assert world.marks()["g"] == "succeeded:1"
    assert world.snapshot().run.outputs["g"] == {"decision": "approved"}
    assert world.due() == ["r1"]
    assert world.store.approvals.page("default", None, 10, resolved_too=False) == []


def test_a_rejection_is_left_to_the_planner(world: World) -> None:
    world.create(GATE)
    resolve(world, REJECT)
    assert world.marks()["g"] == "settling:1"
    world.advance()
    assert world.marks() == {"g": "denied:1", "after": "skipped:0"}


@pytest.mark.parametrize(("first", "second"), [(APPROVE, REJECT), (REJECT, APPROVE), (APPROVE, APPROVE)])
def test_the_first_decision_stands(world: World, first: Resolution, second: Resolution) -> None:
    world.create(GATE)
    resolve(world, first)
    before = world.everything()
    assert resolve(world, second) is ResolveReply.ALREADY
    assert world.everything() == before


def test_without_its_guard_a_decision_is_taken_twice(world_without: Callable[..., World]) -> None:
    world = world_without(("resolve_approval", "undecided"))
    world.create(GATE)
    resolve(world, APPROVE)
    assert resolve(world, REJECT) is ResolveReply.RESOLVED
    assert world.marks()["g"] == "settling:1"


def test_an_approval_that_is_not_there_is_not_found(world: World) -> None:
    world.create(GATE)
    unknown = world.store.approvals.resolve("default", JobId("r1", "after", 1), APPROVE)
    assert unknown is ResolveReply.NOT_FOUND


# -- workflows ---------------------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_version(world: World) -> None:
    save = world.store.workflows.save
    assert save("default", "w", "d1", "{}", {"job.a"}) == (SaveReply.SAVED, 1)
    assert save("default", "w", "d2", "{ }", {"job.b"}) == (SaveReply.SAVED, 2)
    assert save("default", "w", "d1", "{}", {"job.a"}) == (SaveReply.UNCHANGED, 1)
    assert save("other", "w", "d1", "{}", {"job.a"}) == (SaveReply.SAVED, 1)
    latest, first = world.store.workflows.load("default", "w"), world.store.workflows.load("default", "w", 1)
    assert latest is not None
    assert first is not None
    assert (latest.digest, first.digest, first.created_at) == ("d2", "d1", START)
    assert world.store.workflows.load("default", "w", 3) is None
    assert world.store.jobs.topics() == ["job.a", "job.b"]


# -- policy ------------------------------------------------------------------------------------------------------


def test_a_policy_gets_a_new_epoch_only_when_it_changes(world: World) -> None:
    publish = world.store.policies.publish
    _, epoch, _ = publish("d1", "one", "test")
    assert publish("d1", "one", "test") == (False, epoch, "d1")
    assert publish("d2", "two", "test") == (True, epoch + 1, "d2")
    assert world.store.policies.current(epoch + 1).source is None  # known already
    assert world.store.policies.current(epoch).source == "two"


def test_a_request_to_publish_that_comes_again_changes_nothing(world: World) -> None:
    publish = world.store.policies.publish
    first = publish("d1", "one", "ann", request="r")
    publish("d2", "two", "bob", request="s")
    assert publish("d1", "one", "ann", request="r") == first
    assert world.store.policies.current(-1).source == "two"
    assert len(world.store.policies.history()) == 3
    # The control: what is not known to be the same request is another one.
    assert publish("d1", "one", "ann", request="t").published
    assert world.store.policies.current(-1).source == "one"


def test_an_answer_that_nothing_had_to_change_is_kept_too(world: World) -> None:
    publish = world.store.policies.publish
    publish("d1", "one", "ann")
    assert not publish("d1", "one", "ann", request="r").published
    publish("d2", "two", "bob")
    assert not publish("d1", "one", "ann", request="r").published
    assert world.store.policies.current(-1).source == "two"


def test_what_is_known_of_a_request_expires(world: World) -> None:
    world.store.policies.publish("d1", "one", "ann", request="r")
    assert 0 < world.client.pttl(world.store.keys.policy_request("r")) <= 7 * 24 * 3600 * 1000


def test_an_epoch_is_never_given_twice_though_the_policy_is_lost(world: World) -> None:
    """Else a job that was queued under the lost one could be claimed under the next."""
    _, lost, _ = world.store.policies.publish("d1", "one", "ann")
    world.client.delete(world.store.keys.policy)
    assert world.store.policies.current(-1).epoch == 0
    assert world.store.policies.publish("d2", "two", "ann").epoch == lost + 1


def test_tenants_that_fail_open_are_known_beside_the_text(world: World) -> None:
    epoch = world.store.policies.publish("d1", "one", "ann", open_tenants=["acme", "b"]).epoch
    world.client.hdel(world.store.keys.policy, "source")
    current = world.store.policies.current(0)
    assert (current.epoch, current.source, current.open_tenants) == (epoch, "", ("acme", "b"))


# -- workers -----------------------------------------------------------------------------------------------------


def test_a_lease_lasts_from_its_last_renewal(world: World) -> None:
    world.create("steps: {a: {topic: job.t}}")
    world.at(START + 4000)
    world.store.workers.renew("w1", {}, 5000)
    world.at(START + 8999)
    assert world.claim("a").word == "CLAIMED"


def test_a_worker_that_says_goodbye_cannot_claim(world: World) -> None:
    world.create("steps: {a: {topic: job.t}}")
    world.store.workers.end_lease("w1")
    assert world.claim("a").word == "NO_LEASE"


def test_what_a_worker_said_of_itself_is_known_until_it_is_forgotten(world: World) -> None:
    world.store.workers.renew("w2", {"host": "h", "slots": 2}, 5000)
    assert world.store.workers.known()["w2"]["slots"] == 2
    world.store.workers.end_lease("w2")
    world.store.workers.forget("w2")
    assert "w2" not in world.store.workers.known()
