"""Every action of an operator, in one table: told by a dry run, refused with a reason that names a way out, audited.

`dry_run` and a refusal leave Redis as it was, byte by byte; its clock, which stands still here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis

from cordum.api import create_app
from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import Settings
from cordum.store.scripts import Library
from tests.api.operated import REASON, V1, Action, Cell


@pytest.fixture
def cell(settings: Settings, redis_address: RedisAddress) -> Iterator[Cell]:
    engine = Engine.connect(settings, redis_address, Library(virtual_clock=True))
    client: redis.Redis = redis.Redis(**redis_address.redis_py_kwargs())
    yield Cell(engine, create_app(engine, settings).test_client(), client)
    client.close()
    engine.close()


ACTIONS = {
    "cancel": Action("/workflow-runs/{run}/cancel", Cell.start, "run.cancelled"),
    "pause": Action("/workflow-runs/{run}/pause", Cell.start, "run.paused"),
    "resume": Action("/workflow-runs/{run}/resume", Cell.paused, "run.resumed"),
    "retry": Action("/workflow-runs/{run}/retry", Cell.failed, "run.reopened"),
    "rerun": Action("/workflow-runs/{run}/rerun", Cell.failed, "run.created", of_new_run=True),
    "skip": Action("/workflow-runs/{run}/steps/a/skip", Cell.start, "step.skipped"),
    "complete": Action(
        "/workflow-runs/{run}/steps/a/complete", Cell.start, "step.completed_by_hand", body={"output": {"n": 2}}
    ),
    "signal": Action("/workflow-runs/{run}/signals/go", Cell.waiting, "signal.received", says_why=False),
    "dlq retry": Action("/dlq/{run}:a@1/retry", Cell.failed, "dead_letter.replayed"),
    "dlq retry edited": Action("/dlq/{run}:a@1/retry", Cell.failed, "dead_letter.replayed", body={"input": {"n": 3}}),
    "dlq discard": Action("/dlq/{run}:a@1", Cell.failed, "dead_letter.discarded", method="DELETE"),
    "dlq bulk retry": Action(
        "/dlq/retry", Cell.failed, "dead_letter.replayed", body={"filter": {"topic": "job.a"}, "rate": 100}
    ),
}


# What is done to something else than a run that goes on; `event`: what the audit says of it.
OTHERS = {
    "delete run": Action("/workflow-runs/{run}", Cell.cancelled_clean, "run.removed", method="DELETE"),
    "dlq stop": Action("/dlq/retry/{run}/stop", Cell.running_bulk, "bulk_retry.stopped"),
    "queue pause": Action("/queues/{run}/pause", Cell.topic, "queue.paused"),
    "queue resume": Action("/queues/{run}/resume", Cell.paused_topic, "queue.resumed"),
    "drain": Action("/workers/{run}/drain", Cell.worker, "worker.drained"),
    "drain undo": Action("/workers/{run}/drain", Cell.drained_worker, "worker.opened", method="DELETE"),
    "drain pool": Action("/pools/{run}/drain", Cell.pool, "pool.drained"),
    "drain pool undo": Action("/pools/{run}/drain", Cell.drained_pool, "pool.opened", method="DELETE"),
    "schedule pause": Action("/schedules/{run}/pause", Cell.schedule, "schedule.paused"),
    "schedule resume": Action("/schedules/{run}/resume", Cell.paused_schedule, "schedule.resumed"),
    "schedule delete": Action("/schedules/{run}", Cell.schedule, "schedule.deleted", method="DELETE"),
    "schedule backfill": Action(
        "/schedules/{run}/backfill",
        Cell.schedule,
        "run.created",
        body={"from": "2023-11-14T20:00:00Z", "to": "2023-11-14T20:00:00Z"},
    ),
    "hook rotate": Action("/hooks/{run}/rotate", Cell.hook, "hook.rotated"),
    "hook delete": Action("/hooks/{run}", Cell.hook, "hook.deleted", method="DELETE"),
    "signal by correlation": Action(
        "/signals/go", Cell.waiting, "signal.received", body={"correlation": "c-1"}, says_why=False
    ),
}
ALL = {**ACTIONS, **OTHERS}


@pytest.mark.parametrize("name", ALL)
def test_a_dry_run_tells_and_changes_nothing(cell: Cell, name: str) -> None:
    action = ALL[name]
    run_id = action.ready(cell)
    before = cell.everything()
    told = action.ask(cell, run_id, dry_run="true")
    assert told.status_code == 200, told.text
    assert told.json["dry_run"] is True
    assert cell.everything() == before


@pytest.mark.parametrize("name", ACTIONS)
def test_what_a_dry_run_tells_is_what_happens(cell: Cell, name: str) -> None:
    action = ACTIONS[name]
    run_id = action.ready(cell)
    told = action.ask(cell, run_id, dry_run="true").json
    done = action.ask(cell, run_id)
    assert done.status_code in (200, 204), done.text
    if name == "dlq bulk retry":
        cell.engine.bulk_retries.carry_on()
        assert [one["job_id"] for one in told["dispatch"]] == [f"{run_id}:a@2", f"{run_id}:b@2"]
    about = done.json["run_id"] if action.of_new_run else run_id
    queued = {e["job_id"] for e in cell.events(about) if e["type"] == "step.queued"}
    assert {one["job_id"].partition(":")[2] for one in told["dispatch"]} <= {job.partition(":")[2] for job in queued}
    if name != "dlq bulk retry":
        types = [e["type"] for e in cell.events(about)]
        assert [one for one in told["events"] if one not in types] == []
        run = cell.api.get(f"{V1}/workflow-runs/{about}").json
        assert run["status"] == told["run"]["to"]
        shown = {one["step_id"]: run["steps"][one["step_id"]]["status"] for one in told["steps"]}
        assert {one["step_id"]: one["to"].replace("pending", "queued") for one in told["steps"]} == shown


@pytest.mark.parametrize("name", ACTIONS)
def test_who_did_it_and_why_stays_on_the_timeline(cell: Cell, name: str) -> None:
    action = ACTIONS[name]
    run_id = action.ready(cell)
    done = action.ask(cell, run_id)
    if name == "dlq bulk retry":
        cell.engine.bulk_retries.carry_on()
    about = done.json["run_id"] if action.of_new_run else run_id
    (event,) = [e for e in cell.events(about) if e["type"] == action.event and e["actor"] == "olga"][:1]
    said = {**event["data"]}
    if action.says_why:
        assert REASON["reason"] in (said.get("reason"), said.get("comment"))


@pytest.mark.parametrize("name", OTHERS)
def test_who_did_it_and_why_is_in_the_audit(cell: Cell, name: str) -> None:
    action = OTHERS[name]
    about = action.ready(cell)
    assert action.ask(cell, about).status_code in (200, 204)
    (told,) = cell.audited(type=action.event, actor="olga")
    if action.says_why:
        assert told["data"]["reason"] == REASON["reason"]


@pytest.mark.parametrize("name", OTHERS)
def test_what_changes_nothing_is_not_told_twice(cell: Cell, name: str) -> None:
    action = OTHERS[name]
    about = action.ready(cell)
    action.ask(cell, about)
    told = cell.audited(type=action.event)
    if name not in ("hook rotate", "signal by correlation"):  # each of these is another one
        action.ask(cell, about)
    assert cell.audited(type=action.event) == told


# Programs for Cordum's published API do these without a word (CONTRACT.md 5.1): the record says so.
UNSAID = ("cancel", "rerun", "delete run", "dlq retry", "dlq retry edited", "dlq discard")
ASKED = [name for name, action in ALL.items() if action.says_why and name not in UNSAID]


@pytest.mark.parametrize("name", UNSAID)
def test_what_published_clients_do_without_a_reason_is_told_as_that(cell: Cell, name: str) -> None:
    action = ALL[name]
    path = V1 + action.path.replace("{run}", action.ready(cell))
    done = cell.api.open(path, method=action.method, json=action.body, headers={"X-Principal-Id": "olga"})
    assert done.status_code in (200, 204), done.text
    assert cell.audited(type=action.event, actor="olga")[0]["data"]["reason"] == "none given"


@pytest.mark.parametrize("name", ASKED)
def test_a_reason_is_asked_for(cell: Cell, name: str) -> None:
    action = ALL[name]
    path = V1 + action.path.replace("{run}", action.ready(cell))
    before = cell.everything()
    refused = cell.api.open(path, method=action.method, json=action.body or {})
    assert (refused.status_code, refused.json["errors"][0]["path"]) == (422, "/reason")
    assert "say why" in refused.json["errors"][0]["message"]
    assert cell.everything() == before


# -- refusals ------------------------------------------------------------------------------------------------------

STATES: dict[str, Callable[[Cell], str]] = {
    maker.__name__: maker
    for maker in (
        *(Cell.start, Cell.paused, Cell.waiting, Cell.active, Cell.failed, Cell.succeeded, Cell.rescued, Cell.denied),
        *(Cell.timed_out, Cell.cancelled, Cell.discarded, Cell.replayed, Cell.compensated, Cell.compensation),
        *(Cell.child, Cell.removed),
    )
}
OPEN = "start paused waiting active replayed compensation"
ENDED = "failed succeeded rescued denied timed_out cancelled discarded compensated child"
OF_RUNS = {
    **{name: action for name, action in ACTIONS.items() if name != "dlq bulk retry"},
    "delete run": OTHERS["delete run"],
    "rerun from": replace(ACTIONS["rerun"], body={"from_step": "a"}),
}
TERMINAL = ("run_terminal", "rerun it, or start a new one", ENDED)
NO_LETTER = (None, "there is no dead letter", "start paused waiting succeeded compensation removed")
NO_RUN = (None, "there is no run", "removed")
BY_HAND = (
    TERMINAL,
    ("step_terminal", "retry the run, or rerun it from a", "active"),
    (None, "the run has no step a", "compensation"),
    NO_RUN,
)
LETTER = (
    ("run_active", "wait for its end, or cancel it and rerun it", "active"),
    ("dead_letter_rescued", "rerun", "rescued"),
    ("run_not_retryable", "rerun it from a step", "cancelled"),
    ("run_not_retryable", "rerun it from there", "compensated"),
    ("dead_letter_discarded", "retry the run", "discarded"),
    NO_LETTER,
)
# For each action: (code, words that say what to do instead, in which states). No code: what it is about is not there
# (404). In all other states it is done, or was done before.
REFUSED: dict[str, Sequence[tuple[str | None, str, str]]] = {
    "cancel": (NO_RUN,),
    "pause": (TERMINAL, NO_RUN),
    "resume": (TERMINAL, NO_RUN),
    "signal": (TERMINAL, NO_RUN),
    "retry": (
        ("run_not_retryable", "wait for its end, or cancel it and rerun it", "start waiting active compensation"),
        ("run_not_retryable", "resume it, or cancel it and rerun it", "paused"),
        ("run_not_retryable", "rerun it from a step", "succeeded rescued cancelled"),
        ("run_compensated", "start a new run, or rerun this one", "compensated"),
        NO_RUN,
    ),
    "rerun": (("run_active", "cancel it, or wait for its end", OPEN), NO_RUN),
    "rerun from": (
        ("run_active", "cancel it, or wait for its end", OPEN),
        ("run_compensated", "rerun from there, or the whole", "compensated"),
        NO_RUN,
    ),
    "skip": BY_HAND,
    "complete": BY_HAND,
    "dlq retry": LETTER,
    "dlq retry edited": (
        *LETTER,
        ("dead_letter_replayed", "edit the new dead letter", "replayed"),
        ("edit_not_possible", "leave its input, or rerun", "child"),
    ),
    "dlq discard": (
        ("dead_letter_rescued", "leave it as it is", "rescued"),
        ("dead_letter_replayed", "cancel its run instead", "replayed"),
        NO_LETTER,
    ),
    "delete run": (
        ("run_active", "cancel it, or wait for its end", OPEN),
        ("run_needed", "retry it, or discard it", "failed denied timed_out cancelled discarded"),
        ("run_needed", "cancel it, or wait for its end", "compensated"),
        ("run_needed", "delete that", "child"),
        NO_RUN,
    ),
}


def test_every_action_has_a_row() -> None:
    assert set(REFUSED) == set(OF_RUNS)
    assert set(" ".join((OPEN, ENDED, "removed")).split()) == set(STATES)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OF_RUNS)
def test_in_each_state_an_action_is_done_or_says_what_to_do_instead_and_changes_nothing(cell: Cell, name: str) -> None:
    wrong = {state: (code, mend) for code, mend, states in REFUSED[name] for state in states.split()}
    for state, make in STATES.items():
        about = make(cell)
        before = cell.everything()
        told = OF_RUNS[name].ask(cell, about, dry_run="true")
        assert cell.everything() == before, state
        done = OF_RUNS[name].ask(cell, about)
        assert told.status_code == (200 if done.status_code == 204 else done.status_code), (state, told.text)
        if state not in wrong:
            assert done.status_code in (200, 204), (state, done.text)
            continue
        code, mend = wrong[state]
        assert cell.everything() == before, state
        assert (done.status_code, done.json["code"]) == ((409, code) if code else (404, "not_found")), (
            state,
            done.text,
        )
        assert mend in done.json["detail"], (state, done.text)


def _refused_schedule(cell: Cell) -> Any:
    wanted = {"id": "nightly", "workflow_id": "fork", "cron": "0 * * * *"}
    cell.post("/schedules", wanted)
    return lambda: cell.post("/schedules", wanted)


def _refused_pool(cell: Cell) -> Any:
    assert cell.api.put(f"{V1}/pools/gpu", json={}).status_code == 200
    assert cell.post("/topics", {"topic": "job.gpu", "pools": ["gpu"]}).status_code == 201
    return lambda: cell.api.delete(f"{V1}/pools/gpu")


def _refused_stop(cell: Cell) -> Any:
    bulk = cell.bulk()
    return lambda: cell.post(f"/dlq/retry/{bulk}/stop", REASON)


def _refused_removal(cell: Cell) -> Any:
    cell.start()
    return lambda: cell.api.delete(f"{V1}/workflows/fork")


@pytest.mark.parametrize(
    ("ready", "code", "mend"),
    [
        (_refused_stop, "bulk_retry_done", "cancelling the runs"),
        (_refused_schedule, "already_exists", "replace it with PUT, or choose another id"),
        (_refused_pool, "pool_in_use", "name another pool for it first"),
        (_refused_removal, "workflow_in_use", "cancel them, or wait for their end"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_what_is_refused_elsewhere_says_what_to_do_and_changes_nothing(
    cell: Cell, ready: Callable[[Cell], Any], code: str, mend: str
) -> None:
    ask = ready(cell)
    before = cell.everything()
    refused = ask()
    assert (refused.status_code, refused.json["code"]) == (409, code)
    assert mend in refused.json["detail"]
    assert cell.everything() == before


@pytest.mark.parametrize("name", [name for name in OTHERS if "{run}" in OTHERS[name].path])
def test_what_is_not_there_is_not_found_and_nothing_changes(cell: Cell, name: str) -> None:
    before = cell.everything()
    missing = {"queue pause": "nonsense", "queue resume": "nonsense", "dlq stop": "bulk-" + 20 * "0"}
    for query in ({}, {"dry_run": "true"}):
        refused = OTHERS[name].ask(cell, missing.get(name, "nobody"), **query)
        assert (refused.status_code, refused.json["code"]) == (404, "not_found")
    assert cell.everything() == before


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("cancel", Cell.cancelled),
        ("pause", Cell.paused),
        ("resume", Cell.start),
        ("retry", Cell.replayed),
        ("dlq retry", Cell.replayed),
        ("dlq discard", Cell.discarded),
    ],
)
def test_what_is_done_already_is_not_done_again(cell: Cell, name: str, state: Callable[[Cell], str]) -> None:
    run_id = state(cell)
    before = cell.events(run_id)
    assert ACTIONS[name].ask(cell, run_id).status_code in (200, 204)
    assert cell.events(run_id) == before


def test_the_comparison_sees_a_change(cell: Cell) -> None:
    """The negative control: an action that is done leaves another state."""
    for action in ALL.values():
        run_id = action.ready(cell)
        before = cell.everything()
        action.ask(cell, run_id)
        assert cell.everything() != before
