"""Starting, reading, listing and cancelling runs through the engine, on a real Redis."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from cordum.engine import Caller, Engine
from cordum.errors import IdempotencyKeyReused, NotFound
from tests.engine.hands import ALICE, BOB, Hands

_T = TypeVar("_T")
ONE = "steps: {a: {topic: job.t}}"
TWO = "steps: {a: {topic: job.t}, b: {topic: job.t, depends_on: [a], input: {seen: '${steps.a.output.v}'}}}"


def at_once(count: int, act: Callable[[int], _T]) -> list[_T]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def test_a_run_goes_from_step_to_step_with_its_data(hands: Hands) -> None:
    run_id = hands.start(TWO, {"k": 1})
    assert hands.claim(run_id, "a").input == {"k": 1}
    hands.finish(run_id, "a", {"v": [1]})
    assert hands.claim(run_id, "b").input == {"seen": [1]}
    hands.finish(run_id, "b", "done")
    run = hands.engine.run("default", run_id)
    assert (run["status"], run["output"]) == ("succeeded", {"b": "done"})


def test_fifty_submits_with_one_key_make_one_run(hands: Hands) -> None:
    hands.start(ONE)
    started = at_once(50, lambda _: hands.engine.start_run(ALICE, "wf", {"n": 1}, idempotency_key="k"))
    assert len({one.run["id"] for one in started}) == 1
    assert sum(not one.replayed for one in started) == 1
    assert len(hands.engine.runs("default", workflow_id="wf").items) == 2


def test_the_same_key_with_another_body_is_refused(hands: Hands) -> None:
    hands.start(ONE, {"n": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        hands.engine.start_run(ALICE, "wf", {"n": 2}, idempotency_key="k")


def test_another_tenant_with_the_same_key_gets_its_own_run(hands: Hands) -> None:
    mine = hands.start(ONE, idempotency_key="k")
    hands.engine.save_workflow("other", ONE.encode(), "yaml", default_id="wf")
    theirs = hands.engine.start_run(Caller("other", "eve"), "wf", {}, idempotency_key="k")
    assert theirs.run["id"] != mine
    assert not theirs.replayed


def test_another_tenant_s_run_looks_like_a_missing_one(hands: Hands) -> None:
    run_id = hands.start(ONE)
    reads: list[Callable[[str], Any]] = [
        lambda run: hands.engine.run("other", run),
        lambda run: hands.engine.timeline("other", run),
        lambda run: hands.engine.cancel_run(Caller("other", "eve"), run),
    ]
    for read in reads:
        with pytest.raises(NotFound) as theirs:
            read(run_id)
        with pytest.raises(NotFound) as nobodys:
            read("c1-nothing")
        assert theirs.value.detail.replace(run_id, "X") == nobodys.value.detail.replace("c1-nothing", "X")
    assert hands.engine.runs("other").items == []


def test_a_run_keeps_the_version_it_started_with(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.engine.save_workflow("default", b"steps: {a: {topic: job.t}, c: {topic: job.t}}", "yaml", default_id="wf")
    hands.work(run_id, "a", {"v": 1})
    assert hands.engine.run("default", run_id)["version"] == 1
    assert set(hands.statuses(run_id)) == {"a", "b"}


def test_saving_the_same_definition_again_is_the_same_version(engine: Engine) -> None:
    first = engine.save_workflow("default", b"id: w\nsteps: {a: {topic: job.t}}", "yaml")
    again = engine.save_workflow("default", b'{"steps": {"a": {"topic": "job.t"}}, "id": "w"}', "json")
    other = engine.save_workflow("default", b"id: w\nsteps: {a: {topic: job.u}}", "yaml")
    assert (again.version, again.digest, again.created) == (first.version, first.digest, False)
    assert (other.version, other.created) == (2, True)
    assert engine.workflow("default", "w", 1)["digest"] == first.digest


def test_lists_are_paged_newest_first(hands: Hands) -> None:
    ids = [hands.start(ONE) for _ in range(5)]
    seen: list[str] = []
    position = None
    while True:
        page = hands.engine.runs("default", limit=2, after=position)
        seen += [run["id"] for run in page.items]
        position = page.next
        if position is None:
            break
    assert seen == ids[::-1]


def test_runs_are_found_by_status(hands: Hands) -> None:
    done, open_ = hands.start(ONE), hands.start(ONE)
    hands.work(done, "a")
    assert [run["id"] for run in hands.engine.runs("default", status="succeeded").items] == [done]
    assert [run["id"] for run in hands.engine.runs("default", status="running").items] == [open_]


def test_the_timeline_is_numbered_without_gaps_and_paged(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.work(run_id, "a", {"v": 1})
    hands.work(run_id, "b")
    whole = hands.engine.timeline("default", run_id, limit=200).items
    assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))
    paged: list[Any] = []
    position = None
    while True:
        page = hands.engine.timeline("default", run_id, limit=3, after=position)
        paged += page.items
        position = page.next
        if position is None:
            break
    assert paged == whole
    assert [event["time"] for event in whole] == sorted(event["time"] for event in whole)


def test_the_decision_stands_before_the_job(hands: Hands) -> None:
    events = hands.events(hands.start(ONE))
    assert events.index("step.decision") < events.index("step.queued")


def test_a_cancelled_run_takes_no_late_result(hands: Hands) -> None:
    run_id = hands.start(TWO)
    hands.claim(run_id, "a")
    hands.engine.cancel_run(BOB, run_id, "enough")
    assert hands.engine.jobs.still_running(f"{run_id}:a@1", hands.worker.incarnation) is False
    assert hands.finish(run_id, "a") == "STALE"
    run = hands.engine.run("default", run_id)
    assert (run["status"], hands.statuses(run_id)) == ("cancelled", {"a": "cancelled", "b": "skipped"})
    hands.engine.cancel_run(BOB, run_id)
    assert hands.events(run_id).count("run.cancelled") == 1


def test_many_runs_cancelled_while_their_results_come_in_end_once(hands: Hands) -> None:
    for _ in range(20):
        run_id = hands.start(TWO)
        hands.claim(run_id, "a")
        acts: list[Callable[[], Any]] = [
            lambda run=run_id: hands.engine.cancel_run(BOB, run),  # type: ignore[misc]
            lambda run=run_id: hands.finish(run, "a", {"v": 1}),  # type: ignore[misc]
            hands.engine.coordinate,
        ]
        at_once(3, lambda number, acts=acts: acts[number]())  # type: ignore[misc]
        events = hands.events(run_id)
        assert events.count("run.cancelled") == 1
        assert hands.engine.run("default", run_id)["status"] == "cancelled"


def test_a_denied_topic_never_reaches_a_queue(engine: Engine) -> None:
    engine.publish_policy(
        b"{default_decision: allow, rules: [{id: no, match: {topics: [job.bad]}, decision: deny}]}", "t"
    )
    hands = Hands(engine)
    with engine.store.connection._client.monitor() as monitor:
        run_id = hands.start("steps: {ok: {topic: job.t}, bad: {topic: job.bad, depends_on: [ok]}}")
        hands.work(run_id, "ok")
        engine.store.connection._client.echo("end")
        pushed = []
        while (command := monitor.next_command()["command"]) != "ECHO end":
            if command.startswith("LPUSH"):
                pushed.append(command.split()[1])
    assert hands.statuses(run_id) == {"ok": "succeeded", "bad": "denied"}
    assert any(queue.startswith("job.t") for queue in pushed)
    assert not any("job.bad" in queue for queue in pushed)
    (letter,) = engine.dead_letters("default").items
    assert (letter["reason_code"], letter["attempts"]) == ("safety_denied", 1)


def test_why_a_step_does_not_move_is_always_told(hands: Hands) -> None:
    run_id = hands.start("steps: {a: {topic: job.t}, gate: {type: approval}, b: {topic: job.t, depends_on: [a, gate]}}")
    steps = hands.engine.run("default", run_id)["steps"]
    assert {step: shown["wait"]["reason"] for step, shown in steps.items()} == {
        "a": "no_worker",
        "gate": "approval",
        "b": "dependencies",
    }
    assert "a, gate" in steps["b"]["wait"]["message"]


def test_without_a_policy_steps_wait_and_go_on_when_there_is_one(hands: Hands) -> None:
    hands.engine.store.connection._client.delete(hands.engine.store.keys.policy)
    engine = Engine(hands.engine.store, hands.engine.settings)
    other = Hands(engine, "w2")
    run_id = other.start(ONE)
    assert engine.run("default", run_id)["steps"]["a"]["wait"]["reason"] == "policy_unavailable"
    engine.publish_policy(b"{default_decision: allow, rules: []}", "test")
    engine._core.advance(run_id)
    assert other.claim(run_id, "a").word == "CLAIMED"


def test_a_published_policy_that_cannot_be_read_dispatches_nothing(hands: Hands) -> None:
    store = hands.engine.store
    store.policies.publish("sha256:future", "{default_decision: allow, quantum_rules: []}", "a newer version")
    run_id = hands.start(ONE)
    assert hands.statuses(run_id) == {"a": "pending"}
    assert hands.engine.run("default", run_id)["steps"]["a"]["wait"]["reason"] == "policy_unavailable"
