"""Runs that begin alike are filled into a pattern: what then stands in Redis is what planning each of them leaves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cordum.domain.decision_point import Guarded
from cordum.engine import Engine, Started
from cordum.engine.patterns import Patterns
from cordum.errors import CordumError, IdempotencyKeyReused, NotFound
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from cordum.testing import load_scenarios
from tests.engine.hands import ALICE, ALLOW, Hands
from tests.proof import definitions as plain_definitions
from tests.proof import language_definitions

NOW = 1_800_000_000_000
SCENARIOS = [
    scenario
    for file in sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))
    for scenario in load_scenarios(file)
]
ODD: dict[str, Any] = {
    "n": 'ü "q" \u2028 \x7f ${input.n}\n',
    "x": [1.5, 2**60, None],
    "items": [{}, []],
    "incident": {},
}
TRIAGE = """
id: triage
labels: {team: "ü"}
timeout_sec: 77
steps:
  classify: {topic: job.classify, input: {incident: "${input.n}", of: "a ${input.x}"}, timeout_sec: 5}
  other: {topic: job.other, priority: critical, output_schema: {type: object}, retry: {max_retries: 3}}
  whole: {topic: job.other, input: "${input}", meta: {risk_tags: [b, a], labels: {k: v}}}
  logs: {topic: job.look, depends_on: [classify], input: {case: "${steps.classify.output}"}}
  join: {topic: job.look, depends_on: [logs, other, whole], input: {all: ["${steps.logs.output}", 1]}}
"""
RULES = """
{default_decision: allow, rules: [
  {id: tight, match: {topics: [job.other]}, decision: allow, reason: "ü", constraints: {budgets: {max_runtime_ms: 3}}}]}
"""


class Rig:
    """Starts runs under ids and at a time of its own choice, with patterns or without, and shows all of Redis."""

    def __init__(self, address: RedisAddress) -> None:
        self._connection = Connection.open(address, Library(virtual_clock=True))
        self.patterns_used = 0

    def close(self) -> None:
        self._connection.close()

    def started(
        self,
        workflows: Sequence[dict[str, Any]],
        inputs: Sequence[Any],
        *,
        patterns: bool,
        policy: bytes = ALLOW,
        window: int = 2,
        straight: bool = True,
    ) -> tuple[dict[str, Any], list[Any]]:
        """Everything in Redis after runs of the last workflow have been started, and what was answered."""
        self._connection.read(lambda client: client.flushdb())
        config = Settings(straight=straight)
        store = Store(self._connection, config.cell, window)
        self._connection.read(lambda client: client.set(store.keys.clock, NOW))
        engine = Engine(store, config)
        engine.publish_policy(policy, "test")
        for document in workflows:
            engine.save_workflow("default", json.dumps(document).encode(), "json")
        ids = (f"r{number:02}" for number in itertools.count())
        genuine = Patterns.create

        def counted(self_: Patterns, *args: Any) -> Any:
            answers = genuine(self_, *args)
            self.patterns_used += len(answers)
            return answers

        with (
            mock.patch("cordum.engine.core.new_run_id", side_effect=ids),
            mock.patch("cordum.store.envelope.unique", return_value="u"),
            mock.patch.object(Patterns, "create", counted),
        ):
            if not patterns:
                engine._core._patterns.of = lambda *_, **__: None  # type: ignore[method-assign]
            answers = engine.start_runs(ALICE, workflows[-1]["id"], inputs, labels={"a": "b"})
        told = [one.code if isinstance(one, CordumError) else one for one in answers]
        return self._connection.read(_everything), told


def _everything(client: Any) -> dict[str, Any]:
    read: dict[str, Callable[[str], Any]] = {
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: dict(client.zrange(key, 0, -1, withscores=True)),
        "string": client.get,
    }
    return {key: read[client.type(key)](key) for key in client.keys("*") if ":policy:request:" not in key}


@pytest.fixture
def rig(redis_address: RedisAddress) -> Iterator[Rig]:
    rig = Rig(redis_address)
    yield rig
    rig.close()


def _each_with_its_own(found: dict[str, Any]) -> dict[str, Any]:
    """The same if what runs have in common were kept with each of them."""
    shared = {key: found.pop(key) for key in [*found] if ":template:" in key}
    for key in [key for key in found if key.startswith("cordum:run:") and key.endswith("}")]:
        template = found[key].pop("template", "")
        if template:
            texts = dict(shared[f"cordum:c1:template:{template.removeprefix('+')}"])
            mark, run_id = texts.pop(""), found[key]["id"]
            own = found.get(f"{key}:prepared", {})
            assert bool(own) is template.startswith("+")
            found[f"{key}:prepared"] = own | {step: text.replace(mark, run_id) for step, text in texts.items()}
    return found


def same(rig: Rig, workflows: Sequence[dict[str, Any]], inputs: Sequence[Any], **how: Any) -> int:
    """Start these runs by a pattern and one by one; how many had a pattern."""
    try:
        alike, told = rig.started(workflows, inputs, patterns=True, **how)
    finally:
        used, rig.patterns_used = rig.patterns_used, 0
    single, told_singly = rig.started(workflows, inputs, patterns=False, **how)
    assert told == told_singly
    alike = _each_with_its_own(alike)
    assert alike.keys() == single.keys()
    different = [key for key in alike if alike[key] != single[key]]
    assert {key: alike[key] for key in different} == {key: single[key] for key in different}
    return used


@pytest.mark.parametrize("window", [1, 3, 32])
@pytest.mark.parametrize("straight", [True, False])
def test_what_is_filled_in_is_what_would_have_been_planned(rig: Rig, window: int, straight: bool) -> None:
    triage = yaml.safe_load(TRIAGE)
    inputs = [{"n": 1, "x": 2}, ODD, {}, {"n": 1, "x": [], "more": True}]
    assert same(rig, [triage], inputs, window=window, straight=straight) == 4
    assert same(rig, [triage], inputs, window=window, straight=straight, policy=RULES.encode()) == 4


def test_so_is_what_is_foreseen_by_the_input_of_the_run(rig: Rig) -> None:
    steps = {
        "first": {"topic": "job.t", "input": {"n": "${input.n}"}},
        "whole": {"topic": "job.t", "depends_on": ["first"]},
        "part": {"topic": "job.u", "depends_on": ["first"], "input": {"l": ["${steps.first.output}", "a ${input.n}"]}},
        "last": {"topic": "job.u", "depends_on": ["part", "whole"], "input": {"run": "${run.id}", "n": "${input.n}"}},
    }
    inputs = [{"n": 1}, ODD, {}, {"n": "x"}]
    assert same(rig, [{"id": "wf", "steps": steps}], inputs) == 4
    short = {
        "id": "wf",
        "steps": {"only": {"topic": "job.t"}},
        "output": {"n": "${input.n}", "o": "${steps.only.output}"},
    }
    assert same(rig, [short], inputs) == 4
    picky = {**steps, "part": {**steps["part"], "input": {"n": "${upper(input.n)}"}}}
    assert same(rig, [{"id": "wf", "steps": picky}], [{"n": "a"}, {"n": "b"}]) == 2
    assert same(rig, [{"id": "wf", "steps": picky}], [{"n": 1}, {"n": "b"}]) == 0


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_so_it_is_for_every_scenario(rig: Rig, scenario: Any) -> None:
    policy = ALLOW if scenario.policy is None else json.dumps(scenario.policy).encode()
    odd = {name: value for name, value in ODD.items() if name in scenario.input}
    inputs = [scenario.input, {}, {**scenario.input, **odd}, scenario.input]
    with suppress(CordumError):  # a definition or a policy that is refused
        same(rig, [*scenario.workflows, scenario.workflow], inputs, policy=policy)


@pytest.mark.parametrize(
    "definitions", [plain_definitions.definitions(), language_definitions.definitions(child=True, people=True)]
)
def test_so_it_is_for_random_definitions(rig: Rig, definitions: st.SearchStrategy[dict[str, Any]]) -> None:
    used = 0

    @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(definition=definitions, n=st.integers(1, 3))
    def check(definition: dict[str, Any], n: int) -> None:
        nonlocal used
        inputs = [language_definitions.INPUT, ODD, {}, language_definitions.INPUT][: n + 1]
        used += same(rig, [{**definition, "id": "wf"}], inputs)

    check()
    assert used > 10


LOOKS = """
{default_decision: allow, rules: [{id: no, match: {topics: ["%s"], input: "input.n == 2"}, decision: deny}]}
"""
ONE = {"id": "wf", "steps": {"only": {"topic": "job.t"}}}


@pytest.mark.parametrize("topic", ["job.t", "workflow.start"])
def test_where_the_policy_looks_at_the_input_every_run_is_planned(
    rig: Rig, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, policy = [{"n": 1}, {"n": 2}], (LOOKS % topic).encode()
    assert same(rig, [ONE], inputs, policy=policy) == 0
    assert same(rig, [ONE], inputs, policy=(LOOKS % "job.other").encode()) == 2
    # Without this the second run would begin, against the policy.
    monkeypatch.setattr(Guarded, "asks_input", lambda *_: False)
    with pytest.raises(AssertionError):
        same(rig, [ONE], inputs, policy=policy)


def test_where_the_workflows_own_rules_look_at_the_input_every_run_is_planned(rig: Rig) -> None:
    own = {"rules": [{"id": "no", "match": {"input": "input.n == 2"}, "decision": "deny"}]}
    assert same(rig, [{**ONE, "policy_override": own}], [{"n": 1}, {"n": 2}]) == 0


def started(engine: Engine, n: int, key: str | None = None) -> Started:
    """A start of which nothing is to be shown, as the second of its kind."""
    return engine.start_run(ALICE, "wf", {"n": n}, idempotency_key=key, show=False)


def test_a_single_start_has_a_pattern_from_the_second_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.save_workflow("default", json.dumps(ONE).encode(), "json")
    calls: list[str] = []
    genuine = engine.store.connection.run_all
    monkeypatch.setattr(
        engine.store.connection,
        "run_all",
        lambda sent: (calls.extend(one.script.name for one in sent), genuine(sent))[1],
    )
    for number in range(3):
        started(engine, number)
    assert [name for name in calls if name.startswith("create_")] == ["create_run", "create_alike", "create_alike"]


def test_an_idempotency_key_holds_for_runs_of_a_pattern(engine: Engine) -> None:
    engine.save_workflow("default", json.dumps(ONE).encode(), "json")
    for number in range(2):
        started(engine, number)
    first, again = started(engine, 3, "k"), started(engine, 3, "k")
    assert (first.replayed, again.replayed, first.id) == (False, True, again.id)
    with pytest.raises(IdempotencyKeyReused):
        started(engine, 4, "k")
    assert started(engine, 4, "other").id != first.id


def test_a_run_of_a_deleted_workflow_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.save_workflow("default", json.dumps(ONE).encode(), "json")
    genuine = engine.store.runs.create_alike

    def later(*args: Any) -> Any:
        monkeypatch.setattr(engine.store.runs, "create_alike", genuine)
        engine.delete_workflow("default", "wf")
        return genuine(*args)

    monkeypatch.setattr(engine.store.runs, "create_alike", later)
    assert [type(one) for one in engine.start_runs(ALICE, "wf", [{"n": 1}, {"n": 2}])] == [NotFound, NotFound]


def test_an_input_that_cannot_be_put_together_fails_its_own_run_only(engine: Engine, hands: Hands) -> None:
    picky = {"id": "wf", "steps": {"only": {"topic": "job.t", "input": {"n": "${upper(input.n)}"}}}}
    engine.save_workflow("default", json.dumps(picky).encode(), "json")
    for inputs in ([1, "a", "b"], ["a", 1, "b"]):
        ids = engine.start_runs(ALICE, "wf", [{"n": n} for n in inputs])
        ends = [hands.statuses(str(run_id))["only"] for run_id in ids]
        assert ends == ["failed" if n == 1 else "queued" for n in inputs]
