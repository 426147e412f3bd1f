"""Straight through: what follows a success without a look is what a look would have done."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from cordum.domain.attempts import request_text
from cordum.domain.definition import load_workflow
from cordum.domain.ids import JobId
from cordum.domain.run import OutcomeClass
from cordum.engine import Engine, Outcome
from cordum.store.keys import RunKeys
from tests.engine.hands import ALICE, BOB, Hands

TRIAGE = """
steps:
  classify: {topic: job.classify, input: {incident: "${input.incident}"}}
  logs: {topic: job.look, depends_on: [classify], input: {case: "${steps.classify.output}", of: logs}}
  metrics: {topic: job.look, depends_on: [classify], priority: critical}
  rollback:
    topic: job.rollback
    depends_on: [logs, metrics]
    retry: {max_retries: 2}
    timeout_sec: 7
    input:
      found: ["${steps.logs.output}", "${steps.metrics.output}"]
      first: {again: "${steps.classify.output}"}
      incident: "no ${input.incident}"
  report: {topic: job.report, depends_on: [rollback], output_schema: {type: string}}
"""
OUTPUTS: dict[str, Any] = {
    "classify": {"kind": 'a "quoted" ü ${text}\n', "n": [1.5, 2**60, None, True]},
    "logs": "\u2028 \\n \x7f",
    "metrics": [],
    "rollback": {},
    "report": "done",
}
INPUT = {"incident": 7}


def planned(engine: Engine) -> Hands:
    """Hands on an engine on which nothing goes straight."""
    return Hands(Engine(engine.store, replace(engine.settings, straight=False)), "w2")


def record(hands: Hands, run_id: str, step: str, output: Any) -> str:
    """Record a success, with nobody looking."""
    assert hands.claim(run_id, step).word == "CLAIMED"
    job_id, topic = f"{run_id}:{step}@1", hands.topic(run_id, step)
    outcome = Outcome(OutcomeClass.SUCCESS, output)
    return hands.engine.jobs.record(job_id, topic, hands.worker.incarnation, "n", outcome).value


def walk(hands: Hands, definition: str, steps: tuple[str, ...], input: dict[str, Any] = INPUT) -> tuple[str, list[str]]:
    """Record successes in this order; the run, and what each was answered."""
    run_id = hands.start(definition, input)
    words = []
    for step in steps:
        words.append(record(hands, run_id, step, OUTPUTS[step]))
        if words[-1] == "ADVANCE":
            hands.engine.coordinate()
    return run_id, words


def told(engine: Engine, run_id: str) -> list[dict[str, Any]]:
    """The timeline without what differs from run to run."""
    events = []
    for event in engine.timeline("default", run_id, limit=200).items:
        text = json.dumps({name: value for name, value in event.items() if name not in ("time", "timestamp")})
        shown = json.loads(text.replace(run_id, "RUN").replace("w1", "w").replace("w2", "w"))
        shown.get("data", {}).pop("job_hash", None)
        events.append(shown)
    return events


def kept(engine: Engine, run_id: str, part: str) -> dict[str, str]:
    found: Any = engine.store.connection.read(lambda client: client.hgetall(getattr(RunKeys.of(run_id), part)))
    return dict(found)


ORDERS = [
    ("classify", "logs", "metrics", "rollback", "report"),
    ("classify", "metrics", "logs", "rollback", "report"),
]


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_what_a_look_would_have_done(engine: Engine, hands: Hands, order: tuple[str, ...]) -> None:
    looked = planned(engine)
    straight_run, straight_words = walk(hands, TRIAGE, order)
    counted = engine.store.figures.counters()
    planned_run, planned_words = walk(looked, TRIAGE, order)
    assert straight_words == ["RECORDED"] * 5
    assert planned_words == ["ADVANCE"] * 5
    assert told(engine, straight_run) == told(engine, planned_run)
    assert kept(engine, straight_run, "steps") == kept(engine, planned_run, "steps")
    assert kept(engine, straight_run, "inputs") == kept(engine, planned_run, "inputs")
    for part in ("facts", "run"):
        one, other = kept(engine, straight_run, part), kept(engine, planned_run, part)
        for name in ("prepared", "prepared_by"):
            one.pop(name, None)
        # Who has seen an older version commits nothing, so that a signal would say nothing more.
        assert (one.pop("signals", None), other.pop("signals", None)) in (("1", "5"), (None, None))
        assert one.keys() == other.keys()
        alike = {name for name in one if not name.endswith(("_at", "deadline", "#begun", "#recorded", "id"))}
        assert {name: one[name] for name in alike} == {name: other[name] for name in alike}
    again = engine.store.figures.counters()
    assert {name: 2 * count for name, count in counted.items() if not name.startswith("commits:")} == {
        name: count for name, count in again.items() if not name.startswith("commits:")
    }
    assert counted["commits:straight"] == 4 and again["commits:straight"] == 4


def test_nobody_is_called_until_the_run_is_over(engine: Engine, hands: Hands) -> None:
    run_id = hands.start(TRIAGE, INPUT)
    for step in ("classify", "logs", "metrics"):
        assert record(hands, run_id, step, OUTPUTS[step]) == "RECORDED"
        assert engine.store.wakeups.take_due(10) == []
    claim = hands.claim(run_id, "rollback")
    assert claim.input == {
        "found": [OUTPUTS["logs"], OUTPUTS["metrics"]],
        "first": {"again": OUTPUTS["classify"]},
        "incident": "no 7",
    }
    assert engine.run("default", run_id)["steps"]["report"]["status"] == "pending"


def test_it_ends_as_a_look_would_have_ended_it(engine: Engine, hands: Hands) -> None:
    run_id, _ = walk(hands, TRIAGE, ORDERS[0])
    assert kept(engine, run_id, "prepared") == {}
    assert engine.store.wakeups.take_due(10) == []
    timers: Any = engine.store.connection.read(lambda client: client.zrange(engine.store.keys.timers, 0, -1))
    assert timers == []
    shown = engine.run("default", run_id)
    assert (shown["status"], shown["output"]) == ("succeeded", {"report": "done"})
    engine.coordinate()
    engine.delete_run(ALICE, run_id, "no longer needed")
    left: Any = engine.store.connection.read(lambda client: client.keys(f"*{run_id}*"))
    assert left == []


ENDS = {
    "two": TRIAGE.replace("depends_on: [rollback], ", "depends_on: [classify], "),
    "said": TRIAGE + 'output: {said: "${steps.report.output}", of: "${input.incident}"}',
}


@pytest.mark.parametrize("definition", ENDS.values(), ids=ENDS)
def test_its_output_is_what_a_look_would_have_put_together(engine: Engine, hands: Hands, definition: str) -> None:
    outputs = []
    for those in (hands, planned(engine)):
        run_id, words = walk(those, definition, ORDERS[1])
        assert set(words) == {"RECORDED" if those is hands else "ADVANCE"}
        outputs.append(kept(engine, run_id, "run")["output"])
    assert outputs[0] == outputs[1]


def test_an_end_that_is_worked_out_is_looked_at(engine: Engine, hands: Hands) -> None:
    definition = "{steps: {a: {topic: job.t}}, output: {n: '${steps.a.output.n}'}}"
    assert record(hands, hands.start(definition), "a", {"n": 1}) == "ADVANCE"


def test_a_decision_names_what_it_is_about(engine: Engine, hands: Hands) -> None:
    run_id, _ = walk(hands, TRIAGE, ("classify",))
    decided = {
        event["step_id"]: event["data"]["job_hash"]
        for event in engine.timeline("default", run_id, limit=200).items
        if event["type"] == "step.decision"
    }
    given = {"case": OUTPUTS["classify"], "of": "logs"}
    text = request_text(load_workflow(TRIAGE.encode(), "yaml", default_id="wf").steps["logs"], given)
    assert decided["logs"] == "sha1:" + hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    assert decided["metrics"].startswith("sha256:")


TWO = "steps: {a: {topic: job.t}, b: {topic: job.u, depends_on: [a]}}"
LOOKED_AT = {
    "condition": TWO.replace("depends_on: [a]", "depends_on: [a], condition: 'true'"),
    "handler": "steps: {a: {topic: job.t, on_error: h}, b: {topic: job.u, depends_on: [a]}, h: {topic: job.t}}",
    "context": "steps: {a: {topic: job.t, output_path: ctx.x}, b: {topic: job.u, depends_on: [a]}}",
    "part of an output": TWO.replace("depends_on: [a]", "depends_on: [a], input: {x: '${steps.a.output.n}'}"),
    "status": TWO.replace("depends_on: [a]", "depends_on: [a], input: {x: '${steps.a.status}'}"),
    "reads the context": TWO.replace("depends_on: [a]", "depends_on: [a], input: {x: '${ctx.n}'}"),
    "schema": TWO.replace("depends_on: [a]", "depends_on: [a], input_schema: {type: object}"),
    "concurrency": TWO.replace("depends_on: [a]", "depends_on: [a], concurrency: {key: k, limit: 1}"),
    "placement": TWO.replace("depends_on: [a]", "depends_on: [a], route_labels: {gpu: a100}"),
    "one worker": TWO.replace("depends_on: [a]", "depends_on: [a], worker_id: w1@elsewhere"),
    "patience": TWO.replace("depends_on: [a]", "depends_on: [a], queue_timeout_sec: 9"),
    "group": "steps: {a: {topic: job.t}, g: {type: parallel, steps: [b], depends_on: [a]}, b: {topic: job.u}}",
    "fan-out": TWO.replace("depends_on: [a]", "depends_on: [a], for_each: input.items"),
    "approval after it": TWO.replace("}}", "}, ok: {type: approval, depends_on: [a]}}"),
    "one that is alone, and an approval beside it": "steps: {a: {topic: job.t}, ok: {type: approval}}",
    "approval beside it": TWO.replace("}}", "}, ok: {type: approval}}"),
}


@pytest.mark.parametrize("definition", LOOKED_AT.values(), ids=LOOKED_AT)
def test_whatever_else_there_is_is_looked_at(engine: Engine, hands: Hands, definition: str) -> None:
    run_id = hands.start(definition, {"items": [1]})
    assert record(hands, run_id, "a", {"n": 1}) == "ADVANCE"
    engine.coordinate()
    assert {event["step_id"] for event in told(engine, run_id)} - {None, "a"}


POLICIES = {
    "asks the input": "rules: [{id: r, match: {topics: [job.u], input: 'input.x == 1'}, decision: deny}]",
    "asks for secrets": "rules: [{id: r, match: {topics: [job.u], secrets_present: true}, decision: deny}]",
    "asks people": "rules: [{id: r, match: {topics: [job.u]}, decision: require_approval}]",
    "denies": "rules: [{id: r, match: {topics: [job.u]}, decision: deny}]",
    "limits": (
        "rules: [{id: r, match: {topics: [job.u]}, decision: throttle, velocity: {max_requests: 9, window_sec: 9}}]"
    ),
    "counts": "tenants: {default: {constraints: {budgets: {max_concurrent_jobs: 9}}}}",
}


@pytest.mark.parametrize("rules", POLICIES.values(), ids=POLICIES)
def test_what_the_policy_has_to_be_asked_about_is_looked_at(engine: Engine, hands: Hands, rules: str) -> None:
    engine.publish_policy(b"{version: '2', default_decision: allow, " + rules.encode() + b"}", "ann")
    run_id = hands.start(TWO)
    assert record(hands, run_id, "a", {"n": 1}) == "ADVANCE"


def test_a_workflow_s_own_rule_about_the_input_is_asked(engine: Engine, hands: Hands) -> None:
    own = "policy_override: {rules: [{id: r, match: {input: 'input.x == 1'}, decision: deny}]}\n"
    assert record(hands, hands.start(own + TWO), "a", {}) == "ADVANCE"


def test_limits_of_a_rule_come_along(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(
        b"""{version: '2', default_decision: allow, rules: [{id: r, match: {topics: [job.u]}, decision:
        allow_with_constraints, constraints: {budgets: {max_runtime_ms: 1234, max_retries: 3}}}]}""",
        "ann",
    )
    run_id = hands.start(TWO)
    assert record(hands, run_id, "a", {}) == "RECORDED"
    claim = hands.claim(run_id, "b")
    assert (claim.word, claim.timeout_ms) == ("CLAIMED", 1234)


def test_a_large_input_is_left_to_the_planner(engine: Engine, hands: Hands) -> None:
    definition = TWO.replace("depends_on: [a]", "depends_on: [a], input: {x: '${steps.a.output}'}")
    run_id = hands.start(definition)
    assert record(hands, run_id, "a", "x" * 70_000) == "ADVANCE"
    engine.coordinate()
    assert hands.claim(run_id, "b").input == {"x": "x" * 70_000}


@pytest.mark.parametrize("text", ['1,"of":"evil"', "", "[1", '"a" "b"', "1}"])
def test_what_is_no_json_value_is_put_into_nothing(engine: Engine, hands: Hands, text: str) -> None:
    """A worker says it that is not ours, or means no good."""
    for definition, step in ((TRIAGE, "classify"), ("steps: {a: {topic: job.t}}", "a")):
        run_id = hands.start(definition, INPUT)
        claim = hands.claim(run_id, step)
        job = JobId(run_id, step, 1)
        assert claim.word == "CLAIMED"
        said = (OutcomeClass.SUCCESS, text, None, None)
        word = engine.store.jobs.record(job, hands.topic(run_id, step), hands.worker.incarnation, "n", *said)
        assert word == "ADVANCE"
        assert kept(engine, run_id, "inputs").keys() <= {"classify"}
        assert kept(engine, run_id, "run")["status"] == "running"


def test_what_is_prepared_goes_with_its_step(engine: Engine, hands: Hands) -> None:
    run_id, _ = walk(hands, TRIAGE, ("classify", "logs"))
    assert kept(engine, run_id, "prepared").keys() == {"rollback", "report", "*"}
    engine.cancel_run(BOB, run_id)
    assert kept(engine, run_id, "prepared") == {}


def test_a_run_of_somebody_else_is_foreseen_anew(engine: Engine, hands: Hands) -> None:
    engine.publish_policy(
        b"""{version: '2', default_decision: allow, rules: [{id: not_bob, match: {topics: [job.u], actor_ids: [bob]},
        decision: deny}]}""",
        "ann",
    )
    definition = TWO.replace("depends_on: [a]", "depends_on: [a], input: {}")
    assert record(hands, hands.start(definition), "a", {}) == "RECORDED"
    run_id = engine.start_run(BOB, "wf", {}).run["id"]
    assert record(hands, run_id, "a", {}) == "ADVANCE"
    engine.coordinate()
    assert hands.statuses(run_id)["b"] == "denied"
    assert record(hands, engine.start_run(ALICE, "wf", {}).run["id"], "a", {}) == "RECORDED"


@pytest.mark.parametrize(("steps", "word"), [(33, "RECORDED"), (34, "ADVANCE")])
def test_what_follows_in_a_crowd_is_looked_at(engine: Engine, hands: Hands, steps: int, word: str) -> None:
    after = "".join(f", s{n}: {{topic: job.t, depends_on: [a]}}" for n in range(1, steps))
    run_id = hands.start(f"steps: {{a: {{topic: job.t}}{after}}}")
    assert record(hands, run_id, "a", {}) == word
    engine.coordinate()
    assert len(kept(engine, run_id, "steps")) == steps
    assert "pending" not in "".join(kept(engine, run_id, "steps").values())


def words_of(hands: Hands, definition: str, steps: list[str], input: dict[str, Any] = INPUT) -> tuple[str, list[str]]:
    """As `walk`, whatever the steps are called."""
    run_id, words = hands.start(definition, input), []
    for step in steps:
        hands.engine.jobs.renew(hands.worker)
        words.append(record(hands, run_id, step, {"of": step}))
        if words[-1] == "ADVANCE":
            hands.engine.coordinate()
    return run_id, words


def chain(length: int) -> tuple[str, list[str]]:
    steps = [f"s{number}" for number in range(length)]
    given = "input: {n: '${input.incident}'}"
    after = (
        f", {step}: {{topic: job.t, depends_on: [{before}], {given}}}" for before, step in itertools.pairwise(steps)
    )
    return f"steps: {{s0: {{topic: job.t}}{''.join(after)}}}", steps


@pytest.mark.parametrize(("length", "looks"), [(33, [32]), (66, [32, 65]), (300, [37 + 38 * n for n in range(7)])])
def test_of_a_long_chain_so_many_steps_go_straight_at_a_time(
    engine: Engine, hands: Hands, length: int, looks: list[int]
) -> None:
    definition, steps = chain(length)
    run_id, words = words_of(hands, definition, steps)
    assert [number for number, word in enumerate(words) if word == "ADVANCE"] == looks
    assert engine.run("default", run_id)["status"] == "succeeded"


def test_a_long_chain_is_told_as_looks_would_have_told_it(engine: Engine, hands: Hands) -> None:
    definition, steps = chain(70)
    straight, words = words_of(hands, definition, steps)
    looked, _ = words_of(planned(engine), definition, steps)
    assert words.count("ADVANCE") == 2
    assert told(engine, straight) == told(engine, looked)


# What is no plain step is looked at when it ends, and so is the end of its run. Patience asks for a look only to begin.
BEHIND = {
    "a condition": ("condition: 'true'", "AARRA"),
    "a limit": ("concurrency: {key: k, limit: 1}", "AARRA"),
    "patience": ("queue_timeout_sec: 9", "ARRRR"),
}


@pytest.mark.parametrize(("said", "expected"), BEHIND.values(), ids=BEHIND)
def test_what_follows_a_look_goes_straight_again(engine: Engine, hands: Hands, said: str, expected: str) -> None:
    middle = f"b: {{topic: job.t, depends_on: [a], {said}}}"
    after = "c: {topic: job.t, depends_on: [b]}, d: {topic: job.t, depends_on: [c]}, e: {topic: job.t, depends_on: [d]}"
    _, words = words_of(hands, f"steps: {{a: {{topic: job.t}}, {middle}, {after}}}", [*"abcde"])
    assert "".join(word[0] for word in words) == expected


def test_after_a_retry_it_goes_straight_again(engine: Engine, hands: Hands) -> None:
    retry = "retry: {max_retries: 1, initial_backoff_sec: 0}"
    run_id = hands.start(f"steps: {{a: {{topic: job.t, {retry}}}, b: {{topic: job.t, depends_on: [a]}}}}")
    assert hands.claim(run_id, "a").word == "CLAIMED"
    assert hands.finish(run_id, "a", kind=OutcomeClass.RETRYABLE) == "ADVANCE"
    engine.coordinate()
    assert hands.claim(run_id, "a", attempt=2).word == "CLAIMED"
    outcome = Outcome(OutcomeClass.SUCCESS, {})
    job_id, me = f"{run_id}:a@2", hands.worker.incarnation
    assert hands.engine.jobs.record(job_id, "job.t", me, "n", outcome).value == "RECORDED"
    assert record(hands, run_id, "b", {}) == "RECORDED"
    assert engine.run("default", run_id)["status"] == "succeeded"


@pytest.mark.parametrize("act", ["skip", "pause"])
def test_what_a_person_did_is_not_forgotten_by_a_look(engine: Engine, hands: Hands, act: str) -> None:
    """What was foreseen before holds no more, however many looks there are after it."""
    after = "b: {topic: job.t, depends_on: [a]}, c: {topic: job.t, depends_on: [b]}, x: {topic: job.t}"
    run_id = hands.start(f"steps: {{a: {{topic: job.t}}, {after}}}")
    if act == "skip":
        engine.skip_step(BOB, run_id, "x", "not now")
    else:
        engine.pause_run(BOB, run_id, "wait")
        engine.resume_run(BOB, run_id, "go on")
    assert record(hands, run_id, "a", {}) == "ADVANCE"
    engine.coordinate()
    assert record(hands, run_id, "b", {}) == "ADVANCE"


def test_without_what_was_foreseen_anything_left_out_is_seen(engine: Engine, hands: Hands) -> None:
    """A join with a step that a condition leaves out: its needs will never all have succeeded."""
    beside = "b: {topic: job.t, condition: 'false'}, x: {topic: job.t, condition: 'true'}"
    run_id = hands.start(f"steps: {{a: {{topic: job.t}}, {beside}, c: {{topic: job.t, depends_on: [a, b]}}}}")
    hands.work(run_id, "x")
    assert record(hands, run_id, "a", {}) == "ADVANCE"
    engine.coordinate()
    assert hands.claim(run_id, "c").word == "CLAIMED"
