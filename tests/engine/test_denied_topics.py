"""Nothing is ever put on a queue of a denied topic: seen in Redis' own command stream, scripts included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cordum.domain.routing import PRIORITIES, queue_list
from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.errors import StateConflict
from tests.engine.hands import ALLOW, BOB, Hands

DENY = b"{default_decision: allow, rules: [{id: no, match: {topics: [job.bad]}, decision: deny}]}"
ASK = b"{default_decision: allow, rules: [{id: ask, match: {topics: [job.bad]}, decision: require_approval}]}"
ALL = "on_failure: continue_independent\nsteps: {" + ", ".join(
    f"{name}: {{topic: job.bad, priority: {name}}}" for name in ("critical", "interactive", "batch")
)


@contextmanager
def pushes(engine: Engine) -> Iterator[list[str]]:
    """The lists that anything is pushed to meanwhile, by whatever command, from within scripts too."""
    seen: list[str] = []
    client = engine.store.connection._client
    with client.monitor() as monitor:
        yield seen
        client.echo("end")
        while (command := monitor.next_command()["command"]) != "ECHO end":
            name, _, rest = command.partition(" ")
            if name.upper() in ("LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LMOVE", "RPOPLPUSH", "LINSERT"):
                seen.append(rest.split(" ")[0])


def queues_of(topic: str, pushed: list[str]) -> list[str]:
    """Those of the topic itself; a worker's direct queue would carry the topic's job as well."""
    shown = {queue_list(topic, priority).replace("\x06\x16", r"\x06\x16") for priority in PRIORITIES}
    return [one for one in pushed if one in shown or "cordum.direct" in one]


def test_no_priority_of_a_denied_topic_gets_a_message(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(DENY, "ann")
    with pushes(engine) as pushed:
        run_id = hands.start(f"{ALL}, fan: {{topic: job.bad, for_each: '${{[1, 2]}}'}}}}")
        engine.coordinate()
    assert set(hands.statuses(run_id).values()) == {"denied"}
    assert queues_of("job.bad", pushed) == []


def test_without_the_denial_each_priority_gets_its_own(engine: Engine, hands: Hands) -> None:
    """The control: the same stream, the same runs, and the pushes are seen."""
    with pushes(engine) as pushed:
        hands.start(f"{ALL}}}")
    assert len(set(queues_of("job.bad", pushed))) == len(queues_of("job.bad", pushed)) == 3


@pytest.mark.parametrize("step", ["critical", "interactive", "batch"])
def test_after_a_flip_between_queue_and_claim_nothing_is_pushed_and_nothing_runs(
    engine: Engine, hands: Hands, step: str
) -> None:
    run_id = hands.start(f"{ALL}}}")
    engine.publish_policy(DENY, "ann")
    with pushes(engine) as pushed:
        priority = {"critical": 0, "interactive": 3, "batch": 6}[step]
        claimed = engine.jobs.claim(f"{run_id}:{step}@1", "job.bad", priority, hands.worker.incarnation, "n")
        engine.coordinate()
    assert claimed.word == "POLICY_CHANGED"
    assert hands.statuses(run_id)[step] == "denied"
    assert "step.started" not in hands.events(run_id)
    assert queues_of("job.bad", pushed) == []


def test_a_flip_and_back_is_decided_by_what_holds_then(engine: Engine, hands: Hands) -> None:
    run_id = hands.start("steps: {a: {topic: job.bad}}")
    engine.publish_policy(DENY, "ann")
    engine.publish_policy(ALLOW, "ann")
    with pushes(engine) as pushed:
        assert hands.claim(run_id, "a").word == "POLICY_CHANGED"
        engine.coordinate()
    assert len(queues_of("job.bad", pushed)) == 1
    decisions = [event for event in hands.events(run_id) if event == "step.decision"]
    assert len(decisions) == 2
    assert hands.claim(run_id, "a").word == "CLAIMED"


def test_what_a_person_has_approved_is_not_pushed_once_it_is_denied(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(ASK, "ann")
    run_id = hands.start("steps: {a: {topic: job.bad}}")
    with pushes(engine) as pushed:
        engine.publish_policy(DENY, "ann")
        with pytest.raises(StateConflict, match="policy has changed"):
            engine.approve(BOB, f"{run_id}:a@1")
    assert hands.statuses(run_id) == {"a": "denied"}
    assert queues_of("job.bad", pushed) == []


MANY = "steps: {f: {topic: job.bad, for_each: '${input.items}'}}"


def fill(hands: Hands) -> tuple[str, list[str]]:
    """A run with more jobs than the topic's window holds, and the ids of those that were sent."""
    run_id = hands.start(MANY, {"items": list(range(40))})
    sent = [f"{run_id}:{step}@1" for step, status in hands.statuses(run_id).items() if status == "queued"]
    assert len(sent) == 32
    return run_id, sent


def claim_all(hands: Hands, jobs: list[str]) -> set[str]:
    claimed = [hands.engine.jobs.claim(job, "job.bad", 3, hands.worker.incarnation, "n").word for job in jobs]
    return {str(word) for word in claimed}


def test_jobs_that_waited_for_room_when_their_topic_was_denied_are_not_pushed(engine: Engine, hands: Hands) -> None:
    run_id, sent = fill(hands)
    engine.publish_policy(DENY, "ann")
    with pushes(engine) as pushed:
        assert claim_all(hands, sent) == {"POLICY_CHANGED"}  # each gives its place to the next
        engine.coordinate()
        engine.coordinate()
    assert queues_of("job.bad", pushed) == []
    statuses = hands.statuses(run_id)
    assert engine.run("default", run_id)["status"] == "denied"
    assert not [status for status in statuses.values() if status in ("queued", "running", "pending")]
    assert hands.events(run_id).count("step.started") == 1  # the fan-out itself


def test_jobs_that_waited_for_room_go_on_under_a_policy_that_lets_them(engine: Engine, hands: Hands) -> None:
    """The other half: decided anew, and each sent once."""
    run_id, sent = fill(hands)
    engine.publish_policy(ALLOW + b" ", "ann")
    assert claim_all(hands, sent) == {"POLICY_CHANGED"}
    while engine.run("default", run_id)["status"] == "running":
        engine.coordinate()
        queued = [f"{run_id}:{step}@1" for step, status in hands.statuses(run_id).items() if status == "queued"]
        assert claim_all(hands, queued) <= {"CLAIMED"}
        for job in queued:
            done = Outcome(OutcomeClass.SUCCESS, 1)
            engine.jobs.record(job, "job.bad", hands.worker.incarnation, "n", done)
    assert engine.run("default", run_id)["output"] == {"f": [1] * 40}
