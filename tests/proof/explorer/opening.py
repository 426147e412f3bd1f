"""The beginning of a scenario: a real cell brought to where its actors come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import redis

from cordum.domain.definition import load_workflow
from cordum.domain.policy_document import read_policy
from cordum.domain.workflow import Workflow
from cordum.engine.core import Core
from cordum.engine.runs import Runs
from cordum.engine.values import Caller
from cordum.engine.workflows import Workflows
from cordum.settings import Settings
from cordum.store import Store
from cordum.store.connection import Connection
from cordum.store.scripts import Library
from tests.proof.explorer.actors import Company, WarmCore
from tests.proof.explorer.moment import CELL, Moment
from tests.proof.explorer.scenario import Scenario
from tests.proof.explorer.stage import Stage
from tests.proof.explorer.tape import Call, Paused, Tape

START = 1_000_000
TENANT = "default"
WORKFLOW = "wf"
SUBMITTER = "alice"
SETTINGS = Settings(cell=CELL, allow_anonymous_approval=False, straight=False)
GENUINE = Library(virtual_clock=True)


@dataclass(frozen=True)
class Opening:
    moment: Moment
    company: Company
    workflows: Mapping[str, Workflow]  # by digest


def info_of(worker: str) -> dict[str, Any]:
    """What a worker says of itself."""
    return {"name": worker, "host": "h", "slots": 2, "topics": ["job.t"]}


def open_scenario(scenario: Scenario, client: redis.Redis, stage: Stage) -> Opening:
    stage.empty()
    store = Store(Connection(client, GENUINE), CELL, scenario.window)
    client.set(store.keys.clock, START)
    settings = replace(SETTINGS, straight=scenario.straight)
    core = Core(store, settings, scenario.limits)
    if scenario.policy is not None:
        store.policies.publish(read_policy(scenario.policy.encode()).digest, scenario.policy, "test")
    for worker in scenario.workers:
        store.workers.renew(worker, info_of(worker), SETTINGS.lease_ms)
    workflows: dict[str, Workflow] = {}
    for workflow_id, text in {**scenario.others, WORKFLOW: scenario.definition}.items():
        saved = Workflows(core).save(TENANT, text.encode(), "yaml", workflow_id)
        workflows[saved.digest] = load_workflow(text.encode(), "yaml", default_id=workflow_id)
    runs = Runs(core, Workflows(core))
    for run_id in scenario.runs:
        with patch("cordum.engine.core.new_run_id", lambda *_, chosen=run_id: chosen):
            runs.start(Caller(TENANT, SUBMITTER), WORKFLOW, dict(scenario.input))
    moment = stage.present()
    tape = Tape(GENUINE)
    core.dispatch._age_sec = -1.0
    warm = WarmCore(Store(tape, CELL, scenario.window), settings, scenario.limits, workflows)
    warm.dispatch._age_sec = -1.0  # each look at the registry is one
    _learn_policy(warm, tape, moment, stage)
    return Opening(moment, Company(warm, tape), workflows)


def _learn_policy(core: Core, tape: Tape, moment: Moment, stage: Stage) -> None:
    tape.rewind(())
    try:
        core.policy_now()
    except Paused:
        assert isinstance(tape.pending, Call)
        reply, _ = stage.do(moment, tape.pending, GENUINE)
        tape.rewind((reply,))
        core.policy_now()
