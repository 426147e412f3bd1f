"""A bulk retry of dead letters while the API and coordinators are killed: nothing twice, nothing left out."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from cordum.client import Client
from cordum.domain.run import Failure, OutcomeClass
from cordum.engine import Outcome, WorkerInfo
from cordum.errors import CordumError, Unavailable
from cordum.redis_address import RedisAddress
from tests.cells import FAST, ROOT, Cell, eventually, free_port

LETTERS = 12
HAND = WorkerInfo("hand", "elsewhere", "hand", 1, 8, (), 0)


def dead_letter(cell: Cell, number: int) -> str:
    """A run whose only step has failed for good; its id."""
    run_id = cell.start("a: {topic: job.nobody}", {"n": number})
    cell.engine.jobs.register(HAND)
    job_id = f"{run_id}:a@1"
    assert cell.engine.jobs.claim(job_id, "job.nobody", 3, HAND.incarnation, "n").word == "CLAIMED"
    outcome = Outcome(OutcomeClass.FATAL, None, Failure("fatal", f"host {number} is away", "OSError"))
    cell.engine.jobs.record(job_id, "job.nobody", HAND.incarnation, "n", outcome)
    cell.engine._core.advance(run_id)
    return run_id


@pytest.mark.timeout(200)
def test_killed_api_and_coordinators_in_the_middle(cell_on: Callable[..., Cell], redis_address: RedisAddress) -> None:
    cell = cell_on(redis_address, {**FAST, "CORDUM_POLICY_FILE": str(ROOT / "config" / "safety.dev.yaml")})
    runs = [dead_letter(cell, number) for number in range(LETTERS)]
    port = free_port()
    client = Client(f"http://127.0.0.1:{port}", tenant="acme", principal="olga")
    with cell.failing("begin_bulk_retry.after=kill@1"):
        api = cell.api(port)
    (group,) = eventually(lambda: _groups(client), f"the API\n{cell.logs()}")
    assert group["count"] == LETTERS
    with pytest.raises(Unavailable):
        client.retry_dead_letters({"group": group["id"]}, "the host is back", rate=20, idempotency_key="k")
    assert api.wait(30) == -signal.SIGKILL
    cell.api(port)
    (bulk,) = eventually(lambda: _bulks(client), f"the API again\n{cell.logs()}")
    # Asked again, because nobody was answered: the same one, which says where it stands.
    again = client.retry_dead_letters({"group": group["id"]}, "the host is back", rate=20, idempotency_key="k")
    assert (again["id"], again["total"]) == (bulk["id"], LETTERS)
    for place in ("record_of_bulk_retry.before=kill@2", "record_of_bulk_retry.after=kill@2"):
        with cell.failing(place):
            coordinator = cell.coordinator()
        assert coordinator.wait(60) == -signal.SIGKILL, cell.logs()[-3000:]
        seen = client.bulk_retry(bulk["id"])
        assert seen["position"] == seen["retried"] < LETTERS
        assert seen["position"] + seen["left"] == LETTERS
    cell.coordinator()
    ended = eventually(lambda: _ended(client, bulk["id"]), f"the end\n{cell.logs()[-3000:]}", 60)
    assert (ended["position"], ended["retried"], ended["skipped"], ended["refused"]) == (LETTERS, LETTERS, 0, 0)
    for run_id in runs:
        events = cell.events(run_id)
        assert (events.count("run.reopened"), events.count("dead_letter.replayed")) == (1, 1)
    assert client.dead_letter_groups() == []


def _groups(client: Client) -> list[dict[str, object]]:
    try:
        return client.dead_letter_groups()
    except CordumError:
        return []


def _bulks(client: Client) -> list[dict[str, object]]:
    try:
        return client.bulk_retries()
    except CordumError:
        return []


def _ended(client: Client, bulk_id: str) -> dict[str, object] | None:
    bulk = client.bulk_retry(bulk_id)
    return bulk if bulk["state"] == "done" else None
